public import StreamModel

/// A lane as an operator sees it: where it stands, since when, and what it waits for.
public struct LaneSnapshot: Hashable, Sendable {
  public var mapping: MappingID
  public var state: State
  /// When the lane entered this state.
  public var since: MonotonicTime
  /// When the state ends by itself: the retry, the window's end, the handler's deadline, the next try of a refused
  /// write. `nil` if it ends only with an event.
  public var due: MonotonicTime?
  /// The checkpoint, durable or not: every record before it is settled.
  public var next: RecordIndex
  /// The batch in flight, in its window, under retry or on its way out; `nil` while none is formed.
  public var batch: BatchExtent?
  /// The delivery in flight.
  public var delivery: Delivery?
  /// What the head of the lane has been through; `nil` unless it has failed.
  public var failing: FailingBatch?
  /// When the failing batch is delivered again.
  public var retryDue: MonotonicTime?
  /// Why the records on their way out leave.
  public var leaving: FailureCondition?
  public var isPaused: Bool
  public var isFinished: Bool
  /// Records are given up, up to and including this one.
  public var skipsThrough: RecordIndex?
  public var waitingRedriveCount: Int
  /// Batches settled whose progress is not durable.
  public var unstoredBatchCount: Int
  public var lostToRetention: UInt64

  /// The phases of a lane; `ShardCore.LanePhase` says what each holds and where it can go.
  public enum State: Hashable, Sendable {
    case waitingForParents
    case idle
    case waitingForTurn
    case reading
    case windowing
    case delivering
    /// The handler was told to end and has not ended yet.
    case cancelling
    case backingOff
    case storingFailure
    /// The store refused the failure entry; it is tried again.
    case failureRefused
    /// As many batches are settled but not stored as may be.
    case holdingForStore
    case storeUnavailable
    case paused
    /// The block that begins at this record is damaged.
    case stopped(block: RecordIndex)
    case finished
    /// The poller drains or is drained, or the mapping is closed.
    case resting
  }
}

extension Poller {
  public func lane(_ id: LaneID) -> LaneSnapshot {
    precondition(lanes.indices.contains(id.rawValue), "a lane is opened before it is looked at")
    let lane = lanes[id.rawValue]
    return LaneSnapshot(
      mapping: mapping(of: id), state: lane.phase.state, since: lane.since, due: lane.phaseDue, next: lane.next,
      batch: lane.phase.batch ?? lane.head.failing?.extent, delivery: lane.phase.delivery, failing: lane.head.failing,
      retryDue: lane.head.isFailing ? lane.retryDue : nil, leaving: lane.phase.leaving?.order.condition,
      isPaused: lane.isPaused, isFinished: lane.isFinished, skipsThrough: lane.skipThrough,
      waitingRedriveCount: lane.redrives.count, unstoredBatchCount: lane.writer.unstoredBatches,
      lostToRetention: lane.lostToRetention)
  }

  /// Whether the lane waits in the ready ring of its mapping for a permit.
  public func waitsForTurn(_ id: LaneID) -> Bool {
    precondition(lanes.indices.contains(id.rawValue), "a lane is opened before it is looked at")
    if case .ready = lanes[id.rawValue].phase { return true }
    return false
  }

  /// What a restart would find if everything on its way were stored.
  public func progress(_ id: LaneID) -> LaneProgress {
    precondition(lanes.indices.contains(id.rawValue), "a lane is opened before it is looked at")
    return lanes[id.rawValue].progress
  }
}

extension LanePhase {
  var state: LaneSnapshot.State {
    switch self {
    case .waitingForParents: .waitingForParents
    case .idle: .idle
    case .ready: .waitingForTurn
    case .reading: .reading
    case .windowing: .windowing
    case .delivering: .delivering
    case .cancelling: .cancelling
    case .backingOff: .backingOff
    case .storingFailure: .storingFailure
    case .failureRefused: .failureRefused
    case .holding: .holdingForStore
    case .unavailable: .storeUnavailable
    case .paused: .paused
    case .stopped(let block): .stopped(block: block)
    case .finished: .finished
    case .resting: .resting
    }
  }

  var delivery: Delivery? {
    switch self {
    case .delivering(let delivery), .cancelling(let delivery, _): delivery
    case .waitingForParents, .idle, .ready, .reading, .windowing, .backingOff, .storingFailure, .failureRefused,
      .holding, .unavailable, .paused, .stopped, .finished, .resting:
      nil
    }
  }

  var leaving: Leaving? {
    switch self {
    case .storingFailure(let leaving, _), .failureRefused(let leaving): leaving
    case .waitingForParents, .idle, .ready, .reading, .windowing, .delivering, .cancelling, .backingOff, .holding,
      .unavailable, .paused, .stopped, .finished, .resting:
      nil
    }
  }

  var batch: BatchExtent? {
    if case .windowing(let seen, _) = self { return seen }
    return delivery?.extent ?? leaving?.order.extent
  }
}
