import EventPattern
public import StreamModel

/// Writes the changes of one stream as handlers and filters see them: with everything that AWS's service adds, in its
/// order. One for each lane or writer; it keeps memory to work in.
public struct ChangeEvents: Sendable {
  private let opening: [UInt8]
  private let region: [UInt8]
  private let ending: [UInt8]
  /// What eventIDs are made from, so that those of two streams are never the same.
  private let seed: [UInt8]

  /// Both as the inside of a JSON string.
  public init(region: String, streamARN: String) {
    opening = Array(#"{"eventID":""#.utf8)
    self.region = Array(#""\#(region)""#.utf8)
    ending = Array(#""\#(streamARN)""#.utf8)
    seed = Array((streamARN + ":").utf8)
  }

  /// Appends the event's record for a change. `data` must have passed ``ChangeRecord/check(_:)``: a store takes nothing
  /// else into a stream of changes.
  public func append(_ data: RawSpan, _ number: SequenceNumber, arrival: WallTime, to bytes: inout [UInt8]) {
    do {
      try write(data, try ChangeLayout(data), number, arrival, to: &bytes)
    } catch {
      preconditionFailure("records of a stream of changes were checked when they were put: \(error)")
    }
  }

  /// At most so many bytes more than its data does a change take in an event, the comma in front of it included.
  public var overheadByteCount: Int {
    // Everything that is added when nothing of it is in the data.
    let names =
      #","eventID":"","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":,"eventSourceARN":"#
      + #","ApproximateCreationDateTime":,"SequenceNumber":"","SizeBytes":"#
    return names.utf8.count + 32 + region.count + ending.count + Self.longestTime + ChangeSequenceNumber.digitCount + 1
      + Self.longestSize + 1
  }

  private static let longestTime = 20
  /// The digits of the size of a record.
  private static let longestSize = 8

  private func write(
    _ data: RawSpan, _ layout: ChangeLayout, _ number: SequenceNumber, _ arrival: WallTime, to bytes: inout [UInt8]
  ) throws {
    func copy(_ range: Range<Int>, to bytes: inout [UInt8]) {
      unsafe data.extracting(range).withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    }
    func text(_ text: StaticString, to bytes: inout [UInt8]) {
      unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
    text(#"{"eventID":"#, to: &bytes)
    if layout[.eventID].isEmpty { appendID(of: number, to: &bytes) } else { copy(layout[.eventID], to: &bytes) }
    text(#","eventName":"#, to: &bytes)
    copy(layout[.eventName], to: &bytes)
    text(#","eventVersion":"#, to: &bytes)
    if layout[.eventVersion].isEmpty { text(#""1.1""#, to: &bytes) } else { copy(layout[.eventVersion], to: &bytes) }
    text(#","eventSource":"aws:dynamodb","awsRegion":"#, to: &bytes)
    if layout[.awsRegion].isEmpty { bytes += region } else { copy(layout[.awsRegion], to: &bytes) }
    text(#","dynamodb":{"ApproximateCreationDateTime":"#, to: &bytes)
    if layout[.creation].isEmpty { Self.appendTime(arrival, to: &bytes) } else { copy(layout[.creation], to: &bytes) }
    text(#","Keys":"#, to: &bytes)
    copy(layout[.keys], to: &bytes)
    if !layout[.newImage].isEmpty {
      text(#","NewImage":"#, to: &bytes)
      copy(layout[.newImage], to: &bytes)
    }
    if !layout[.oldImage].isEmpty {
      text(#","OldImage":"#, to: &bytes)
      copy(layout[.oldImage], to: &bytes)
    }
    text(#","SequenceNumber":"#, to: &bytes)
    if layout[.sequenceNumber].isEmpty {
      bytes.append(JSONByte.quote)
      ChangeSequenceNumber.append(number, to: &bytes)
      bytes.append(JSONByte.quote)
    } else {
      copy(layout[.sequenceNumber], to: &bytes)
    }
    text(#","SizeBytes":"#, to: &bytes)
    if layout[.sizeBytes].isEmpty {
      var size = 0
      for part in [ChangeLayout.Part.keys, .newImage, .oldImage] where !layout[part].isEmpty {
        size += try ChangeRecord.size(of: part, data, layout)
      }
      bytes.append(contentsOf: "\(size)".utf8)
    } else {
      copy(layout[.sizeBytes], to: &bytes)
    }
    text(#","StreamViewType":"#, to: &bytes)
    copy(layout[.viewType], to: &bytes)
    bytes.append(JSONByte.closeBrace)
    if !layout[.userIdentity].isEmpty {
      text(#","userIdentity":"#, to: &bytes)
      copy(layout[.userIdentity], to: &bytes)
    }
    text(#","eventSourceARN":"#, to: &bytes)
    if layout[.eventSourceARN].isEmpty { bytes += ending } else { copy(layout[.eventSourceARN], to: &bytes) }
    bytes.append(JSONByte.closeBrace)
  }

  /// 32 hexadecimal digits, the same whenever the record is delivered.
  private func appendID(of number: SequenceNumber, to bytes: inout [UInt8]) {
    let start = bytes.count
    bytes += seed
    let digits = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: SequenceNumber.digitCount))
    let id = unsafe bytes.withUnsafeMutableBytes { all in
      unsafe number.write(to: UnsafeMutableRawBufferPointer(rebasing: all[digits...]))
      return unsafe HashKey(partitionKeyBytes: UnsafeRawBufferPointer(rebasing: all[start...])).rawValue
    }
    bytes.removeLast(bytes.count - start)
    bytes.append(JSONByte.quote)
    for place in stride(from: 124, through: 0, by: -4) {
      let digit = UInt8(truncatingIfNeeded: id >> UInt128(place)) & 15
      bytes.append(digit < 10 ? JSONByte.zero + digit : UInt8(ascii: "a") + digit - 10)
    }
    bytes.append(JSONByte.quote)
  }

  /// Whole seconds since 1970 as AWS, in Java, writes them: `1.789651658E9`.
  public static func text(of time: WallTime) -> String {
    var bytes: [UInt8] = []
    appendTime(time, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func appendTime(_ time: WallTime, to bytes: inout [UInt8]) {
    let seconds = max(0, time.milliseconds / 1_000)
    var digits = Array("\(seconds)".utf8)
    // Java writes what is below ten million as it stands.
    guard digits.count > 7 else {
      bytes += digits
      bytes.append(contentsOf: ".0".utf8)
      return
    }
    let exponent = digits.count - 1
    while digits.count > 2, digits.last == JSONByte.zero { digits.removeLast() }
    bytes.append(digits[0])
    bytes.append(JSONByte.point)
    bytes += digits[1...]
    bytes.append(contentsOf: "E\(exponent)".utf8)
  }
}
