import StreamModel

/// Operators' orders. They answer to the phase the lane is in; what does not apply any more changes nothing.
extension Lane {
  /// What is in flight ends; a failure entry on its way is still stored.
  mutating func pause(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    guard !isPaused else { return }
    isPaused = true
    progressChanged(settlingBatch: false)
    if !phase.isInFlight, !isWaitingToLeave { goOn(step, &effects) }
  }

  /// Goes on after a pause; a lane stopped at a damaged block tries it again.
  mutating func resume(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    if isPaused {
      isPaused = false
      progressChanged(settlingBatch: false)
    } else if case .stopped = phase {
      // Nothing to store: that a lane is stopped is found out by reading.
    } else {
      return
    }
    if !phase.isInFlight, !isWaitingToLeave { goOn(step, &effects) }
  }

  /// Gives up the records up to and including `index`. A delivery of them is cancelled first; what it answers counts,
  /// and what is left of them leaves. Records that are not there yet are not given up in advance, and none behind the
  /// bound of the run: those of parked keys among them would be parked, and then delivered.
  mutating func skip(through wanted: RecordIndex, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    let meansFinal = finalIsNext && head.failing?.extent.last == wanted
    var index = wanted
    if let bound, !meansFinal {
      guard let last = bound.previous else { return }
      index = min(index, last)
    }
    guard !isFinished, !hasUnfinishedParents, !step.isDraining, index >= next || meansFinal else { return }
    skipThrough = max(skipThrough ?? index, index)
    switch phase {
    case .delivering(let delivery):
      // A redrive in between is not meant.
      let isMeant = delivery.source == .shard || delivery.source == .windowEnd && head.isFailing
      if isMeant { cancel(delivery, because: .skip, step, &effects) }
    case .reading, .cancelling, .storingFailure, .failureRefused:
      break
    case .waitingForParents, .idle, .ready, .windowing, .backingOff, .holding, .unavailable, .paused, .stopped,
      .finished, .resting:
      goOn(step, &effects)
    }
  }

  /// Goes on behind the damaged block at which the lane stopped. There is nothing that a failure entry could hold: the
  /// records before `end` that are not settled are counted as lost.
  mutating func skipDamage(
    at block: RecordIndex, end: RecordIndex, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    guard case .stopped(block: block) = phase, end > block, end > next, !step.isDraining else { return }
    countLost(until: block, &effects)
    let count = next.distance(to: end)
    lostToDamage += count
    next = end
    head = .open
    pieces.removeAll()
    progressChanged(settlingBatch: false)
    effects.append(.countLost(id, count))
    goOn(step, &effects)
  }

  /// Records skipped one batch's worth at a time; they leave with the attempts they had.
  mutating func giveUp(_ result: ReadResult, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    let extent = result.extent
    countLost(until: result.begin, &effects)
    guard let through = skipThrough, extent.last <= through else {
      // Retention has passed what was given up.
      skipThrough = nil
      return goOn(step, &effects)
    }
    pass(to: extent.first, step)
    leave(extent, because: .skipped, rest: max(0, (head.count ?? 0) - extent.count), step, &effects)
  }

  /// Redrives stand between two batches. They wait while a batch fails, because its records come before them.
  mutating func redriveLater(_ redrive: Redrive, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    // A record out of its window has no state to be given.
    guard !step.isDraining, redrives.count < step.limits.redriveLimit, step.policy.tumblingWindowMilliseconds == 0
    else {
      effects.append(.settleRedrive(id, entry: redrive.entry, succeeded: false))
      return
    }
    redrives.append(redrive)
    switch phase {
    case .idle, .windowing, .holding, .finished:
      if canRedrive { goOn(step, &effects) }
    case .waitingForParents, .ready, .reading, .delivering, .cancelling, .backingOff, .storingFailure,
      .failureRefused, .unavailable, .paused, .stopped, .resting:
      break
    }
  }

  /// One attempt each. A failed one takes those behind it along: they would otherwise overtake it.
  mutating func endRedrive(
    _ entry: UInt64, succeeded: Bool, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    effects.append(.settleRedrive(id, entry: entry, succeeded: succeeded))
    if !succeeded { dropRedrives(&effects) }
    goOn(step, &effects)
  }

  mutating func dropRedrives(_ effects: inout [PollerEffect]) {
    while !redrives.isEmpty {
      effects.append(.settleRedrive(id, entry: redrives.removeFirst().entry, succeeded: false))
    }
  }

  private var isWaitingToLeave: Bool {
    if case .failureRefused = phase { true } else { false }
  }
}
