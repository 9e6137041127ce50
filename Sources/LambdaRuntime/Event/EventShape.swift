/// What kind of AWS stream a stream looks like to its handlers.
public enum EventShape: String, Hashable, Sendable, CaseIterable {
  /// Any data under a partition key; handlers get it in base64.
  case kinesis
  /// The changes of a table: the data of a record is a change in JSON.
  case dynamodb
}
