import StreamModel

/// Batches of parked keys: how they are read, delivered, retried and settled. The same rules as for the lane's own, each
/// key for itself.
extension Lane {
  /// Reads the key's next batch: the one under retry, a piece of one that failed, or as many records as a batch may have.
  mutating func readKey(
    _ key: PartitionKeyHash, on track: Int, isSkip: Bool, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    guard let parked, let place = parked.place(of: key), let first = parked.keys[place].ranges.first else {
      preconditionFailure("a key that a track works on has records")
    }
    let state = parked.keys[place]
    var count = state.head.count ?? step.policy.batchSize
    if isSkip, let through = state.skipThrough {
      count = Int(min(UInt64(count), max(1, state.ranges.count(before: through.advanced(by: 1)))))
    }
    tracks[track].phase = .reading(key, isSkip: isSkip)
    tracks[track].due = nil
    var request = ReadRequest(
      from: first, countLimit: count, payloadByteLimit: step.policy.payloadByteLimit,
      expiredBefore: isSkip ? nil : expiryLimit(step), purpose: .deliver, ranges: state.ranges.prefix(count),
      isFrozen: state.head != .open)
    if !isSkip { request.lineageLimit = step.policy.recursiveLoopLimit }
    effects.append(.read(tracks[track].id, request))
  }

  mutating func take(
    _ answer: ReadAnswer, of key: PartitionKeyHash, isSkip: Bool, on track: Int, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    guard let place = parked?.place(of: key) else { preconditionFailure("a key that a track works on is parked") }
    // While the read was under way, orders came that make it pointless.
    let isGivenUp = parked?.keys[place].skipThrough != nil
    if step.isDraining || (!isSkip && (isPaused || isGivenUp)) { return release(track) }
    switch answer {
    case .records(let result):
      deliver(result, of: key, isSkip: isSkip, on: track, step, &effects)
    case .nothingSelected(let begin, _), .onlyParked(let begin, _, _), .parkingFull(let begin):
      loseKey(at: place, before: begin, step, &effects)
      release(track)
    case .caughtUp, .shardEnd:
      // What was parked was there: retention has taken it and all behind it.
      loseKey(at: place, before: next, step, &effects)
      release(track)
    case .corrupted(let block):
      parked?.touch(place) { key in
        key.stoppedAt = block
        key.skipThrough = nil
      }
      release(track)
    case .unavailable:
      let due = step.now.monotonic.adding(milliseconds: step.limits.storeRetryMilliseconds)
      parked?.touch(place) { $0.due = due }
      release(track)
    }
  }

  private mutating func loseKey(
    at place: Int, before index: RecordIndex, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    let count = lose(before: index, ofKeyAt: place, step)
    guard count > 0 else { return }
    lostToRetention += count
    effects.append(.countLost(id, count))
  }

  private mutating func deliver(
    _ result: ReadResult, of key: PartitionKeyHash, isSkip: Bool, on track: Int, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    guard let place = parked?.place(of: key) else { preconditionFailure("a key that a track works on is parked") }
    var extent = result.extent
    loseKey(at: place, before: extent.first, step, &effects)
    parked?.touch(place) { key in
      switch key.head {
      case .open: break
      case .cut(let count):
        if extent.count != count { key.head = .open }
      case .failing(var batch):
        if batch.extent.count == extent.count {
          batch.extent = extent
          key.head = .failing(batch)
        } else {
          key.head = .cut(count: extent.count)
        }
      }
    }
    guard let head = parked?.keys[place].head else { return }
    if isSkip {
      return leave(
        extent, of: key, because: .skipped, rest: max(0, (head.count ?? 0) - extent.count), attempts: head.attempts,
        on: track, step, &effects)
    }
    if result.expiredCount > 0 {
      let rest = extent.count - result.expiredCount
      extent = prefix(
        of: extent, count: result.expiredCount, last: result.lastExpired, lastArrival: result.lastExpiredArrival)
      return leave(
        extent, of: key, because: .recordAgeExceeded, rest: rest, attempts: head.attempts, on: track, step, &effects)
    }
    if isOfLoop(result, step) {
      effects.append(.recursiveLoop(tracks[track].id, extent, result.lineage, key: key))
      return leave(
        extent, of: key, because: .recursiveInvocation, rest: 0, attempts: head.attempts, on: track, step, &effects)
    }
    if head.failing?.givenUp != nil {
      // Restored, as the next one.
      return leave(
        extent, of: key, because: .givenUp, rest: 0, attempts: head.attempts, on: track, step, &effects)
    }
    if let limit = step.policy.maximumRetryAttempts, head.attempts > limit {
      return leave(
        extent, of: key, because: .retryAttemptsExhausted, rest: 0, attempts: head.attempts, on: track, step, &effects)
    }
    if let due = dueTime(ofKeyAt: place, step), due > step.now.monotonic {
      // It was read to leave, and stays after all: settings changed back, or the wall clock stepped back.
      parked?.touch(place) { $0.due = due }
      return release(track)
    }
    if extent.count == 1, extent.payloadBytes > step.policy.payloadByteLimit {
      effects.append(.tooLarge(tracks[track].id, extent, key: key, isParked: true))
      return failKeyByItself(key, extent, .payloadTooLarge, on: track, step, &effects)
    }
    let delivery = Delivery(
      id: DeliveryID(tracks[track].lastDelivery + 1), source: .shard, extent: extent, attempt: head.attempts + 1,
      key: key)
    tracks[track].lastDelivery += 1
    tracks[track].phase = .delivering(key, delivery)
    tracks[track].due = step.now.monotonic.adding(milliseconds: step.policy.handlerTimeoutMilliseconds)
    effects.append(.deliver(tracks[track].id, delivery))
  }

