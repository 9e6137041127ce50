import EventPattern
public import StreamModel

/// The sequence number of a change, as AWS has it: 21 to 40 digits that grow within a shard, and from parents to children.
///
/// What was put with the change counts. A change without one has 30 digits: the second in which its shard was made (ten,
/// until the year 2286) and its record's index (twenty).
public enum ChangeSequenceNumber {
  static let digitCount = 30
  private static let indexDigits = 20
  private static let secondDigits = 10

  static func append(_ number: SequenceNumber, to bytes: inout [UInt8]) {
    append(number.shardCreatedAtSeconds, digits: secondDigits, to: &bytes)
    append(number.index.rawValue, digits: indexDigits, to: &bytes)
  }

  /// The number that the event says of a change.
  public static func text(of data: RawSpan, _ number: SequenceNumber) -> String {
    var bytes: [UInt8] = []
    if let given = given(in: data) { bytes = given } else { append(number, to: &bytes) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The records of the batch, which is one of changes, that have this number in their event: one, unless several were put
  /// with the same.
  public static func positions(of text: String, in batch: RecordBatch) -> [Int] {
    let wanted = Array(text.utf8)
    return (0..<batch.count).filter { position in
      if let given = given(in: batch[position].data) { return given == wanted }
      var own: [UInt8] = []
      append(batch.sequenceNumber(at: position), to: &own)
      return own == wanted
    }
  }

  private static func given(in data: RawSpan) -> [UInt8]? {
    do {
      let layout = try ChangeLayout(data)
      return try ChangeTexts(bytes: data, layout: layout).text(.sequenceNumber)
    } catch {
      preconditionFailure("records of a stream of changes were checked when they were put: \(error)")
    }
  }

  private static func append(_ value: UInt64, digits: Int, to bytes: inout [UInt8]) {
    let start = bytes.count
    var rest = value
    while rest > 0 || bytes.count - start < digits {
      bytes.append(JSONByte.zero + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    }
    bytes[start...].reverse()
  }
}
