import StreamModel

/// What a lane hears of: the poller's events without the lane, and what the poller itself grants.
enum LaneEvent {
  /// All parents are finished, and that is durable.
  case parentsFinished
  /// The lane, waiting in the ready ring, has got a permit of its mapping.
  case turnGiven
  /// The lane's earliest moment has come.
  case timerFired
  case shardChanged
  case readAnswered(ReadAnswer)
  case handlerAnswered(DeliveryID, DeliveryAnswer)
  case progressStored(revision: UInt64)
  case progressRefused(revision: UInt64)
  case failureStored(ticket: UInt64)
  case failureRefused(ticket: UInt64)
  case pauseRequested
  case resumeRequested
  case retryRequested
  case skipRequested(through: RecordIndex)
  case keySkipRequested(PartitionKeyHash, through: RecordIndex)
  case damageSkipRequested(block: RecordIndex, end: RecordIndex)
  case redriveRequested(Redrive)
  /// Of the whole poller or of the lane's mapping.
  case drainRequested
  case stopRequested
  case policyChanged
  case reopened
}

/// What one step of a lane may look at besides the lane.
struct LaneStep {
  let terms: LaneTerms
  let now: Now
  /// A random number; drawn only for events that can lead to a backoff, otherwise zero.
  let jitter: UInt64
  /// The poller is draining, or the mapping is closed: nothing new starts.
  let isDraining: Bool

  var policy: LanePolicy { terms.policy }
  var limits: PollerLimits { terms.limits }
}

/// The settings under which the lanes of a mapping take their steps.
///
/// An object that never changes, so that a step carries one word for all of them.
final class LaneTerms: Hashable, Sendable {
  let policy: LanePolicy
  let limits: PollerLimits

  init(_ policy: LanePolicy, _ limits: PollerLimits) {
    self.policy = policy
    self.limits = limits
  }

  static func == (left: LaneTerms, right: LaneTerms) -> Bool {
    left === right || left.policy == right.policy && left.limits == right.limits
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(policy)
    hasher.combine(limits)
  }
}
