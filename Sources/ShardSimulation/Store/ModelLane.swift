import ShardCore
import StreamModel

/// What the store holds of one lane: the durable progress, and the writes that are on their way to be durable.
///
/// A write is first uncommitted, then committed, then answered. A crash takes what is uncommitted and forgets which
/// answers are owed, as a process that ends between the transaction and the answer does.
struct ModelLane: Hashable {
  /// What a new process finds.
  private(set) var committed = LaneProgress()
  /// The parked keys with it.
  private(set) var parked = ModelParked()
  /// Progress was stored at least once.
  private(set) var hasProgress = false

  private(set) var progress = LaneProgress()
  private(set) var progressRevision: UInt64 = 0
  private(set) var progressState = WriteState.none

  private(set) var failure = FailureOrder(
    extent: BatchExtent(first: .zero, count: 1, firstArrival: .zero, lastArrival: .zero, payloadBytes: 0),
    condition: .skipped, attempts: 0)
  private(set) var failureTicket: UInt64 = 0
  private(set) var failureState = WriteState.none

  /// Records whose effects are durable, for a handler that writes to tables; and those that become so with `progress`.
  var effects = RecordSet()
  private(set) var effectsUnderWay = RecordSet()

  init() {}

  /// A lane that begins with what others have left, which is durable.
  init(beginningWith progress: LaneProgress) {
    committed = progress
    hasProgress = true
  }

  enum WriteState {
    case none, uncommitted, committed
  }

  mutating func storeProgress(_ progress: LaneProgress, revision: UInt64, effects: RecordSet = RecordSet()) {
    self.progress = progress
    effectsUnderWay = effects
    progressRevision = revision
    progressState = .uncommitted
  }

  mutating func commitProgress() {
    parked.apply(progress)
    committed = progress
    committed.parked = []
    committed.parkedRecords = []
    effects.formUnion(effectsUnderWay)
    effectsUnderWay = RecordSet()
    hasProgress = true
    progressState = .committed
  }

  mutating func endProgress() {
    progressState = .none
    effectsUnderWay = RecordSet()
  }

  mutating func storeFailure(_ order: FailureOrder, ticket: UInt64) {
    failure = order
    failureTicket = ticket
    failureState = .uncommitted
  }

  mutating func commitFailure() { failureState = .committed }

  mutating func endFailure() { failureState = .none }

  /// What a lane that opens is given.
  var opening: LaneProgress {
    var progress = committed
    progress.parked = parked.all
    return progress
  }

  mutating func crash() {
    endProgress()
    failureState = .none
  }
}
