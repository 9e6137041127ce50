import StreamModel

/// The tracks of a lane: which key is delivered next, and what comes of it.
extension Lane {
  /// After each step: brings what the tracks do, and what waits for them, in line with what happened.
  mutating func followTracks(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    guard parked != nil else { return }
    goOnBesideTracks(step, &effects)
    assignTracks(step, &effects)
  }

  /// What the lane itself waited for may have come about on a track.
  private mutating func goOnBesideTracks(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    switch phase {
    case .idle:
      if canRedrive { return goOn(step, &effects) }
      rejoinEmptyKeys()
      if parked?.isAtShardEnd == true, parked?.isEmpty == true {
        parked?.isAtShardEnd = false
        goOn(step, &effects)
      }
    case .holding:
      // A skip comes before a redrive and a pause, and it waits for room as well.
      let isWanted = step.isDraining || (skipThrough == nil && (canRedrive || isPaused))
      if isHeldByParking, hasRoomToPark(step) || isWanted {
        parked?.isFull = false
        goOn(step, &effects)
      }
    case .backingOff:
      if let key = parked?.headKey, let first = head.failing?.extent.first, canPark(first, key: key, step) {
        goOn(step, &effects)
      }
    case .windowing, .finished:
      if canRedrive { goOn(step, &effects) }
    case .ready:
      // Tracks have settled what was free when the lane came to stand here.
      if writer.unstoredBatches >= step.policy.unstoredBatchLimit { goOn(step, &effects) }
    case .waitingForParents, .reading, .delivering, .cancelling, .storingFailure, .failureRefused, .unavailable,
      .paused, .stopped, .resting:
      break
    }
  }

  /// Redrives stand between deliveries: of the lane's own batches, and of its keys'.
  var canRedrive: Bool { !redrives.isEmpty && !head.isFailing && !tracksAreInFlight }

  /// Whether redrives only wait for the tracks to be done. Where they wait for something else, that may in turn wait for
  /// the tracks.
  private var redrivesAreNext: Bool {
    guard !redrives.isEmpty, !head.isFailing, skipThrough == nil else { return false }
    if case .stopped = phase { return false }
    return true
  }

  var tracksAreInFlight: Bool {
    for track in tracks.indices where tracks[track].isInFlight { return true }
    return false
  }

  private func tracksMayStart(_ step: LaneStep) -> Bool {
    guard !step.isDraining, !isPaused, !hasUnfinishedParents, !redrivesAreNext else { return false }
    if case .failureEntry = phase.delivery?.source { return false }
    return writer.unstoredBatches < step.policy.unstoredBatchLimit
  }

  /// Gives the keys that are due to tracks that are free, the longest due first; or takes them back.
  private mutating func assignTracks(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    guard !tracks.isEmpty else { return }
    let mayStart = tracksMayStart(step)
    var nextDue: MonotonicTime?
    for track in tracks.indices {
      switch tracks[track].phase {
      case .ready(let key):
        // A key that was given up needs no permit.
        if !mayStart || isGivenUp(key) { release(track) }
      case .failureRefused:
        if step.isDraining { release(track) }
      case .idle, .reading, .delivering, .cancelling, .storingFailure:
        break
      }
    }
    for track in tracks.indices where tracks[track].isIdle {
      guard mayStart, let place = parked?.earliest(), let key = parked?.keys[place] else {
        tracks[track].due = nil
        continue
      }
      guard key.due <= step.now.monotonic else {
        // One of them wakes up for it.
        tracks[track].due = nextDue == nil ? key.due : nil
        nextDue = key.due
        continue
      }
      parked?.touch(place) { $0.isWorkedOn = true }
      tracks[track].due = nil
      if isGivenUp(key.key) {
        readKey(key.key, on: track, isSkip: true, step, &effects)
      } else {
        tracks[track].phase = .ready(key.key)
      }
    }
  }

