import StreamModel

/// Reads: what they ask for and what their answers lead to.
extension Lane {
  /// The ready lane has a permit. Redrives go first: they stand between two batches.
  mutating func takeTurn(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    if canRedrive { return deliverRedrive(step, &effects) }
    if finalIsNext, let window { return deliverFinal(of: window, step, &effects) }
    precondition(!isFinished, "a finished lane has no batch to read")
    read(
      .deliver, from: next, count: head.count ?? step.policy.batchSize, bytes: payloadByteLimit(step),
      expiredBefore: expiryLimit(step), cut: cut(step), step, &effects)
  }

  /// Looks at what is there, to open a window.
  mutating func measure(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    read(
      .measure, from: next, count: step.policy.batchSize, bytes: payloadByteLimit(step), expiredBefore: nil,
      cut: cut(step), step, &effects)
  }

  /// Looks at what came behind the records of the open window, so that each record is measured once.
  mutating func measureMore(
    behind seen: BatchExtent, from: RecordIndex, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    read(
      .measureMore(seen, from), from: from, count: step.policy.batchSize - seen.count,
      bytes: max(0, payloadByteLimit(step) - seen.payloadBytes), expiredBefore: nil,
      cut: windowEnd(ofArrival: seen.firstArrival, step).map { .at($0) } ?? .none, step, &effects)
  }

  /// Reads records that an operator gave up: as many as one batch may have, and no further than the failing batch.
  mutating func readToSkip(through index: RecordIndex, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    read(
      .skip, from: next, through: index, count: head.count ?? step.policy.batchSize,
      bytes: step.policy.payloadByteLimit, expiredBefore: nil, cut: .none, step, &effects)
  }

  /// Looks for one record, whose arrival tells whether the window is over.
  mutating func lookBehindBound(from: RecordIndex, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    enter(.reading(.init(purpose: .lookBehindBound(from), endsWindow: windowIsOver(step))), step)
    effects.append(
      .read(
        id,
        ReadRequest(
          from: from, countLimit: 1, payloadByteLimit: payloadByteLimit(step), expiredBefore: nil, purpose: .measure)))
  }

  private mutating func read(
    _ purpose: LanePhase.Reading.Purpose, from: RecordIndex, through: RecordIndex? = nil, count: Int, bytes: Int,
    expiredBefore: WallTime?, cut: WindowCut, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    let keepsRecords = purpose == .deliver || purpose == .skip
    if parked != nil {
      rejoinEmptyKeys()
      parked?.isFull = false
      parked?.isAtShardEnd = false
    }
    enter(.reading(.init(purpose: purpose, endsWindow: windowIsOver(step))), step)
    var request = ReadRequest(
      from: from, through: through, countLimit: count, payloadByteLimit: bytes, expiredBefore: expiredBefore,
      cut: cut, purpose: keepsRecords ? .deliver : .measure, parking: parkingOfRead(step))
    if purpose != .skip {
      request.lineageLimit = step.policy.recursiveLoopLimit
      request.bound = bound
    }
    effects.append(.read(id, request))
  }

  /// Records that arrived before this moment are too old to be delivered.
  func expiryLimit(_ step: LaneStep) -> WallTime? {
    // What a shadow's handler does with an old record is to be seen too.
    guard !step.policy.isShadow, let age = step.policy.maximumRecordAgeMilliseconds else { return nil }
    return step.now.wall.adding(milliseconds: -age)
  }

  mutating func take(
    _ answer: ReadAnswer, to reading: LanePhase.Reading, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    // While the read was under way, orders came that make it pointless.
    let isOverruled = step.isDraining || (reading.purpose != .skip && (isPaused || skipThrough != nil))
    if isOverruled { return goOn(step, &effects) }
    if case .lookBehindBound(let from) = reading.purpose {
      return take(answer, behindBoundFrom: from, endsWindow: reading.endsWindow, step, &effects)
    }
    switch answer {
    case .records(let result):
      take(result, to: reading, step, &effects)
    case .nothingSelected(let begin, let end):
      parked?.meet([])
      takeNothing(begin, end, reading, step, &effects)
    case .onlyParked(let begin, let end, let records):
      parked?.meet(records)
      takeNothing(begin, end, reading, step, &effects)
    case .parkingFull(let begin):
      // What waits in the window stands before it.
      if case .measureMore(let seen, let from) = reading.purpose {
        return wait(for: seen, scannedEnd: from, isFull: true, reading, step, &effects)
      }
      waitForParking(begin, step, &effects)
    case .caughtUp:
      takeCaughtUp(reading, step, &effects)
    case .shardEnd(let end):
      takeShardEnd(end, reading, step, &effects)
    case .corrupted(let block):
      // What waits in the window stands before the block and can be read.
      if case .measureMore(let seen, let from) = reading.purpose {
        return wait(for: seen, scannedEnd: from, isFull: true, reading, step, &effects)
      }
      skipThrough = nil
      enter(.stopped(block: block), step)
    case .unavailable:
      enter(
        .unavailable, step, until: step.now.monotonic.adding(milliseconds: step.limits.storeRetryMilliseconds))
    }
  }

