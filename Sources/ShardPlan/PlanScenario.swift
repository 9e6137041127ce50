public import ShardCore
public import StreamModel

/// What a plan is made for: the policy of a mapping, the records of a shard, and what its handler makes of them.
public struct PlanScenario: Hashable, Sendable {
  public var policy: LanePolicy
  /// All that the shard holds, in its order; there from the beginning.
  public var records: [PlannedRecord]
  /// The lanes that share the shard, 1 or more.
  public var laneCount = 1
  /// A handler that reports names every record that fails, and the others are remembered as done: `itemFailures: every`.
  public var namesEveryFailure = false
  /// How long the handler takes for a batch, in milliseconds. At the mapping's timeout it is cancelled.
  public var handlerMilliseconds: Int64 = 0
  /// The wall clock at the beginning. Tumbling windows stand at its multiples: one begins here, unless it is set.
  public var beginning = WallTime(milliseconds: 1_700_000_000_000)
  /// The index of the first record, and where the lanes stand. A lane that stands somewhere is alone.
  public var firstIndex = RecordIndex.zero
  public var progress: LaneProgress?
  /// Invocations after which the plan is cut.
  public var invocationLimit = 20_000

  public init(policy: LanePolicy, records: [PlannedRecord]) {
    // What is shown is one lane with its batches: keys that would be parked block it.
    self.policy = policy
    self.policy.parking = nil
    self.records = records
    // A tumbling window begins with the plan.
    let window = policy.tumblingWindowMilliseconds
    if window > 0 { beginning = TimeWindow(holding: beginning, lengthMilliseconds: window).start }
  }
}

/// A record of a plan.
public struct PlannedRecord: Hashable, Sendable {
  /// How old it is at the beginning.
  public var ageMilliseconds: Int64
  /// The lane that works on it, 0 ..< `laneCount`.
  public var lane: Int
  /// What goes wrong with it. `nil`: nothing does, it is healthy.
  public var failure: PlannedFailure?

  public init(ageMilliseconds: Int64 = 0, lane: Int = 0, failure: PlannedFailure? = nil) {
    self.ageMilliseconds = ageMilliseconds
    self.lane = lane
    self.failure = failure
  }
}

/// How a delivery fails that comes to a record. A handler works in order: of several such records the first one counts.
public struct PlannedFailure: Hashable, Sendable {
  /// `.reportedNoProgress` stands for a handler that reports the record as failed, wherever it stands in its batch.
  public var kind: FailureKind
  /// The retry rule that the failure falls under.
  public var rule: RetryRuleID?
  /// The deliveries that fail before the record succeeds. `nil`: all do.
  public var times: Int?

  public init(_ kind: FailureKind, rule: RetryRuleID? = nil, times: Int? = nil) {
    self.kind = kind
    self.rule = rule
    self.times = times
  }
}