  private func isGivenUp(_ key: PartitionKeyHash) -> Bool {
    guard let parked, let place = parked.place(of: key), let through = parked.keys[place].skipThrough,
      let first = parked.keys[place].ranges.first
    else { return false }
    return first <= through
  }

  /// The track lets go of its key.
  mutating func release(_ track: Int) {
    guard let key = tracks[track].key else { return }
    tracks[track].phase = .idle
    tracks[track].due = nil
    guard let place = parked?.place(of: key) else { return }
    parked?.touch(place) { key in
      key.isWorkedOn = false
      // What was given up is gone.
      if let through = key.skipThrough, key.ranges.first.map({ $0 > through }) ?? true { key.skipThrough = nil }
    }
  }

  // MARK: Events

  /// The same for a track as `step` for the lane.
  mutating func step(track: Int, _ event: LaneEvent, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    // A lane that was finished when it was opened has none.
    guard tracks.indices.contains(track) else { return }
    let phase = tracks[track].phase
    switch event {
    case .turnGiven:
      guard case .ready(let key) = phase else {
        preconditionFailure("a turn is given to a track that waits for it")
      }
      readKey(key, on: track, isSkip: false, step, &effects)
    case .timerFired:
      guard let due = tracks[track].due, due <= step.now.monotonic else { return }
      switch phase {
      case .delivering(let key, let delivery): cancel(delivery, of: key, on: track, because: .deadline, step, &effects)
      case .failureRefused(let key, let leaving): storeFailure(leaving, of: key, on: track, step, &effects)
      case .idle: break
      case .ready, .reading, .cancelling, .storingFailure: preconditionFailure("a phase without a moment is not due")
      }
    case .readAnswered(let answer):
      guard case .reading(let key, let isSkip) = phase else { return }
      take(answer, of: key, isSkip: isSkip, on: track, step, &effects)
    case .handlerAnswered(let id, let answer):
      switch phase {
      case .delivering(let key, let delivery) where delivery.id == id:
        takeKey(answer, to: delivery, of: key, on: track, step, &effects)
      case .cancelling(let key, let delivery, let cancellation) where delivery.id == id:
        takeKey(answer, to: delivery, of: key, cancelledBecauseOf: cancellation, on: track, step, &effects)
      case .idle, .ready, .reading, .delivering, .cancelling, .storingFailure, .failureRefused: return
      }
    case .failureStored(let stored):
      guard case .storingFailure(let key, let leaving, let ticket) = phase, ticket == stored else { return }
      settleKey(key, upTo: leaving.order.extent.end, rest: leaving.rest, on: track, step)
    case .failureRefused(let refused):
      guard case .storingFailure(let key, let leaving, let ticket) = phase, ticket == refused else { return }
      tracks[track].phase = .failureRefused(key, leaving)
      tracks[track].due = step.now.monotonic.adding(milliseconds: step.limits.storeRetryMilliseconds)
    case .parentsFinished, .shardChanged, .progressStored, .progressRefused, .pauseRequested, .resumeRequested,
      .retryRequested, .skipRequested, .keySkipRequested, .damageSkipRequested, .redriveRequested, .drainRequested,
      .stopRequested, .policyChanged, .reopened:
      preconditionFailure("what concerns the whole lane is told to the lane")
    }
    followTracks(step, &effects)
    storeProgress(step, &effects)
  }

