import StreamModel

/// How batches fail, leave and are settled.
extension Lane {
  /// A delivery failed. The batch is split, or frozen until its retry, or leaves when its attempts are used up.
  mutating func fail(
    _ extent: BatchExtent, _ kind: FailureKind, _ rule: RetryRuleID?, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    // Also a record that is too large to be delivered.
    if step.policy.isShadow { return settle(upTo: extent.end, rest: 0, step, &effects) }
    let decision = RetryDecision(kind, rule, step.policy)
    // Records that an operator gave up leave in any case.
    let isGivenUp = skipThrough == nil && decision.givesUp
    let isNamed = isGivenUp && kind == .reportedNoProgress
    if isolatesFailures(step), decision.splits, extent.count > 1, skipThrough == nil, !isNamed {
      return bisect(extent, step, &effects)
    }
    var batch = head.failing ?? FailingBatch(extent: extent, failedAt: step.now.wall, lastFailure: kind)
    var delay = batch.countFailure(kind, decision, step)
    if isGivenUp {
      batch.givenUp = isNamed && extent.count > 1 ? .firstRecord : .batch
      batch.retryAt = step.now.wall
      delay = 0
    }
    retryDue = step.now.monotonic.adding(milliseconds: delay)
    head = .failing(batch)
    progressChanged(settlingBatch: false)
    // Records that an operator gave up leave as skipped, even if this was their last attempt.
    if let givenUp = batch.givenUp {
      leave(extent, givenUp, step, &effects)
    } else if decision.usesAttempt, skipThrough == nil, let limit = step.policy.maximumRetryAttempts,
      batch.attempts > limit
    {
      leave(extent, because: .retryAttemptsExhausted, rest: 0, step, &effects)
    } else if skipThrough == nil, isTooLate(retryDue, for: extent, step) {
      leave(extent, because: .recordAgeExceeded, rest: 0, step, &effects)
    } else {
      goOn(step, &effects)
    }
  }

  /// A failure that the core finds out by itself: nothing but its kind is known.
  mutating func failByItself(
    _ extent: BatchExtent, _ kind: FailureKind, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    fail(extent, kind, step.policy.retryRules?.rule(ofKind: kind), step, &effects)
  }

  /// The two halves are new batches with all their attempts, and the first goes without a wait. A batch that can be
  /// split uses up no attempt: only a single record is delivered again as it is.
  private mutating func bisect(_ extent: BatchExtent, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    let half = extent.count / 2
    pieces.append(extent.count - half)
    head = .cut(count: half)
    progressChanged(settlingBatch: false)
    goOn(step, &effects)
  }

  /// When the failing batch is worth another look: its retry, or the moment at which all of it is too old, if that
  /// comes first. The wait is monotonic time and ends at the retry in any case, whatever the wall clock does.
  ///
  /// Not the age of its oldest record: a batch is cut where it would be delivered, not between two deliveries. Where the
  /// wall clock stepped back the last record may look older than the first; then the first counts, because records
  /// leave from the front, and looking before any can leave would be a retry ahead of its time.
  ///
  /// A batch that has had more attempts than it may by now is worth it at once: nothing is left to wait for.
  func dueTime(ofRetry batch: FailingBatch, at retryDue: MonotonicTime, _ step: LaneStep) -> MonotonicTime {
    if let limit = step.policy.maximumRetryAttempts, batch.attempts > limit { return step.now.monotonic }
    let newest = max(batch.extent.firstArrival, batch.extent.lastArrival)
    guard let expiry = expiryTime(ofArrival: newest, step) else { return retryDue }
    return min(retryDue, expiry)
  }

  /// When a record that arrived at this moment will be older than the limit. `nil`: never.
  func expiryTime(ofArrival arrival: WallTime, _ step: LaneStep) -> MonotonicTime? {
    guard let limit = step.policy.maximumRecordAgeMilliseconds else { return nil }
    // Older than the limit, not as old as it: one millisecond more.
    return step.now.monotonic(at: arrival.adding(milliseconds: limit).adding(milliseconds: 1))
  }

  /// At this moment all of the batch will be too old, and the policy does not wait for that.
  func isTooLate(_ due: MonotonicTime, for extent: BatchExtent, _ step: LaneStep) -> Bool {
    guard step.policy.leavesAheadOfAge,
      let expiry = expiryTime(ofArrival: max(extent.firstArrival, extent.lastArrival), step)
    else { return false }
    return due >= expiry
  }

  /// The first records of a batch. What they add to the payload is not known: at most what all of them do.
  func prefix(of extent: BatchExtent, count: Int, last: RecordIndex, lastArrival: WallTime) -> BatchExtent {
    precondition(count >= 1 && count <= extent.count, "a batch is cut inside")
    var prefix = extent
    if count < extent.count {
      prefix.count = count
      prefix.last = last
      prefix.lastArrival = lastArrival
    }
    return prefix
  }

  /// Records leave without success: first the failure entry, and only when that is durable the checkpoint.
  mutating func leave(
    _ extent: BatchExtent, because condition: FailureCondition, rest: Int, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    let parkedKeys = parked.flatMap { $0.isEmpty ? nil : $0.set }
    let order = FailureOrder(
      extent: extent, condition: condition, attempts: head.attempts, parkedKeys: parkedKeys,
      window: window(ofLeaving: extent, step))
    storeFailure(LanePhase.Leaving(order: order, rest: rest), step, &effects)
  }

  /// A retry rule gave up.
  mutating func leave(
    _ extent: BatchExtent, _ givenUp: FailingBatch.GivenUp, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    switch givenUp {
    case .batch:
      leave(extent, because: .givenUp, rest: 0, step, &effects)
    case .firstRecord:
      leave(
        prefix(of: extent, count: 1, last: extent.first, lastArrival: extent.firstArrival), because: .givenUp,
        rest: extent.count - 1, step, &effects)
    }
  }

  mutating func storeFailure(
    _ leaving: LanePhase.Leaving, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    lastTicket += 1
    enter(.storingFailure(leaving, ticket: lastTicket), step)
    effects.append(.storeFailure(id, leaving.order, ticket: lastTicket))
  }

  /// The store refused. A draining lane does not insist: its progress says what is left to do.
  mutating func waitToStore(
    _ leaving: LanePhase.Leaving, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    if step.isDraining { return goOn(step, &effects) }
    enter(
      .failureRefused(leaving), step,
      until: step.now.monotonic.adding(milliseconds: step.limits.storeRetryMilliseconds))
  }

  mutating func settle(_ leaving: LanePhase.Leaving, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    precondition(leaving.order.extent.first == next, "records leave at the checkpoint")
    settle(
      upTo: leaving.order.extent.end, rest: leaving.rest, endingWindow: leaving.order.extent.isEmpty, step, &effects)
  }

  /// The records before `end` are settled; `rest` more, if any, make a new batch that is delivered without waiting, and
  /// so does the next piece of a batch that was split.
  mutating func settle(
    upTo end: RecordIndex, rest: Int, endingWindow: Bool = false, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    next = end
    if parked != nil { settleMet(before: end, step) }
    if endingWindow { window = nil }
    if rest > 0 {
      head = .cut(count: rest)
    } else {
      head = pieces.popLast().map { .cut(count: $0) } ?? .open
    }
    windowOpenedAt = step.now.monotonic
    progressChanged(settlingBatch: true)
    goOn(step, &effects)
  }
}
