import StreamModel

/// Where a lane stands.
///
/// Each phase says what it holds and where it can go. "Goes on" means `Lane.goOn`: the lane has nothing in flight and
/// chooses what comes next.
enum LanePhase: Hashable {
  /// Parents of the shard are not finished. Holds nothing. → goes on when they are.
  case waitingForParents
  /// Caught up with an open shard. Holds nothing. → goes on when the shard changes, or when its tumbling window is over.
  case idle
  /// In the ready ring of its mapping. Holds its place there. → `reading`, or `delivering` for a redrive, when its turn
  /// comes; `paused`, `resting`.
  case ready
  /// Waits for the answer to a read. Holds the read, and a permit if the read is for delivery.
  /// → `delivering`, `windowing`, `idle`, `storingFailure`, `backingOff`, `stopped`, `unavailable`, `finished`.
  case reading(Reading)
  /// Records are there, the batch is not full and its window is open. Holds no permit and no records, only how far they
  /// reach and how far was looked. → `reading` more of them, `ready` at the window's end or at the first record's age limit.
  case windowing(BatchExtent, scannedEnd: RecordIndex)
  /// The handler works. Holds a permit and the deadline. → `cancelling` at the deadline; goes on when it has answered.
  case delivering(Delivery)
  /// The handler was told to end. Holds a permit. → goes on when it has answered, however late.
  case cancelling(Delivery, Cancellation)
  /// The batch at the head has failed and waits for its retry. Holds nothing. → `ready` when due.
  case backingOff
  /// Records leave the lane as a failure entry that is not durable yet. Holds no permit. → goes on when it is stored.
  indirect case storingFailure(Leaving, ticket: UInt64)
  /// The store refused the failure entry. Holds nothing. → `storingFailure` when due.
  indirect case failureRefused(Leaving)
  /// As many batches are settled but not stored as may be. Holds nothing. → goes on when progress is stored.
  case holding
  /// The store could not be read. Holds nothing. → goes on when due.
  case unavailable
  /// An operator paused the lane. Holds nothing. → goes on when resumed.
  case paused
  /// A block is damaged. Holds nothing. → goes on when resumed, or behind the block when that is given up.
  case stopped(block: RecordIndex)
  /// The shard was closed and all of it is settled. Holds nothing. → `ready` for a redrive.
  case finished
  /// The poller drains or the mapping is closed. Holds nothing, starts nothing. → goes on when the mapping is opened.
  case resting

  /// What a read is for.
  struct Reading: Hashable {
    var purpose: Purpose
    /// The shard changed after the read was asked for: the answer may be older than the change.
    var isDirty = false
    /// The tumbling window was over when the read was asked for: if there is nothing, none of its records is to come.
    var endsWindow = false

    enum Purpose: Hashable {
      /// To see what is there when a window opens.
      case measure
      /// To see what came behind the records of an open window, from this index on.
      case measureMore(BatchExtent, RecordIndex)
      /// To deliver it.
      case deliver
      /// To give it up.
      case skip
      /// To see whether the open window is over at the bound of the run, from this index on.
      case lookBehindBound(RecordIndex)
    }
  }

  /// Why a handler was told to end.
  enum Cancellation: Hashable {
    /// Its time was over: whatever it answers now, it timed out.
    case deadline
    /// An operator gave up its records: what it answers counts, then they leave.
    case skip
    /// The poller stops: success counts, failure counts as if the delivery had never been.
    case stop
  }

  /// Records on their way out without success.
  struct Leaving: Hashable {
    var order: FailureOrder
    /// So many records behind them remain of the batch; they make a new one.
    var rest: Int
  }

  /// Whether the lane waits for a turn. (Comparing phases would compare all that they hold.)
  var isReady: Bool {
    if case .ready = self { true } else { false }
  }

  var isHolding: Bool {
    if case .holding = self { true } else { false }
  }

  /// Whether the lane counts against its mapping's deliveries in flight.
  var holdsPermit: Bool {
    switch self {
    case .delivering, .cancelling: true
    case .reading(let reading): reading.purpose == .deliver
    case .waitingForParents, .idle, .ready, .windowing, .backingOff, .storingFailure, .failureRefused, .holding,
      .unavailable, .paused, .stopped, .finished, .resting:
      false
    }
  }

  /// Whether an answer is outstanding that must come before the lane can rest.
  var isInFlight: Bool {
    switch self {
    case .reading, .delivering, .cancelling, .storingFailure: true
    case .waitingForParents, .idle, .ready, .windowing, .backingOff, .failureRefused, .holding, .unavailable, .paused,
      .stopped, .finished, .resting:
      false
    }
  }
}
