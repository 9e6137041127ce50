import StreamModel

/// The story of one record with one mapping: where it is now, and every attempt of it that is known.
///
/// Known are the attempts of records that are not settled, and of those that left as failure entries that are still
/// there. Of a record that was processed none are kept.
public struct RecordReport: Codable, Hashable, Sendable {
  public var mapping: String
  public var stream: String
  public var shard: String
  public var sequenceNumber: String
  /// What is known of the record itself; `nil` if retention has removed it and no failure entry has it.
  public var partitionKey: String?
  /// Milliseconds since 1970.
  public var arrival: Int64?
  public var preview: String?
  public var situation: RecordSituation
  /// One sentence.
  public var summary: String
  /// Oldest first. What more there were is counted.
  public var attempts: [AttemptReport]
  public var attemptsOmitted: Int
  public var events: [RecordEventReport]
  /// The failure entries that hold it.
  public var entries: [UInt64]
  /// When the first of them expires that does, in milliseconds since 1970.
  public var entriesExpireAt: Int64?
}

/// Where a record is with a mapping.
public enum RecordSituation: String, Codable, Hashable, Sendable, CaseIterable {
  /// It stands behind the lane's batch, if there is one.
  case waiting
  /// The handler has its batch, or gets it next.
  case delivering
  /// Its batch has failed and is delivered again.
  case retrying
  /// Its partition key is parked.
  case parked
  /// It left as a failure entry that is still there.
  case failed
  /// The checkpoint has passed it, and no failure entry holds it: it was processed, filtered out, or its entry is gone.
  case settled
  /// Retention removed it before the mapping came to it.
  case lost
}

extension RecordReport {
  init(mapping: String, stream: String, shard: ShardNumber, sequenceNumber: SequenceNumber) {
    self.mapping = mapping
    self.stream = stream
    self.shard = "\(shard)"
    self.sequenceNumber = "\(sequenceNumber)"
    situation = .waiting
    summary = ""
    attempts = []
    attemptsOmitted = 0
    events = []
    entries = []
  }
}
