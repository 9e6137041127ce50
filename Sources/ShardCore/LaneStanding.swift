import StreamModel

/// What a lane wants of its poller after a step.
struct LaneStanding {
  /// Something is under way that must end before the poller is drained.
  var isBusy = false
  /// It waits for a turn.
  var isReady = false
  /// It counts against its mapping's deliveries in flight.
  var holdsPermit = false
  var isFinishDurable = false
  /// The earliest moment at which the lane must be woken.
  var due: MonotonicTime?
  var trackCount = 0
  /// In a bounded run: something is to be done before its bound.
  var isUnderWayToBound = false
}
