public import StreamModel
import TableChanges

/// Writes a batch as the JSON event that AWS sends for a stream: one line, members in the order of AWS, no spaces but
/// those inside of a table's attributes.
///
/// Holds the text that all records of one stream share, so make one per stream and keep it. Costs nothing but copying
/// and base64; nothing is allocated once the buffer has grown.
public struct EventWriter: Sendable {
  /// The stream whose batches this writes.
  public let stream: String
  public let kind: StreamKind
  private let createdAt: WallTime

  /// The stream's name on AWS, as the inside of a JSON string.
  let escapedStreamARN: String

  // `constant` in one piece; the ends of its parts are in `ends`.
  private let constant: [UInt8]
  private let ends: Ends
  /// For the changes of a table.
  private let changes: ChangeEvents?

  private struct Ends {
    var key = 0
    var sequenceNumber = 0
    var data = 0
    var arrival = 0
    var eventID = 0
    var record = 0
  }

  /// - Parameter createdAt: when the stream was made; of no matter for Kinesis.
  public init(
    identity: EventIdentity, stream: String, kind: StreamKind = .kinesis, createdAt: WallTime = .zero
  ) {
    self.stream = stream
    self.kind = kind
    self.createdAt = createdAt
    let streamARN = identity.streamARN(stream, kind, createdAt: createdAt)
    escapedStreamARN = JSONText.escaped(streamARN)
    changes =
      kind == .dynamodb ? ChangeEvents(region: JSONText.escaped(identity.region), streamARN: escapedStreamARN) : nil
    var text: [UInt8] = []
    var ends = Ends()
    func append(_ part: String) -> Int {
      text.append(contentsOf: part.utf8)
      return text.count
    }
    ends.key = append(#",{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":""#)
    ends.sequenceNumber = append(#"","sequenceNumber":""#)
    ends.data = append(#"","data":""#)
    ends.arrival = append(#"","approximateArrivalTimestamp":"#)
    ends.eventID = append(#"},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":""#)
    ends.record = append(
      #"","eventName":"aws:kinesis:record","invokeIdentityArn":""# + JSONText.escaped(identity.roleARN)
        + #"","awsRegion":""# + JSONText.escaped(identity.region)
        + #"","eventSourceARN":""# + escapedStreamARN + #""}"#)
    self.constant = text
    self.ends = ends
  }

  /// Whether it writes the batches that come from there.
  func isFor(_ origin: BatchOrigin) -> Bool {
    origin.stream == stream && origin.kind == kind && origin.streamCreatedAt == createdAt
  }

  /// The bytes of an event without its records: `{"Records":[]}` less the comma that the first record does not have.
  ///
  /// An event's size is this, and for each record its overhead, the base64 of its data and its escaped key.
  public static let envelopeByteCount = prefix.count + suffix.count - 1

  /// A writer for the batches of one stream.
  public init(identity: EventIdentity, origin: BatchOrigin) {
    self.init(
      identity: identity, stream: origin.stream, kind: origin.kind, createdAt: origin.streamCreatedAt)
  }

  /// The bytes that each record of a Kinesis stream adds, besides its data and its key. Exact for arrivals from September 2001
  /// until the year 2286, whose seconds have ten digits.
  public static func recordOverhead(for identity: EventIdentity, stream: String) -> Int {
    EventWriter(identity: identity, stream: stream).recordOverhead
  }

  /// The bytes that each record adds, besides its data and its key; at most, for a change of a table, whose key is
  /// not in its event.
  public var recordOverhead: Int {
    if let changes { return changes.overheadByteCount }
    return constant.count + 2 * SequenceNumber.digitCount + Self.shardByteCount + Self.arrivalByteCount
  }

  /// The bytes of base64 that `count` bytes of data become.
  public static func encodedByteCount(ofData count: Int) -> Int { Base64.characterCount(forByteCount: count) }

  /// The bytes that a partition key takes in the event, without its quotes.
  public static func encodedByteCount(ofKey bytes: UnsafeRawBufferPointer) -> Int {
    unsafe JSONText.byteCount(of: bytes)
  }

  /// Appends the event of `batch`, which must be of this writer's stream, without an end of line.
  public func write(_ batch: RecordBatch, into buffer: inout EventBuffer) {
    precondition(batch.origin.stream == stream, "a writer writes the batches of one stream")
    if let changes { return write(batch, changes, into: &buffer) }
    // A key of n bytes becomes at most 6n, data at most 4/3 and 4; both are below six times the packed record.
    let mark = batch.origin.redelivery.map(Self.mark)
    var capacity = Self.envelopeByteCount + (mark?.count ?? 0) * batch.count
    for number in batch.origin.importedSequenceNumbers ?? [] { capacity += 2 * 6 * number.utf8.count }
    for position in 0..<batch.count {
      let header = unsafe RecordHeader(at: batch.address(at: position))
      capacity += recordOverhead + Self.longestArrivalByteCount + header.keyByteCount * 6
      capacity += Base64.characterCount(forByteCount: header.dataByteCount)
    }
    unsafe buffer.append(capacity: capacity) {
      unsafe write(batch, mark: mark, to: $0.baseAddress.unsafelyUnwrapped)
    }
  }

  private func write(_ batch: RecordBatch, _ changes: ChangeEvents, into buffer: inout EventBuffer) {
    var text = Self.prefix
    for position in 0..<batch.count {
      if position > 0 { text.append(UInt8(ascii: ",")) }
      let record = batch[position]
      changes.append(record.data, record.sequenceNumber, arrival: record.arrival, to: &text)
      if let redelivery = batch.origin.redelivery, position < redelivery.count {
        text.removeLast()
        text += Self.mark(redelivery)
      }
    }
    text += Self.suffix
    buffer.append(contentsOf: text)
  }

  /// Writes the event to `start` and returns its size.
  private func write(_ batch: RecordBatch, mark: [UInt8]?, to start: UnsafeMutableRawPointer) -> Int {
    unsafe constant.withUnsafeBytes { constant in
      unsafe Base64.pairs.withUnsafeBufferPointer { pairs in
        let constant = unsafe constant.baseAddress.unsafelyUnwrapped
        let pairs = unsafe pairs.baseAddress.unsafelyUnwrapped
        let shard = Array((batch.origin.shard.description + ":").utf8)
        return unsafe shard.withUnsafeBytes { shard in
          var out = unsafe Self.copy(Self.prefix, to: start)
          // The first record goes without its leading comma.
          var head = 1
          let marked = batch.origin.redelivery?.count ?? 0
          let imported = batch.origin.importedSequenceNumbers
          for position in 0..<batch.count {
            let record = unsafe batch.address(at: position)
            let header = unsafe RecordHeader(at: record)
            unsafe out = Self.copy(constant, head..<ends.key, to: out)
            head = 0
            unsafe out = JSONText.write(
              UnsafeRawBufferPointer(start: record + header.keyOffset, count: header.keyByteCount), to: out)
            unsafe out = Self.copy(constant, ends.key..<ends.sequenceNumber, to: out)
            let digits = unsafe out
            var digitCount = SequenceNumber.digitCount
            if let imported, position < imported.count {
              unsafe digitCount = Self.write(imported[position], to: out)
            } else {
              unsafe batch.sequenceNumber(at: position)
                .write(to: UnsafeMutableRawBufferPointer(start: out, count: digitCount))
            }
            unsafe out += digitCount
            unsafe out = Self.copy(constant, ends.sequenceNumber..<ends.data, to: out)
            unsafe out = Base64.write(
              record + header.dataOffset, count: header.dataByteCount, to: out, pairs: pairs)
            unsafe out = Self.copy(constant, ends.data..<ends.arrival, to: out)
            unsafe out = Self.write(batch.arrival(at: position), to: out)
            unsafe out = Self.copy(constant, ends.arrival..<ends.eventID, to: out)
            unsafe out.copyMemory(from: shard.baseAddress.unsafelyUnwrapped, byteCount: shard.count)
            unsafe out += shard.count
            unsafe out.copyMemory(from: digits, byteCount: digitCount)
            unsafe out += digitCount
            unsafe out = Self.copy(constant, ends.eventID..<ends.record, to: out)
            // In the place of the record's closing brace.
            if let mark, position < marked { unsafe out = Self.copy(mark, to: out - 1) }
          }
          unsafe out = Self.copy(Self.suffix, to: out)
          return unsafe out - start
        }
      }
    }
  }

  /// A sequence number that is not ours, and how many bytes it takes.
  private static func write(_ number: String, to target: UnsafeMutableRawPointer) -> Int {
    var number = number
    return number.withUTF8 { bytes in
      unsafe JSONText.write(UnsafeRawBufferPointer(bytes), to: target) - target
    }
  }

  /// The bytes that each record of a mapping that marks redeliveries may have more.
  public static let markByteCount =
    Redelivery.Cause.allCases.map { mark(Redelivery(count: 1, cause: $0)).count }.max() ?? 0

  /// Our own member of a record that was delivered before, with the brace behind it.
  private static func mark(_ redelivery: Redelivery) -> [UInt8] {
    Array(#","sluice":{"redelivery":"\#(redelivery.cause.name)"}}"#.utf8)
  }

  private static let prefix = Array(#"{"Records":["#.utf8)
  private static let suffix = Array("]}".utf8)
  /// `shardId-000000000000:`
  private static let shardByteCount = 21
  /// `1789651658.123`
  private static let arrivalByteCount = 14
  /// A sign, the seconds of `Int64.min` milliseconds and the fraction.
  private static let longestArrivalByteCount = 24

  /// Seconds since 1970 with three digits of fraction.
  @inline(__always)
  private static func write(_ arrival: WallTime, to target: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    var out = unsafe target
    if arrival.milliseconds < 0 {
      unsafe out.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
      unsafe out += 1
    }
    let (seconds, fraction) = arrival.milliseconds.magnitude.quotientAndRemainder(dividingBy: 1_000)
    var digitCount = 1
    var power: UInt64 = 10
    while power <= seconds {
      digitCount += 1
      power *= 10
    }
    unsafe write(seconds, digitCount: digitCount, to: out)
    unsafe out.storeBytes(of: UInt8(ascii: "."), toByteOffset: digitCount, as: UInt8.self)
    unsafe write(fraction, digitCount: 3, to: out + digitCount + 1)
    return unsafe out + digitCount + 4
  }

  @inline(__always)
  private static func write(_ number: UInt64, digitCount: Int, to target: UnsafeMutableRawPointer) {
    var rest = number
    for place in stride(from: digitCount - 1, through: 0, by: -1) {
      unsafe target.storeBytes(of: UInt8(truncatingIfNeeded: 48 + rest % 10), toByteOffset: place, as: UInt8.self)
      rest /= 10
    }
  }

  @inline(__always)
  private static func copy(
    _ source: UnsafeRawPointer, _ range: Range<Int>, to target: UnsafeMutableRawPointer
  ) -> UnsafeMutableRawPointer {
    unsafe target.copyMemory(from: source + range.lowerBound, byteCount: range.count)
    return unsafe target + range.count
  }

  private static func copy(_ bytes: [UInt8], to target: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    unsafe bytes.withUnsafeBytes { source in
      unsafe target.copyMemory(from: source.baseAddress.unsafelyUnwrapped, byteCount: source.count)
    }
    return unsafe target + bytes.count
  }
}
