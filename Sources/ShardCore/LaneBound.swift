import StreamModel

/// Bounded runs: a lane works on the records before its bound, and on none from there on.
///
/// Of a closed shard all of whose records are meant the bound is the greatest index there is: so its lane comes to its end,
/// and its children may start.
extension Lane {
  /// Every record before the bound is behind the lane, settled or parked.
  var isAtBound: Bool { bound.map { next >= $0 } ?? false }

  /// The lane has come to its bound: a window that is over there gets its final delivery, and then the lane is idle.
  /// Whether nothing else comes now.
  mutating func restAtBound(_ step: LaneStep, _ effects: inout [PollerEffect]) -> Bool {
    guard isAtBound, !finalIsNext else { return false }
    windowOpenedAt = nil
    if head.failing == nil, window != nil {
      lookBehindBound(from: next, step, &effects)
    } else {
      enter(.idle, step)
    }
    return true
  }

  /// Whether records that were looked at reach to the bound. Nothing comes behind them, so they wait for nothing.
  func reachesBound(_ end: RecordIndex) -> Bool { bound.map { end >= $0 } ?? false }

  // MARK: Behind the bound

  /// Only what stands behind the bound tells whether a tumbling window is over: records that arrived after the run had
  /// begun may still belong to it, wherever the wall clock has stepped meanwhile. One that goes on is left to a later run.
  mutating func take(
    _ answer: ReadAnswer, behindBoundFrom from: RecordIndex, endsWindow: Bool, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    guard isAtBound, head.failing == nil, let window else { return goOn(step, &effects) }
    let isOver: Bool
    switch answer {
    case .records(let result): isOver = result.extent.firstArrival >= window.bounds.end
    case .nothingSelected(_, let end) where end > from: return lookBehindBound(from: end, step, &effects)
    case .caughtUp: isOver = endsWindow
    case .shardEnd: isOver = true
    case .nothingSelected, .onlyParked, .parkingFull, .corrupted: isOver = false
    case .unavailable:
      return enter(
        .unavailable, step, until: step.now.monotonic.adding(milliseconds: step.limits.storeRetryMilliseconds))
    }
    guard isOver else { return enter(.idle, step) }
    self.window = window.ending(early: false)
    goOn(step, &effects)
  }

  // MARK: The end of the run

  /// Something is to be done before the bound, and nobody has to see to that. A lane that is paused or stopped at a damaged
  /// block waits for an operator, and one whose parents are not finished for these.
  var isUnderWayToBound: Bool {
    guard bound != nil else { return false }
    if isBusy { return true }
    switch phase {
    case .waitingForParents, .paused, .stopped, .resting: return false
    case .ready, .reading, .windowing, .delivering, .cancelling, .backingOff, .storingFailure, .failureRefused,
      .holding, .unavailable:
      return true
    case .idle, .finished: return parked?.keys.contains { $0.stoppedAt == nil && !$0.ranges.isEmpty } ?? false
    }
  }
}
