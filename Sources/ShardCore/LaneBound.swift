public import StreamModel

/// Where a lane ends in a bounded run: it works on the records before the bound, and on none from there on.
public struct LaneBound: Hashable, Sendable {
  /// The first record that is not delivered any more. 0: none is. Of a closed shard all of whose records are meant, the
  /// greatest index there is: so its lane comes to its end, and its children may start.
  public var end: RecordIndex
  /// Records from `end` on arrived at this moment or later, those before it did not. Tumbling windows that end later are
  /// not over at the bound: they go on in a later run.
  public var moment: WallTime

  public init(end: RecordIndex, moment: WallTime) {
    self.end = end
    self.moment = moment
  }
}

extension Lane {
  /// Every record before the bound is behind the lane, settled or parked.
  var isAtBound: Bool { bound.map { next >= $0.end } ?? false }

  /// The lane has come to its bound: a window that is over there gets its final delivery, and then the lane is idle.
  /// Whether it is that now.
  mutating func restAtBound(_ step: LaneStep) -> Bool {
    guard isAtBound, let bound else { return false }
    windowOpenedAt = nil
    if head.failing == nil || finalIsNext, let window, window.isEnding || window.bounds.end <= bound.moment {
      if !window.isEnding { self.window = window.ending(early: false) }
      return false
    }
    enter(.idle, step)
    return true
  }

  /// Whether records that were looked at reach to the bound. Nothing comes behind them, so they wait for nothing.
  func reachesBound(_ end: RecordIndex) -> Bool { bound.map { end >= $0.end } ?? false }

  /// Something is to be done before the bound, and nobody has to see to that. A lane that is paused or stopped at a damaged
  /// block waits for an operator, and one whose parents are not finished for these.
  var isUnderWayToBound: Bool {
    guard bound != nil else { return false }
    if isBusy { return true }
    switch phase {
    case .waitingForParents, .paused, .stopped, .resting: return false
    case .ready, .reading, .windowing, .delivering, .cancelling, .backingOff, .storingFailure, .failureRefused,
      .holding,
      .unavailable:
      return true
    case .idle, .finished: return parked?.keys.contains { $0.stoppedAt == nil && !$0.ranges.isEmpty } ?? false
    }
  }
}
