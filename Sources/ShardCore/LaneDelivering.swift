import StreamModel

/// Deliveries: from the records read to the handler's answer.
extension Lane {
  /// The records are read and the permit is held. Age is looked at first, then the attempts left, then the size.
  mutating func deliver(_ result: ReadResult, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    var extent = result.extent
    let frozenCount = head.count
    countLost(until: result.begin, &effects)
    pass(to: extent.first, step)
    // What is left of a frozen batch that retention has cut is a new batch, which may have to be smaller by now.
    if frozenCount != nil, head.count == nil, extent.count > step.policy.batchSize { return goOn(step, &effects) }
    if endWindow(before: extent) { return goOn(step, &effects) }
    freeze(&extent)
    if result.expiredCount > 0 {
      return leave(
        prefix(
          of: extent, count: result.expiredCount, last: result.lastExpired, lastArrival: result.lastExpiredArrival),
        because: .recordAgeExceeded, rest: extent.count - result.expiredCount, step, &effects)
    }
    if isOfLoop(result, step) {
      effects.append(.recursiveLoop(id, extent, result.lineage, key: nil))
      // A frozen batch was formed under another limit, or under none.
      let rest = head.count == nil ? 0 : max(0, (frozenCount ?? 0) - extent.count)
      return leave(extent, because: .recursiveInvocation, rest: rest, step, &effects)
    }
    if let givenUp = head.failing?.givenUp {
      // Restored, as the next one.
      return leave(extent, givenUp, step, &effects)
    }
    if !step.policy.isShadow, let limit = step.policy.maximumRetryAttempts, head.attempts > limit {
      // Restored with all attempts used: the lane ended between the last failure and the failure entry.
      return leave(extent, because: .retryAttemptsExhausted, rest: 0, step, &effects)
    }
    if let failing = head.failing, dueTime(ofRetry: failing, at: retryDue, step) > step.now.monotonic {
      // It was read to leave, and stays after all: settings changed back, or the wall clock stepped back.
      return goOn(step, &effects)
    }
    if extent.count == 1, extent.payloadBytes + (window?.state.bytes.count ?? 0) > step.policy.payloadByteLimit {
      effects.append(.tooLarge(id, extent, key: parked?.headKey, isParked: false))
      return failByItself(extent, .payloadTooLarge, step, &effects)
    }
    begin(.shard, extent, window: enterWindow(extent, step), attempt: head.attempts + 1, step, &effects)
  }

  /// A batch under retry is the one that was read, or else a new one. A cut batch keeps its count.
  private mutating func freeze(_ extent: inout BatchExtent) {
    switch head {
    case .open:
      break
    case .cut(let count):
      if extent.count != count { head = .open }
    case .failing(var batch):
      if batch.extent.count == extent.count {
        batch.extent = extent
        head = .failing(batch)
      } else {
        head = .cut(count: extent.count)
        progressChanged(settlingBatch: false)
      }
    }
  }

  mutating func deliverRedrive(_ step: LaneStep, _ effects: inout [PollerEffect]) {
    let redrive = redrives.removeFirst()
    begin(.failureEntry(redrive.entry), redrive.extent, window: nil, attempt: 1, step, &effects)
  }

  mutating func begin(
    _ source: Delivery.Source, _ extent: BatchExtent, window: OpenWindow?, attempt: Int, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    lastDelivery += 1
    let delivery = Delivery(
      id: DeliveryID(lastDelivery), source: source, extent: extent, attempt: attempt, window: window)
    enter(
      .delivering(delivery), step,
      until: step.now.monotonic.adding(milliseconds: step.policy.handlerTimeoutMilliseconds))
    effects.append(.deliver(id, delivery))
  }

  mutating func cancel(
    _ delivery: Delivery, because cancellation: LanePhase.Cancellation, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    enter(.cancelling(delivery, cancellation), step)
    effects.append(.cancelHandler(id, delivery.id))
  }