  mutating func cancel(
    _ delivery: Delivery, of key: PartitionKeyHash, on track: Int, because cancellation: LanePhase.Cancellation,
    _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    tracks[track].phase = .cancelling(key, delivery, cancellation)
    tracks[track].due = nil
    effects.append(.cancelHandler(tracks[track].id, delivery.id))
  }

  mutating func takeKey(
    _ answer: DeliveryAnswer, to delivery: Delivery, of key: PartitionKeyHash,
    cancelledBecauseOf cancellation: LanePhase.Cancellation, on track: Int, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    switch (cancellation, answer) {
    case (.deadline, .faulted(.timedOut, rule: _)): takeKey(answer, to: delivery, of: key, on: track, step, &effects)
    case (.deadline, _):
      let rule = step.policy.retryRules?.rule(ofKind: .timedOut)
      takeKey(.failed(.timedOut, rule: rule), to: delivery, of: key, on: track, step, &effects)
    case (.stop, .faulted): release(track)
    case (.skip, _), (.stop, _): takeKey(answer, to: delivery, of: key, on: track, step, &effects)
    }
  }

  mutating func takeKey(
    _ answer: DeliveryAnswer, to delivery: Delivery, of key: PartitionKeyHash, on track: Int, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    let extent = delivery.extent
    switch answer {
    // A lane that blocks by key has no windows to hand a state on in.
    case .succeeded, .returned: settleKey(key, upTo: extent.end, rest: 0, on: track, step)
    case .faulted(let kind, let rule): failKey(key, extent, kind, rule, on: track, step, &effects)
    case .failed(at: let index, position: let position), .returnedPart(_, failedAt: let index, let position),
      .failedAmong(at: let index, position: let position, remaining: _):
      takeKey(index, position, of: key, extent, on: track, step, &effects)
    case .recordFailed(let failed):
      // A record that stands alone goes on counting.
      if extent.count > 1, failed.index >= extent.first, failed.index <= extent.last {
        failRecord(failed, of: key, on: track, step, &effects)
      } else {
        takeKey(failed.index, failed.position, of: key, extent, on: track, step, &effects)
      }
    }
  }

  /// The handler named the record of the key that failed: those before it are done, and it goes on alone.
  private mutating func failRecord(
    _ failed: FailedRecord, of key: PartitionKeyHash, on track: Int, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    guard let place = parked?.place(of: key) else { preconditionFailure("a key that a track works on is parked") }
    parked?.change(place) { key in
      _ = key.ranges.removeAll(before: failed.index)
      key.settledBefore = failed.index
      key.head = .open
      key.pieces.removeAll()
    }
    progressChanged(settlingBatch: true)
    let record = BatchExtent(
      first: failed.index, count: 1, firstArrival: failed.arrival, lastArrival: failed.arrival, payloadBytes: 0)
    failKeyByItself(key, record, .reportedNoProgress, on: track, step, &effects)
  }

  private mutating func takeKey(
    _ index: RecordIndex, _ position: Int, of key: PartitionKeyHash, _ extent: BatchExtent, on track: Int,
    _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    if index == extent.first {
      failKeyByItself(key, extent, .reportedNoProgress, on: track, step, &effects)
    } else if index > extent.first, index <= extent.last, position > 0, position < extent.count {
      settleKey(key, upTo: index, rest: extent.count - position, on: track, step)
    } else {
      failKeyByItself(key, extent, .invalidResponse, on: track, step, &effects)
    }
  }

