/// What became of a put.
public struct PutReport: Codable, Hashable, Sendable {
  public var records: Int
  /// For each shard that took records: its id, the sequence numbers of the first and the last, and how many.
  public var shards: [ShardPut]

  public init(records: Int, shards: [ShardPut]) {
    self.records = records
    self.shards = shards
  }

  public struct ShardPut: Codable, Hashable, Sendable {
    public var shard: String
    public var records: Int
    public var firstSequenceNumber: String
    public var lastSequenceNumber: String
  }
}

public enum PutAnswer: Codable, Hashable, Sendable {
  case stored(PutReport)
  case refused(OperatorRefusal)
}