  /// What an event of the whole lane means for its tracks.
  mutating func stepTracks(_ event: LaneEvent, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    guard !tracks.isEmpty else { return }
    switch event {
    case .stopRequested:
      for track in tracks.indices {
        switch tracks[track].phase {
        case .delivering(let key, let delivery):
          cancel(delivery, of: key, on: track, because: .stop, step, &effects)
        case .cancelling(let key, let delivery, .skip):
          tracks[track].phase = .cancelling(key, delivery, .stop)
        case .idle, .ready, .reading, .cancelling, .storingFailure, .failureRefused: break
        }
      }
    case .policyChanged: lookAgainAtWaits(step)
    case .retryRequested: wakeKeys(step, stoppedOnes: false)
    case .resumeRequested: wakeKeys(step, stoppedOnes: true)
    case .keySkipRequested(let key, let through): skip(key, through: through, step, &effects)
    case .damageSkipRequested(let block, let end): skipDamageOfKeys(at: block, end: end, step, &effects)
    case .parentsFinished, .turnGiven, .timerFired, .shardChanged, .readAnswered, .handlerAnswered, .progressStored,
      .progressRefused, .failureStored, .failureRefused, .pauseRequested, .skipRequested, .redriveRequested,
      .drainRequested, .reopened:
      break
    }
  }

  /// Fewer attempts than a key has had: nothing is left to wait for. And its age may count now, or no more.
  private mutating func lookAgainAtWaits(_ step: LaneStep) {
    guard let keys = parked?.keys else { return }
    for place in keys.indices where !keys[place].isWorkedOn {
      guard let due = dueTime(ofKeyAt: place, step) else { continue }
      parked?.touch(place) { $0.due = due }
    }
  }

  /// When the key's failing batch is worth another look; `nil` if it has none.
  func dueTime(ofKeyAt place: Int, _ step: LaneStep) -> MonotonicTime? {
    guard let key = parked?.keys[place] else { return nil }
    return key.head.failing.map { dueTime(ofRetry: $0, at: key.retryDue, step) }
  }

  private mutating func wakeKeys(_ step: LaneStep, stoppedOnes: Bool) {
    guard let keys = parked?.keys.indices else { return }
    for place in keys where !stoppedOnes || parked?.keys[place].stoppedAt != nil {
      parked?.touch(place) { key in
        if stoppedOnes { key.stoppedAt = nil }
        key.retryDue = min(key.retryDue, step.now.monotonic)
        key.due = min(key.due, step.now.monotonic)
      }
    }
  }

  /// Gives up the key's records up to and including `index`, as `skip` does for the lane's.
  private mutating func skip(
    _ key: PartitionKeyHash, through index: RecordIndex, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    guard !step.isDraining, let place = parked?.place(of: key), let first = parked?.keys[place].ranges.first,
      first <= index
    else { return }
    parked?.touch(place) { key in
      key.skipThrough = max(key.skipThrough ?? index, index)
      key.due = step.now.monotonic
    }
    guard let track = tracks.firstIndex(where: { $0.key == key }) else { return }
    if case .delivering(_, let delivery) = tracks[track].phase {
      cancel(delivery, of: key, on: track, because: .skip, step, &effects)
    }
  }

  /// The records of parked keys in a damaged block are lost, for those keys that stopped at it.
  private mutating func skipDamageOfKeys(
    at block: RecordIndex, end: RecordIndex, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    guard end > block, !step.isDraining, let keys = parked?.keys else { return }
    var count: UInt64 = 0
    for place in keys.indices where keys[place].stoppedAt == block {
      count += lose(before: end, ofKeyAt: place, step)
      parked?.touch(place) { $0.stoppedAt = nil }
    }
    guard count > 0 else { return }
    lostToDamage += count
    effects.append(.countLost(id, count))
  }

  /// Records of a parked key are gone; how many they were.
  mutating func lose(before index: RecordIndex, ofKeyAt place: Int, _ step: LaneStep) -> UInt64 {
    var count: UInt64 = 0
    guard let first = parked?.keys[place].ranges.first, first < index else { return 0 }
    parked?.change(place) { key in
      count = key.ranges.removeAll(before: index)
      key.head = .open
      key.pieces.removeAll()
      key.due = step.now.monotonic
      key.settledBefore = max(key.settledBefore, key.ranges.first ?? index)
    }
    progressChanged(settlingBatch: false)
    return count
  }
}
