import StreamModel

/// One shard as worked by one mapping: forms batches, delivers them in order, one at a time, and blocks while one fails.
///
/// Plain data. `step` is the only way in; it appends orders to `effects` and says nothing else. What the lane wants of
/// its poller can be seen on it: a turn (`phase` is `ready`), a permit (`phase.holdsPermit`), a timer (`due`).
struct Lane: Hashable {
  let id: LaneID
  /// The first record that the lane does not come to in a bounded run; `nil`: it goes on.
  let bound: RecordIndex?
  var phase: LanePhase
  /// When the lane entered its phase.
  var since: MonotonicTime
  /// When the phase ends by itself.
  var phaseDue: MonotonicTime?

  /// The checkpoint: every record before it is settled.
  var next: RecordIndex
  var head: LaneHead
  /// The counts of the frozen batches behind the head, the nearest last.
  var pieces: [Int] = []
  /// When the failing batch is delivered again.
  var retryDue: MonotonicTime = .zero
  /// When the window of the next batch opened; `nil` while nothing waits.
  var windowOpenedAt: MonotonicTime?
  /// The tumbling window that has begun and is not over; `nil` while none is, and always without windows.
  var window: OpenWindow?
  var lostToRetention: UInt64
  var lostToDamage: UInt64
  var isPaused: Bool
  var isFinished: Bool
  /// An operator gave up the records up to and including this one.
  var skipThrough: RecordIndex?
  var hasUnfinishedParents: Bool

  var writer = ProgressWriter()
  /// The revision that says the lane is finished; `nil` while it is not, zero when it was opened finished.
  var finishRevision: UInt64?
  /// What is parked; `nil` in a lane that blocks as a whole.
  var parked: ParkedKeys?
  /// Where parked keys are delivered from; none in a lane that blocks as a whole.
  var tracks: [KeyTrack] = []
  var redrives = RedriveQueue()
  var lastDelivery: UInt64 = 0
  var lastTicket: UInt64 = 0

  /// The earliest moment at which the lane must be woken.
  var due: MonotonicTime? {
    guard let phaseDue else { return writer.retryDue }
    guard let retryDue = writer.retryDue else { return phaseDue }
    return min(phaseDue, retryDue)
  }

  /// Whether something is under way that must end before the poller is drained.
  var isBusy: Bool { phase.isInFlight || !writer.isSettled || tracksAreInFlight }

  /// What the lane wants of its poller. `mutating` without changing anything: it looks at the lane where it lies, and
  /// a look at an element of an array would copy it.
  mutating func standing() -> LaneStanding {
    LaneStanding(
      isBusy: isBusy, isReady: phase.isReady, holdsPermit: phase.holdsPermit, isFinishDurable: isFinishDurable,
      due: due, trackCount: tracks.count, isUnderWayToBound: isUnderWayToBound)
  }

  var isFinishDurable: Bool {
    guard let finishRevision else { return false }
    return writer.storedRevision >= finishRevision
  }

