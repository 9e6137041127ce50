import StreamModel
import StreamRuntime
import StreamStore

/// Which records of a mapping were delivered again, or may have been, to which invocations, and why.
public struct DuplicateReport: Codable, Hashable, Sendable {
  public var mapping: String
  /// Records over all redeliveries since the mapping was made, by cause; a record counts each time.
  public var records: [String: UInt64]
  /// All redeliveries since the mapping was made.
  public var deliveries: UInt64
  /// How many of them are kept: the last ones.
  public var kept: Int
  public var keptAtMost: Int
  /// Those that were asked for of the ones that are kept, the newest first.
  public var redeliveries: [RedeliveryReport]

  /// Redeliveries of which only the sums are left.
  public var forgotten: UInt64 { deliveries - min(deliveries, UInt64(kept)) }
}

/// One delivery of records that were, or may have been, delivered before.
public struct RedeliveryReport: Codable, Hashable, Sendable {
  /// Milliseconds since 1970.
  public var at: Int64
  public var shard: String
  /// The lane, where several share a shard.
  public var lane: Int
  public var records: Int
  public var firstSequenceNumber: String
  public var lastSequenceNumber: String
  /// `retry`, `partial-failure`, `bisect`, `restart`, `redrive`, `seek`.
  public var cause: String
  /// Which delivery of this batch it was.
  public var attempt: Int
  /// That of the invocation.
  public var requestID: String

  init(_ entry: RedeliveryEntry, in shard: ShardInfo?) {
    func number(_ index: RecordIndex) -> String {
      SequenceNumber(
        shardCreatedAtSeconds: shard?.createdAtSeconds ?? 0, shard: entry.shard, index: index
      ).description
    }
    at = entry.at.milliseconds
    self.shard = entry.shard.description
    lane = entry.slot
    records = entry.redelivery.count
    firstSequenceNumber = number(entry.first)
    lastSequenceNumber = number(entry.last)
    cause = entry.redelivery.cause.name
    attempt = entry.attempt
    requestID = entry.requestID
  }
}
