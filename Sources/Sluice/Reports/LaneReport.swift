/// Why a lane is where it is, what happens next and when, and what it will cost. `explain` prints it.
///
/// Times are milliseconds since 1970, durations milliseconds. What does not apply is `nil`.
public struct LaneReport: Codable, Hashable, Sendable {
  public var mapping: String
  public var stream: String
  public var shard: String
  /// Which of the shard's lanes, from 0. `nil` where there is only one.
  public var lane: Int?
  /// How many lanes share the shard.
  public var laneCount: Int
  public var state: LaneState
  /// Since when it is in this state. `nil` if only the store was asked.
  public var since: Int64?
  /// One sentence.
  public var summary: String
  /// The sequence number of the first record that is not settled, if there is one.
  public var checkpoint: String?
  /// The batch at the head, when it is being delivered or retried.
  public var batch: BatchReport?
  /// The batches behind it that were cut from the same one, by their records, the next one first: halves of a batch that
  /// failed, or the rest of one that was done in part. They are delivered one after the other.
  public var pieces: [Int] = []
  /// The failed deliveries of the records at the checkpoint: of the failing batch, and of larger ones that it was cut
  /// from. Newest last.
  public var attempts: [AttemptReport]
  public var attemptsOmitted: Int
  public var attemptsMade: Int
  /// `nil`: without end.
  public var attemptsLeft: Int?
  public var nextAttemptAt: Int64?
  /// When the batch leaves the lane whatever happens. `nil` if age does not end it.
  public var expiresAt: Int64?
  /// Where it goes then.
  public var expiresTo: String
  /// Records behind the batch, and all of them together with the batch. Where several lanes share the shard, those of the
  /// others are among them.
  public var waitingRecords: UInt64
  public var backlogRecords: UInt64
  /// The age of the oldest record that is not settled, in milliseconds of wall time. Zero when caught up.
  public var iteratorAgeMilliseconds: Int64
  /// The arrival of the first record behind the batch.
  public var oldestWaitingArrival: Int64?
  /// When retention removes the first record that is not settled.
  public var firstLossAt: Int64?
  /// Records that retention has removed already. One of several lanes counts those of the others too.
  public var lostToRetention: UInt64
  /// Records in damaged blocks that were skipped.
  public var lostToDamage: UInt64
  /// The damaged block at which the lane stopped, if that is why.
  public var damage: DamageReport?
  /// Keys that wait while the rest of the lane goes on: how many, and those that wait longest.
  public var parkedKeyCount = 0
  public var parkedRecords: UInt64 = 0
  public var parkedKeys: [ParkedKeyReport] = []
  /// Failure entries of the whole mapping that are on their way to its destination.
  public var pendingDeliveries: Int
  /// Those that could not be delivered.
  public var undeliverableEntries: Int
  /// The tumbling window that the lane is in.
  public var window: WindowReport?
  /// Records that the filter could not judge, the first of the whole mapping, or of the shard that was asked for. Only
  /// the first lane of an answer of `explain` has them.
  public var filterExamples: [FilterExampleReport] = []
  /// Parents that are not finished.
  public var waitingFor: [String]
  /// What becomes of the failing batch if it goes on like this. Only `explain` looks ahead.
  public var outlook: LaneOutlook?
  /// Of a shadow mapping what its handler has answered, over all lanes. Only the first lane of an answer of `explain` has it.
  public var shadow: ShadowReport?
  /// Where its mapping is in its life.
  public var mappingState = MappingState.enabled
  /// What one can do about it, as commands.
  public var commands: [SuggestedCommand]
}

extension LaneReport {
  /// The lane's mapping, its shard, and which of the shard's lanes it is.
  public var subject: String { "\(mapping) \(shard)" + (lane.map { " lane \($0)" } ?? "") }

  /// Since when a batch that failed holds it up, in milliseconds since 1970; `nil` if none does.
  public var blockedSince: Int64? { state.isBlocked ? attempts.first?.startedAt ?? since : nil }
}

/// The states of a lane as people see them.
public enum LaneState: String, Codable, Hashable, Sendable, CaseIterable {
  case waitingForParents
  case idle
  case filling
  case delivering
  case retrying
  case storingFailure
  case paused
  case stopped
  case finished
  /// Nothing works on it: no worker runs.
  case notRunning

  /// Whether the shard is held up by a batch that failed.
  public var isBlocked: Bool {
    switch self {
    case .retrying, .storingFailure, .stopped: true
    case .waitingForParents, .idle, .filling, .delivering, .paused, .finished, .notRunning: false
    }
  }
}

public struct BatchReport: Codable, Hashable, Sendable {
  public var firstSequenceNumber: String
  public var lastSequenceNumber: String
  public var records: Int
  /// The partition key of the first record; invalid UTF-8 is shown as `�`.
  public var partitionKey: String?
  public var firstArrival: Int64
  public var lastArrival: Int64
  /// The first bytes of the first record, if they are readable text.
  public var preview: String?

  public static let previewByteLimit = 400
}

/// A damaged block, and what it costs a lane to go on behind it.
public struct DamageReport: Codable, Hashable, Sendable {
  /// The index of its first record, as `check-store` names it.
  public var block: UInt64
  public var firstSequenceNumber: String
  public var lastSequenceNumber: String
  /// Its records that this mapping has not settled.
  public var records: UInt64
  /// The damage is such that nobody can tell how many records the block held: there were at most so many, and
  /// `lastSequenceNumber` is the last that one of them can have had.
  public var isAtMost: Bool

  /// What a skip loses, in words.
  public var loss: String {
    "\(isAtMost ? "at most " : "")\(records) record\(records == 1 ? " is" : "s are") lost"
  }
}

public struct SuggestedCommand: Codable, Hashable, Sendable {
  public var command: String
  public var effect: String
}
