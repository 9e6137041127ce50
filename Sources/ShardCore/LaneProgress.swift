public import StreamModel

/// What a lane must find again after a restart: one small value for each mapping and shard, stored as a whole.
public struct LaneProgress: Hashable, Sendable {
  /// The checkpoint: every record before it is settled (processed, handed over, or counted as lost).
  public var next: RecordIndex
  /// The shard was closed and all of it is settled; its children may start.
  public var isFinished: Bool
  /// An operator paused the lane.
  public var isPaused: Bool
  /// The batch at the head that has failed at least once, or, without records, the final delivery of the window.
  public var failing: FailingBatch?
  /// The counts of the frozen batches that follow one another: behind the failing batch, or from the checkpoint on if
  /// none fails. Halves of a split batch, and the rest of one that was done in part.
  public var pieces: [Int]
  /// The tumbling window that has begun and is not over.
  public var window: OpenWindow?
  /// Records that retention removed before this lane came to them.
  public var lostToRetention: UInt64
  /// Records in damaged blocks that an operator gave up.
  public var lostToDamage: UInt64
  /// What became of parked keys since progress was last stored; to a lane that opens, all of them.
  public var parked: [ParkedKeyChange]
  /// Records that joined those of their parked keys since progress was last stored, of all keys together, in the order of
  /// the shard. One that stands before its key's ``ParkedKeyState/settledBefore``, or whose key is parked no more, is
  /// settled by now. Many a lane parks one record in ten: so they are one list, and what does not change of a key is not
  /// told again.
  public var parkedRecords: [ParkedRecord] = []
  /// Some keys are parked: checkpoint and attempts are not all there is to know of the lane.
  public var parksKeys = false

  public init(
    next: RecordIndex = .zero, isFinished: Bool = false, isPaused: Bool = false, failing: FailingBatch? = nil,
    pieces: [Int] = [], window: OpenWindow? = nil, lostToRetention: UInt64 = 0, lostToDamage: UInt64 = 0,
    parked: [ParkedKeyChange] = []
  ) {
    self.parked = parked
    self.next = next
    self.isFinished = isFinished
    self.isPaused = isPaused
    self.failing = failing
    self.pieces = pieces
    self.window = window
    self.lostToRetention = lostToRetention
    self.lostToDamage = lostToDamage
  }
}

/// A batch under retry. It is frozen: the same records until it succeeds, is cut or leaves the lane.
public struct FailingBatch: Hashable, Sendable {
  public var extent: BatchExtent
  /// Deliveries that used up an attempt, 0 or more.
  public var attempts: Int
  /// Deliveries that failed in a row without using one up: throttles and system errors.
  public var systemFailures: Int
  public var lastFailure: FailureKind
  public var firstFailedAt: WallTime
  public var lastFailedAt: WallTime
  /// When the next delivery is due.
  public var retryAt: WallTime
  /// What a retry rule gave up and is on its way out. `nil`: nothing, the batch is delivered again.
  public var givenUp: GivenUp?

  public enum GivenUp: UInt8, Hashable, Sendable, CaseIterable {
    case batch = 1
    /// The handler named it; those behind it are delivered again.
    case firstRecord = 2
  }

  public init(
    extent: BatchExtent, attempts: Int, systemFailures: Int, lastFailure: FailureKind, firstFailedAt: WallTime,
    lastFailedAt: WallTime, retryAt: WallTime, givenUp: GivenUp? = nil
  ) {
    self.extent = extent
    self.attempts = attempts
    self.systemFailures = systemFailures
    self.lastFailure = lastFailure
    self.firstFailedAt = firstFailedAt
    self.lastFailedAt = lastFailedAt
    self.retryAt = retryAt
    self.givenUp = givenUp
  }
}