  mutating func take(
    _ answer: DeliveryAnswer, to delivery: Delivery, cancelledBecauseOf cancellation: LanePhase.Cancellation,
    _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    switch (cancellation, answer) {
    case (.deadline, .faulted(.timedOut, rule: _)):
      take(answer, to: delivery, step, &effects)
    case (.deadline, _):
      take(
        .failed(.timedOut, rule: step.policy.retryRules?.rule(ofKind: .timedOut)), to: delivery, step, &effects)
    case (.skip, _), (.stop, .succeeded), (.stop, .failed(at: _, position: _)), (.stop, .recordFailed),
      (.stop, .failedAmong),
      (.stop, .returned), (.stop, .returnedPart):
      take(answer, to: delivery, step, &effects)
    case (.stop, .faulted):
      if case .failureEntry(let entry) = delivery.source {
        effects.append(.settleRedrive(id, entry: entry, succeeded: false))
      }
      goOn(step, &effects)
    }
  }

  mutating func take(
    _ answer: DeliveryAnswer, to delivery: Delivery, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    if case .failureEntry(let entry) = delivery.source {
      // Of an entry that was done in part, what is done is remembered, and the entry stays.
      if answer.settles, step.policy.keepsWrites {
        effects.append(.keepWrites(id, delivery.id))
        progressChanged(settlingBatch: true)
      }
      return endRedrive(entry, succeeded: answer == .succeeded, step, &effects)
    }
    if delivery.source == .windowEnd { return takeFinal(answer, to: delivery, step, &effects) }
    let extent = delivery.extent
    if step.policy.isShadow { return settle(upTo: extent.end, rest: 0, step, &effects) }
    // Only an answer that counts moves the checkpoint, or makes what is left of the batch smaller.
    var settlesBehind = false
    // Before anything that this answer leads to: a read for a skip must know already what is done.
    let place = effects.count
    defer {
      if step.policy.keepsWrites, settlesBehind || next > extent.first {
        effects.insert(.keepWrites(id, delivery.id), at: place)
      }
    }
    switch answer {
    case .succeeded, .failed(at: _, position: _):
      // In a window an answer without a state is none.
      if delivery.window != nil { return failByItself(extent, .invalidResponse, step, &effects) }
      guard case .failed(at: let index, position: let position) = answer else {
        return settle(upTo: extent.end, rest: 0, step, &effects)
      }
      takePart(before: index, position, of: extent, state: nil, step, &effects)
    case .failedAmong(at: let index, position: let position, remaining: let remaining):
      settlesBehind = takeSome(before: index, position, remaining, of: extent, step, &effects)
    case .returned(let state):
      handOn(state, step)
      settle(upTo: extent.end, rest: 0, step, &effects)
    case .recordFailed(let failed):
      take(failed, of: extent, step, &effects)
    case .returnedPart(let state, failedAt: let index, position: let position):
      takePart(before: index, position, of: extent, state: state, step, &effects)
    case .faulted(let kind, let rule):
      fail(extent, kind, rule, step, &effects)
    }
  }

  /// All records are done but `remaining` from `index` on, which make a new batch. Whether any is.
  private mutating func takeSome(
    before index: RecordIndex, _ position: Int, _ remaining: Int, of extent: BatchExtent, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) -> Bool {
    let isInside =
      index >= extent.first && index <= extent.last && (index == extent.first) == (position == 0)
      && position >= 0 && remaining >= 1 && remaining <= extent.count - position
    guard step.policy.keepsWrites, isInside else {
      failByItself(extent, .invalidResponse, step, &effects)
      return false
    }
    guard remaining < extent.count else {
      failByItself(extent, .reportedNoProgress, step, &effects)
      return false
    }
    settle(upTo: index, rest: remaining, step, &effects)
    return true
  }

  /// The `position` records before `index` are done. The state of a window is handed on only if some are.
  private mutating func takePart(
    before index: RecordIndex, _ position: Int, of extent: BatchExtent, state: WindowState?, _ step: LaneStep,
    _ effects: inout [PollerEffect]
  ) {
    if index == extent.first {
      failByItself(extent, .reportedNoProgress, step, &effects)
    } else if index > extent.first, index <= extent.last, position > 0, position < extent.count {
      if let state { handOn(state, step) }
      settle(upTo: index, rest: extent.count - position, step, &effects)
    } else {
      failByItself(extent, .invalidResponse, step, &effects)
    }
  }
}