  /// A delivery failed. A batch is split until one record stands alone; that one waits for its retry, or leaves when its
  /// attempts are used up.
  private mutating func failKey(
    _ key: PartitionKeyHash, _ extent: BatchExtent, _ kind: FailureKind, _ rule: RetryRuleID?, on track: Int,
    _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    guard let place = parked?.place(of: key), let state = parked?.keys[place] else { return }
    let decision = RetryDecision(kind, rule, step.policy)
    if decision.splits, extent.count > 1, state.skipThrough == nil {
      parked?.touch(place) { key in
        key.pieces.append(extent.count - extent.count / 2)
        key.head = .cut(count: extent.count / 2)
        key.due = step.now.monotonic
      }
      return release(track)
    }
    var batch = state.head.failing ?? FailingBatch(extent: extent, failedAt: step.now.wall, lastFailure: kind)
    let delay = batch.countFailure(kind, decision, step)
    let isGivenUp = decision.givesUp && state.skipThrough == nil
    if isGivenUp { batch.givenUp = .batch }
    let retryDue = step.now.monotonic.adding(milliseconds: delay)
    parked?.change(place) { key in
      key.head = .failing(batch)
      key.retryDue = retryDue
    }
    let due = min(retryDue, expiryTime(ofArrival: max(extent.firstArrival, extent.lastArrival), step) ?? retryDue)
    parked?.touch(place) { $0.due = state.skipThrough == nil ? due : step.now.monotonic }
    progressChanged(settlingBatch: false)
    if isGivenUp {
      leave(
        extent, of: key, because: .givenUp, rest: 0, attempts: batch.attempts, on: track, step, &effects)
    } else if decision.usesAttempt, state.skipThrough == nil, let limit = step.policy.maximumRetryAttempts,
      batch.attempts > limit
    {
      leave(
        extent, of: key, because: .retryAttemptsExhausted, rest: 0, attempts: batch.attempts, on: track, step,
        &effects)
    } else if state.skipThrough == nil, isTooLate(retryDue, for: extent, step) {
      leave(
        extent, of: key, because: .recordAgeExceeded, rest: 0, attempts: batch.attempts, on: track, step, &effects)
    } else {
      release(track)
    }
  }

  private mutating func failKeyByItself(
    _ key: PartitionKeyHash, _ extent: BatchExtent, _ kind: FailureKind, on track: Int, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    failKey(key, extent, kind, step.policy.retryRules?.rule(ofKind: kind), on: track, step, &effects)
  }

  // MARK: Leaving

  private mutating func leave(
    _ extent: BatchExtent, of key: PartitionKeyHash, because condition: FailureCondition, rest: Int, attempts: Int,
    on track: Int, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    guard let place = parked?.place(of: key), let ranges = parked?.keys[place].ranges.prefix(extent.count) else {
      return
    }
    let order = FailureOrder(
      extent: extent, condition: condition, attempts: attempts, key: key, ranges: ranges)
    storeFailure(LanePhase.Leaving(order: order, rest: rest), of: key, on: track, step, &effects)
  }

  mutating func storeFailure(
    _ leaving: LanePhase.Leaving, of key: PartitionKeyHash, on track: Int, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    tracks[track].lastTicket += 1
    tracks[track].phase = .storingFailure(key, leaving, ticket: tracks[track].lastTicket)
    tracks[track].due = nil
    effects.append(.storeFailure(tracks[track].id, leaving.order, ticket: tracks[track].lastTicket))
  }

  /// The key's records before `end` are settled; `rest` more make its next batch, or the next piece of one that was
  /// split does.
  mutating func settleKey(
    _ key: PartitionKeyHash, upTo end: RecordIndex, rest: Int, on track: Int, _ step: LaneStep
  ) {
    guard let place = parked?.place(of: key) else { preconditionFailure("a key that a track works on is parked") }
    parked?.change(place) { key in
      _ = key.ranges.removeAll(before: end)
      key.settledBefore = key.ranges.first ?? end
      key.head = rest > 0 ? .cut(count: rest) : key.pieces.popLast().map { .cut(count: $0) } ?? .open
      key.due = step.now.monotonic
    }
    progressChanged(settlingBatch: true)
    release(track)
  }
}

extension FailingBatch {
  /// A batch that fails for the first time; the failure is not counted yet.
  init(extent: BatchExtent, failedAt: WallTime, lastFailure: FailureKind) {
    self.init(
      extent: extent, attempts: 0, systemFailures: 0, lastFailure: lastFailure, firstFailedAt: failedAt,
      lastFailedAt: failedAt, retryAt: failedAt)
  }

  /// Counts a failure and says how long to wait after it, in milliseconds.
  mutating func countFailure(_ kind: FailureKind, _ decision: RetryDecision, _ step: LaneStep) -> Int64 {
    let delay: Int64
    if decision.usesAttempt {
      attempts += 1
      systemFailures = 0
      delay = decision.backoff.delayMilliseconds(failures: attempts, jitter: step.jitter)
    } else {
      systemFailures += 1
      delay = decision.backoff.delayMilliseconds(failures: systemFailures, jitter: step.jitter)
    }
    lastFailure = kind
    lastFailedAt = step.now.wall
    retryAt = step.now.wall.adding(milliseconds: delay)
    return delay
  }
}
