public import StreamModel

/// A record as a filter looks at it: its data where it lies, and its own fields when a pattern asks for them.
public protocol FilterableRecord: ~Escapable {
  /// The data of a Kinesis record as it was put; the whole change record, as JSON, of DynamoDB.
  var body: RawSpan {
    @_lifetime(borrow self) get
  }

  /// Writes the value of `field`, one of those that are ``KinesisField/isOfRecord``, into `value`; leaves it alone if
  /// the record has none.
  func write(_ field: KinesisField, to value: inout FieldValue)
}

/// The value of one field of a record, in memory that is used again for the next.
public struct FieldValue: Sendable {
  enum Kind: Sendable {
    case missing
    case text
    case number
  }

  private(set) var kind = Kind.missing
  private(set) var bytes: [UInt8] = []

  mutating func clear() {
    kind = .missing
    bytes.removeAll(keepingCapacity: true)
  }

  /// A text, in UTF-8. Several together make one text.
  public mutating func append(_ text: RawSpan) {
    kind = .text
    unsafe text.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  /// A text. Several together make one text.
  public mutating func append(_ text: String) {
    kind = .text
    bytes.append(contentsOf: text.utf8)
  }

  /// The 56 digits, a text.
  public mutating func append(_ sequenceNumber: SequenceNumber) {
    kind = .text
    unsafe withUnsafeTemporaryAllocation(byteCount: SequenceNumber.digitCount, alignment: 1) { digits in
      unsafe sequenceNumber.write(to: digits)
      unsafe bytes.append(contentsOf: digits)
    }
  }

  /// A number, as JSON writes it.
  public mutating func set(number: String) {
    clear()
    kind = .number
    bytes.append(contentsOf: number.utf8)
  }

  /// A moment as AWS writes it: seconds since 1970 with three digits behind the point, a number.
  public mutating func set(_ time: WallTime) {
    clear()
    kind = .number
    let (seconds, fraction) = time.milliseconds.magnitude.quotientAndRemainder(dividingBy: 1_000)
    if time.milliseconds < 0 { bytes.append(JSONByte.minus) }
    append(digits: seconds, atLeast: 1)
    bytes.append(JSONByte.point)
    append(digits: fraction, atLeast: 3)
  }

  private mutating func append(digits value: UInt64, atLeast count: Int) {
    let start = bytes.count
    var rest = value
    while rest > 0 || bytes.count - start < count {
      bytes.append(JSONByte.zero + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    }
    bytes[start...].reverse()
  }
}

extension RecordView: FilterableRecord {
  public var body: RawSpan {
    @_lifetime(borrow self) get { data }
  }

  public func write(_ field: KinesisField, to value: inout FieldValue) {
    switch field {
    case .partitionKey: value.append(partitionKeyBytes)
    case .sequenceNumber: value.append(sequenceNumber)
    case .approximateArrivalTimestamp: value.set(arrival)
    case .eventID:
      value.append(sequenceNumber.shard.description)
      value.append(":")
      value.append(sequenceNumber)
    case .kinesisSchemaVersion, .eventName, .eventSource, .eventVersion, .awsRegion, .eventSourceARN,
      .invokeIdentityArn:
      break
    }
  }
}

/// The fields that are the same for all records of a Kinesis stream.
public struct KinesisConstants: Hashable, Sendable {
  public var values: [KinesisField: String]

  /// - Parameters:
  ///   - eventSourceARN, region, roleARN: what the events of the stream say. A `nil` one is missing: no pattern that
  ///     asks for it matches.
  public init(eventSourceARN: String? = nil, region: String? = nil, roleARN: String? = nil) {
    values = [
      .kinesisSchemaVersion: "1.0", .eventName: "aws:kinesis:record", .eventSource: "aws:kinesis", .eventVersion: "1.0",
    ]
    values[.eventSourceARN] = eventSourceARN
    values[.awsRegion] = region
    values[.invokeIdentityArn] = roleARN
  }
}
