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
  /// Keys that are parked, and the records of theirs that wait.
  public var parkedKeyCount = 0
  public var parkedRecordCount: UInt64 = 0
  /// The tumbling window that has begun and is not over.
  public var window: OpenWindow?
  /// The first record that the lane does not come to in a bounded run; `nil`: it goes on.
  public var bound: RecordIndex?

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
    /// The next record belongs to a parked key, and as many records are parked as may be.
    case holdingForKeys
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
    let lane = laneState(id)
    return LaneSnapshot(
      mapping: mapping(of: id), state: lane.isHeldByParking ? .holdingForKeys : lane.phase.state, since: lane.since,
      due: lane.phaseDue, next: lane.next,
      batch: (lane.phase.batch ?? lane.head.failing?.extent).flatMap { $0.isEmpty ? nil : $0 },
      delivery: lane.phase.delivery, failing: lane.head.failing,
      retryDue: lane.head.isFailing ? lane.retryDue : nil, leaving: lane.phase.leaving?.order.condition,
      isPaused: lane.isPaused, isFinished: lane.isFinished, skipsThrough: lane.skipThrough,
      waitingRedriveCount: lane.redrives.count, unstoredBatchCount: lane.writer.unstoredBatches,
      lostToRetention: lane.lostToRetention, parkedKeyCount: lane.parked?.waitingCount ?? 0,
      parkedRecordCount: lane.parked?.recordCount ?? 0, window: lane.window, bound: lane.bound)
  }

  /// Whether the lane waits in the ready ring of its mapping for a permit.
  public func waitsForTurn(_ id: LaneID) -> Bool {
    if let track = track(id) { return track.isReady }
    return lanes[seats[id.rawValue].lane].phase.isReady
  }

  /// What a restart would find if everything on its way were stored.
  public func progress(_ id: LaneID) -> LaneProgress {
    laneState(id).wholeProgress
  }

  /// The parked keys of a lane, those that wait longest first.
  public func parkedKeys(_ id: LaneID) -> [ParkedKeySnapshot] {
    laneState(id).parked?.snapshots ?? []
  }
}

/// A parked key as an operator sees it.
public struct ParkedKeySnapshot: Hashable, Sendable {
  public var key: PartitionKeyHash
  /// When it was parked.
  public var since: WallTime
  /// The first and the last of its records that are parked and not settled, and how many there are.
  public var first: RecordIndex
  public var last: RecordIndex
  public var recordCount: UInt64
  /// What its head has been through; `nil` unless it has failed.
  public var failing: FailingBatch?
  /// When it is delivered next; `nil` while it is being delivered, or stopped.
  public var due: MonotonicTime?
  public var isDelivering: Bool
  /// A block with its next record is damaged.
  public var stoppedAt: RecordIndex?

  public init(
    key: PartitionKeyHash, since: WallTime, first: RecordIndex, last: RecordIndex, recordCount: UInt64,
    failing: FailingBatch?, due: MonotonicTime?, isDelivering: Bool, stoppedAt: RecordIndex?
  ) {
    self.last = last
    self.key = key
    self.since = since
    self.first = first
    self.recordCount = recordCount
    self.failing = failing
    self.due = due
    self.isDelivering = isDelivering
    self.stoppedAt = stoppedAt
  }
}

extension ParkedKeys {
  /// Keys that have records to wait for.
  var waitingCount: Int { keys.count { !$0.ranges.isEmpty } }

  fileprivate var snapshots: [ParkedKeySnapshot] {
    keys.compactMap { key in
      key.ranges.first.map { first in
        ParkedKeySnapshot(
          key: key.key, since: key.since, first: first, last: key.ranges.last ?? first,
          recordCount: key.ranges.count, failing: key.head.failing,
          due: key.isWorkedOn || key.stoppedAt != nil ? nil : key.due, isDelivering: key.isWorkedOn,
          stoppedAt: key.stoppedAt)
      }
    }
    .sorted { ($0.since, $0.first) < ($1.since, $1.first) }
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