  private mutating func take(
    _ result: ReadResult, to reading: LanePhase.Reading, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    switch reading.purpose {
    case .measure:
      if endWindow(before: result.extent) { return goOn(step, &effects) }
      let opened = windowOpenedAt ?? step.now.monotonic
      windowOpenedAt = opened
      wait(
        for: result.extent, scannedEnd: result.scannedEnd, isFull: result.isFull || result.endsShard, reading, step,
        &effects)
    case .measureMore(var seen, let from):
      let extent = result.extent
      // A record beyond the payload limit ends the batch before it, and so does a gap that retention made, one of the
      // next tumbling window, and one that is not delivered because it comes from a loop.
      let windowEnd = windowEnd(ofArrival: seen.firstArrival, step) ?? .distantFuture
      let isBeyond =
        result.begin > from || seen.payloadBytes + extent.payloadBytes > payloadByteLimit(step)
        || extent.firstArrival >= windowEnd || isOfLoop(result, step)
      if !isBeyond {
        seen.count += extent.count
        seen.last = extent.last
        seen.lastArrival = extent.lastArrival
        seen.payloadBytes += extent.payloadBytes
      }
      wait(
        for: seen, scannedEnd: result.scannedEnd, isFull: isBeyond || result.isFull || result.endsShard, reading,
        step, &effects)
    case .deliver:
      meet(result)
      deliver(result, step, &effects)
    case .skip:
      meet(result)
      giveUp(result, step, &effects)
    case .lookBehindBound: preconditionFailure("what stands behind the bound is only looked at")
    }
  }

  /// Records wait for their window to end. Full batches, and the last ones of a closed shard, do not wait.
  ///
  /// The window also ends when its first record gets too old: it leaves as a failure entry and the others are delivered.
  /// And it ends with its tumbling window, in which no more records arrive.
  private mutating func wait(
    for seen: BatchExtent, scannedEnd: RecordIndex, isFull: Bool, _ reading: LanePhase.Reading, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    let opened = windowOpenedAt ?? step.now.monotonic
    var end = opened.adding(milliseconds: step.policy.windowMilliseconds)
    if let expiry = expiryTime(ofArrival: seen.firstArrival, step) { end = min(end, expiry) }
    if let windowEnd = windowEnd(ofArrival: seen.firstArrival, step) {
      end = min(end, step.now.monotonic(at: windowEnd))
    }
    if isFull || reachesBound(scannedEnd) || seen.count >= step.policy.batchSize || end <= step.now.monotonic {
      enter(.ready, step)
    } else if reading.isDirty {
      measureMore(behind: seen, from: scannedEnd, step, &effects)
    } else {
      enter(.windowing(seen, scannedEnd: scannedEnd), step, until: end)
    }
  }

  /// The records come from as many invocations as may be: none of them is delivered.
  func isOfLoop(_ result: ReadResult, _ step: LaneStep) -> Bool {
    step.policy.recursiveLoopLimit.map { result.lineage >= $0 } ?? false
  }

  /// Records that are none of the lane's are passed, and the checkpoint with them.
  private mutating func takeNothing(
    _ begin: RecordIndex, _ end: RecordIndex, _ reading: LanePhase.Reading, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    if case .measureMore(let seen, let from) = reading.purpose {
      return wait(for: seen, scannedEnd: end, isFull: begin > from, reading, step, &effects)
    }
    countLost(until: begin, &effects)
    // A failing batch begins at the checkpoint: its records are the lane's no more when settings have changed.
    if head.isFailing { head = .open }
    pass(to: end, step)
    progressChanged(settlingBatch: false)
    goOn(step, &effects)
  }

  /// No record before `index` is one of the lane that is not settled.
  mutating func pass(to index: RecordIndex, _ step: LaneStep) {
    next = max(next, index)
    if parked != nil { settleMet(before: next, step) }
  }

  /// Remembers what was kept out of the batch that was read.
  private mutating func meet(_ result: ReadResult) {
    guard parked != nil else { return }
    parked?.meet(result.parked)
    parked?.headKey = result.firstKey
  }

  private mutating func takeCaughtUp(
    _ reading: LanePhase.Reading, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    if case .measureMore(let seen, let from) = reading.purpose {
      return wait(for: seen, scannedEnd: from, isFull: false, reading, step, &effects)
    }
    skipThrough = nil
    windowOpenedAt = nil
    if head.count != nil {
      // Retention took the whole batch. How many are lost is known when the next record is there.
      head = .open
      pieces.removeAll()
      progressChanged(settlingBatch: false)
    }
    // A redrive that came while the read was under way goes now: nothing else would wake the lane for it.
    if isPaused || reading.isDirty || canRedrive { return goOn(step, &effects) }
    if let window, reading.endsWindow || window.isEnding {
      self.window = window.ending(early: false)
      return goOn(step, &effects)
    }
    enter(.idle, step, until: windowDue(step))
  }

  private mutating func takeShardEnd(
    _ end: RecordIndex, _ reading: LanePhase.Reading, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    if case .measureMore(let seen, let from) = reading.purpose {
      return wait(for: seen, scannedEnd: from, isFull: true, reading, step, &effects)
    }
    skipThrough = nil
    countLost(until: end, &effects)
    head = .open
    pieces.removeAll()
    if isPaused { return goOn(step, &effects) }
    rejoinEmptyKeys()
    if parked?.isEmpty == false {
      // Parked records are the shard's too: it is finished when they are settled.
      parked?.isAtShardEnd = true
      return canRedrive ? goOn(step, &effects) : enter(.idle, step)
    }
    if let window {
      self.window = window.ending(early: false)
      return goOn(step, &effects)
    }
    isFinished = true
    progressChanged(settlingBatch: false)
    finishRevision = writer.revision
    goOn(step, &effects)
  }

  /// Retention removed the records before `first`. A frozen batch that lost some is a new batch, and takes those behind
  /// it along: what is left of them is not known.
  mutating func countLost(until first: RecordIndex, _ effects: inout [PollerEffect]) {
    guard first > next else { return }
    let count = next.distance(to: first)
    lostToRetention += count
    next = first
    head = .open
    pieces.removeAll()
    progressChanged(settlingBatch: false)
    effects.append(.countLost(id, count))
  }
}
