/// Where a lane stands in its shard. `positions show` prints it.
///
/// Times are milliseconds since 1970, durations milliseconds. What does not apply is `nil`.
public struct PositionReport: Codable, Hashable, Sendable {
  public var mapping: String
  public var shard: String
  /// Which of the shard's lanes, from 0. `nil` where there is only one.
  public var lane: Int?
  public var state: LaneState
  /// The checkpoint: the sequence number of the first record that is not settled. Caught up, it is the one that the next
  /// record will have.
  public var next: String
  /// When that record arrived; `nil` if it is not there yet.
  public var nextArrival: Int64?
  /// The head of the shard: the sequence number of its last record; `nil` if there is none.
  public var last: String?
  public var lastArrival: Int64?
  /// The oldest record that is left; `nil` if there is none.
  public var firstAvailable: String?
  /// Records from the checkpoint on. Where several lanes share the shard, those of the others are among them.
  public var recordsBehind: UInt64
  /// How old the record at the checkpoint is. Zero when caught up.
  public var ageMilliseconds: Int64
  /// Records of the batch at the checkpoint that is under retry.
  public var failingRecords: Int
  /// Records behind the head of parked keys; they are before the checkpoint and not settled.
  public var parkedRecords: UInt64
  /// Whether a tumbling window has begun.
  public var hasOpenWindow: Bool
}

/// Where lanes are to go.
public enum SeekTarget: Codable, Hashable, Sendable {
  /// The first record that arrived at this moment or later, in milliseconds since 1970.
  case time(Int64)
  /// This record is delivered next. Concerns its shard alone.
  case sequenceNumber(String)
  /// The oldest record that is left.
  case trimHorizon
  /// Behind the newest record.
  case latest
  /// The first record of the shard that is in a failure entry of the mapping. Lanes that stand before it stay there.
  case beforeFirstFailure
}

/// An order to move the lanes of a mapping.
public struct SeekOrder: Codable, Hashable, Sendable {
  public var mapping: String
  /// `nil`: all shards that the target applies to.
  public var shard: String?
  public var target: SeekTarget
  /// Drop for good what a lane is in the middle of and what does not come again. Without this such a lane is refused.
  public var discards: Bool

  public init(mapping: String, shard: String? = nil, target: SeekTarget, discards: Bool = false) {
    self.mapping = mapping
    self.shard = shard
    self.target = target
    self.discards = discards
  }
}

/// What a seek did, or would do.
public struct SeekReport: Codable, Hashable, Sendable {
  /// Whether it was carried out; otherwise this is a preview.
  public var isApplied: Bool
  /// A sentence for each thing that happens, and for what is to be known of it.
  public var effects: [String]
  /// The lanes that move.
  public var lanes: [LaneMove]
  /// Records of all lanes that come again, and those that are passed, before filters. Where several lanes share a shard
  /// each record is counted once for each lane that passes it.
  public var deliveredAgain: UInt64
  public var skipped: UInt64

  public init(isApplied: Bool) {
    self.isApplied = isApplied
    effects = []
    lanes = []
    deliveredAgain = 0
    skipped = 0
  }
}

/// One lane that moves.
public struct LaneMove: Codable, Hashable, Sendable {
  public var shard: String
  public var lane: Int?
  /// The sequence numbers of the records that were and will be next.
  public var from: String
  public var to: String
  public var deliveredAgain: RecordSpan?
  public var skipped: RecordSpan?
  /// What the lane was in the middle of and does not come again, in words.
  public var discarded: [String]
}

/// Records that follow one another in a shard.
public struct RecordSpan: Codable, Hashable, Sendable {
  public var records: UInt64
  public var firstSequenceNumber: String
  public var lastSequenceNumber: String
  /// `nil` where the block of the record is damaged.
  public var firstArrival: Int64?
  public var lastArrival: Int64?
}
