/// What kind of AWS stream a stream is to those who read it. Fixed when the stream is made.
public enum StreamKind: String, Hashable, Sendable, Codable, CaseIterable {
  /// Any data under a partition key; handlers get it in base64.
  case kinesis
  /// The changes of a table: the data of each record is one change, in the JSON of a DynamoDB stream.
  case dynamodb
}