  /// The one way in. Every phase is named under every event that it could answer to; a late, repeated or overtaken
  /// event finds another phase, or another number, and changes nothing.
  mutating func step(_ event: LaneEvent, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    switch event {
    case .parentsFinished:
      hasUnfinishedParents = false
      goOn(step, &effects)

    case .turnGiven:
      precondition(phase == .ready, "a turn is given to a lane that waits for it")
      takeTurn(step, &effects)

    case .shardChanged:
      switch phase {
      case .idle:
        // Behind its bound nothing is the lane's any more.
        if !isAtBound { goOn(step, &effects) }
      case .windowing(let seen, let scannedEnd): measureMore(behind: seen, from: scannedEnd, step, &effects)
      case .reading(var reading):
        reading.isDirty = true
        phase = .reading(reading)
      case .waitingForParents, .ready, .delivering, .cancelling, .backingOff, .storingFailure, .failureRefused,
        .holding, .unavailable, .paused, .stopped, .finished, .resting:
        break  // Each of these reads again before it becomes idle.
      }

    case .timerFired:
      guard let phaseDue, phaseDue <= step.now.monotonic else { break }
      switch phase {
      case .windowing: enter(.ready, step)
      case .backingOff, .unavailable, .idle: goOn(step, &effects)
      case .failureRefused(let leaving): storeFailure(leaving, step, &effects)
      case .delivering(let delivery): cancel(delivery, because: .deadline, step, &effects)
      case .waitingForParents, .ready, .reading, .cancelling, .storingFailure, .holding, .paused, .stopped, .finished,
        .resting:
        preconditionFailure("a phase without a moment is not due")
      }

    case .readAnswered(let answer):
      switch phase {
      case .reading(let reading): take(answer, to: reading, step, &effects)
      case .waitingForParents, .idle, .ready, .windowing, .delivering, .cancelling, .backingOff, .storingFailure,
        .failureRefused, .holding, .unavailable, .paused, .stopped, .finished, .resting:
        break
      }

    case .handlerAnswered(let id, let answer):
      switch phase {
      case .delivering(let delivery) where delivery.id == id: take(answer, to: delivery, step, &effects)
      case .cancelling(let delivery, let cancellation) where delivery.id == id:
        take(answer, to: delivery, cancelledBecauseOf: cancellation, step, &effects)
      case .waitingForParents, .idle, .ready, .reading, .windowing, .delivering, .cancelling, .backingOff,
        .storingFailure, .failureRefused, .holding, .unavailable, .paused, .stopped, .finished, .resting:
        break
      }

    case .failureStored(let stored):
      switch phase {
      case .storingFailure(let leaving, let ticket) where ticket == stored: settle(leaving, step, &effects)
      case .waitingForParents, .idle, .ready, .reading, .windowing, .delivering, .cancelling, .backingOff,
        .storingFailure, .failureRefused, .holding, .unavailable, .paused, .stopped, .finished, .resting:
        break
      }

    case .failureRefused(let refused):
      switch phase {
      case .storingFailure(let leaving, let ticket) where ticket == refused: waitToStore(leaving, step, &effects)
      case .waitingForParents, .idle, .ready, .reading, .windowing, .delivering, .cancelling, .backingOff,
        .storingFailure, .failureRefused, .holding, .unavailable, .paused, .stopped, .finished, .resting:
        break
      }

    case .retryRequested:
      switch phase {
      case .backingOff:
        retryDue = step.now.monotonic
        goOn(step, &effects)
      case .failureRefused(let leaving): storeFailure(leaving, step, &effects)
      case .waitingForParents, .idle, .ready, .reading, .windowing, .delivering, .cancelling, .storingFailure,
        .holding, .unavailable, .paused, .stopped, .finished, .resting:
        break
      }

    case .drainRequested, .stopRequested:
      switch phase {
      case .delivering(let delivery):
        if case .stopRequested = event { cancel(delivery, because: .stop, step, &effects) }
      case .cancelling(let delivery, .skip):
        if case .stopRequested = event { enter(.cancelling(delivery, .stop), step) }
      case .cancelling, .reading, .storingFailure:
        break  // In flight: it ends, and then the lane rests.
      case .waitingForParents, .idle, .ready, .windowing, .backingOff, .failureRefused, .holding, .unavailable,
        .paused, .stopped, .finished, .resting:
        goOn(step, &effects)
      }

    case .policyChanged: policyChanged(step, &effects)
    case .reopened: reopened(step, &effects)
    case .pauseRequested: pause(step, &effects)
    case .resumeRequested: resume(step, &effects)
    case .skipRequested(let index): skip(through: index, step, &effects)
    case .keySkipRequested: break  // Concerns the tracks.
    case .damageSkipRequested(let block, let end): skipDamage(at: block, end: end, step, &effects)
    case .redriveRequested(let redrive): redriveLater(redrive, step, &effects)

    // Progress runs beside everything else.
    case .progressStored(let revision): takeStored(revision: revision, step, &effects)
    case .progressRefused(let revision):
      takeRefused(revision: revision, step)
    }
    if parked != nil {
      stepTracks(event, step, &effects)
      followTracks(step, &effects)
    }
    storeProgress(step, &effects)
  }

  /// With nothing in flight, chooses what comes next. The order of the questions is the order of their weight.
  mutating func goOn(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    if step.isDraining {
      dropRedrives(&effects)
      // Of records that come before the lane goes on, nobody has said that they are given up.
      skipThrough = nil
      return enter(.resting, step)
    }
    if hasUnfinishedParents { return enter(.waitingForParents, step) }
    if let skipThrough {
      if finalIsNext, let final = head.failing {
        return leave(final.extent, because: .skipped, rest: 0, step, &effects)
      }
      if isFinished || skipThrough < next {
        self.skipThrough = nil
      } else {
        return readToSkip(through: skipThrough, step, &effects)
      }
    }
    if isPaused { return enter(.paused, step) }
    if isFinished { return enter(redrives.isEmpty ? .finished : .ready, step) }
    if canRedrive { return enter(.ready, step) }
    if restAtBound(step, &effects) { return }
    if writer.unstoredBatches >= step.policy.unstoredBatchLimit {
      parked?.isFull = false
      return enter(.holding, step)
    }
    switch head {
    case .failing(let batch):
      if parkHead(step) { return goOn(step, &effects) }
      let due = dueTime(ofRetry: batch, at: retryDue, step)
      if due > step.now.monotonic {
        enter(.backingOff, step, until: due)
      } else if finalIsNext, let condition = reasonToGiveUpFinal(batch, step) {
        leave(batch.extent, because: condition, rest: 0, step, &effects)
      } else {
        enter(.ready, step)
      }
    case .cut:
      enter(.ready, step)
    case .open:
      if step.policy.windowMilliseconds > 0, !finalIsNext { measure(step, &effects) } else { enter(.ready, step) }
    }
  }

  /// A lane has one due moment per phase; entering a phase sets it and forgets the former.
  mutating func enter(_ phase: LanePhase, _ step: LaneStep, until due: MonotonicTime? = nil) {
    self.phase = phase
    since = step.now.monotonic
    phaseDue = due
  }
}
