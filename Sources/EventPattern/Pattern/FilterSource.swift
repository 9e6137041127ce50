/// What kind of stream the records come from, which decides what the fields of a pattern name.
public enum FilterSource: String, Hashable, Sendable, CaseIterable {
  /// A pattern's `data` is the record's data, read as JSON; beside it stand fields of the record itself, such as
  /// `partitionKey`.
  case kinesis
  /// A pattern is about the whole change record: `eventName`, `dynamodb`, …
  case dynamodb

  /// The field that must be an object, because what it names is JSON.
  var payloadField: String {
    switch self {
    case .kinesis: "data"
    case .dynamodb: "dynamodb"
    }
  }
}

/// What a Kinesis record says about itself, beside its data.
public enum KinesisField: String, Hashable, Sendable, CaseIterable {
  case partitionKey
  case sequenceNumber
  /// Seconds since 1970 with a fraction: the only number.
  case approximateArrivalTimestamp
  case eventID
  case kinesisSchemaVersion
  case eventName
  case eventSource
  case eventVersion
  case awsRegion
  case eventSourceARN
  case invokeIdentityArn

  /// Different from record to record. The others are the same for all records of a shard.
  public var isOfRecord: Bool {
    switch self {
    case .partitionKey, .sequenceNumber, .approximateArrivalTimestamp, .eventID: true
    case .kinesisSchemaVersion, .eventName, .eventSource, .eventVersion, .awsRegion, .eventSourceARN,
      .invokeIdentityArn:
      false
    }
  }
}
