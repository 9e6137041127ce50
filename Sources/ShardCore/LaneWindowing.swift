import StreamModel

/// Tumbling windows: which one a batch belongs to, what is handed on in it, and when it ends.
///
/// A window begins with its first delivery. It ends when a record of a later window is next, when the shard is closed and
/// nothing is left, when time has passed its end and nothing came, or when its state is too large. Then comes its final
/// delivery, which has no records and may fail and be tried again like any other, and only then what stands behind it.
extension Lane {
  /// Whether the next delivery is the final one of the open window. A batch that has failed goes first: it is in the
  /// window, or the mapping has no windows any more.
  var finalIsNext: Bool {
    guard let window, window.isEnding else { return false }
    return head.failing.map { $0.extent.isEmpty } ?? true
  }

  /// Where a read for the next batch ends. A frozen one too: retention may have taken its first records.
  func cut(_ step: LaneStep) -> WindowCut {
    if let window { return window.isEnding ? .none : .at(window.bounds.end) }
    let length = step.policy.tumblingWindowMilliseconds
    return length > 0 ? .every(milliseconds: length) : .none
  }

  /// The end of the window that a record of this arrival belongs to; `nil` without windows.
  func windowEnd(ofArrival arrival: WallTime, _ step: LaneStep) -> WallTime? {
    switch cut(step) {
    case .none: nil
    case let cut: cut.end(first: arrival)
    }
  }

  /// Payload that a read may bring in: what the state may take is left for it.
  func payloadByteLimit(_ step: LaneStep) -> Int {
    guard step.policy.tumblingWindowMilliseconds > 0 else { return step.policy.payloadByteLimit }
    return max(1, step.policy.payloadByteLimit - step.limits.windowStateByteLimit)
  }

  /// Whether the records that were read stand behind the open window. Then its final delivery comes first.
  mutating func endWindow(before extent: BatchExtent) -> Bool {
    guard let window else { return false }
    if !window.isEnding, extent.firstArrival >= window.bounds.end { self.window = window.ending(early: false) }
    return finalIsNext
  }

  /// The mapping has no windows any more: the open one ends early. Whether that is so, and new.
  mutating func endWindowIfThereAreNone(_ step: LaneStep) -> Bool {
    guard step.policy.tumblingWindowMilliseconds == 0, let window, !window.isTerminatedEarly else { return false }
    self.window = window.ending(early: true)
    progressChanged(settlingBatch: false)
    return true
  }

  /// The window that the batch is delivered in; opens it if it is the first. `nil` without windows.
  mutating func enterWindow(_ extent: BatchExtent, _ step: LaneStep) -> OpenWindow? {
    let length = step.policy.tumblingWindowMilliseconds
    guard length > 0 else { return nil }
    if let window { return window }
    let opened = OpenWindow(TimeWindow(holding: extent.firstArrival, lengthMilliseconds: length))
    window = opened
    return opened
  }

  /// An invocation succeeded, at least in part: the next one of the window gets its state.
  mutating func handOn(_ state: WindowState, _ step: LaneStep) {
    guard let window else { return }
    let isTooLarge = state.bytes.count > step.limits.windowStateByteLimit
    self.window = OpenWindow(
      window.bounds, state: state, isEnding: window.isEnding || isTooLarge,
      isTerminatedEarly: window.isTerminatedEarly || isTooLarge)
  }

  // MARK: The end by time

  /// When the open window is over for a lane that has nothing to deliver. Records whose commit takes long are waited for.
  func windowDue(_ step: LaneStep) -> MonotonicTime? {
    guard let window else { return nil }
    return step.now.monotonic(
      at: window.bounds.end.adding(milliseconds: step.limits.windowCloseDelayMilliseconds))
  }

  /// Whether a read that is asked for now, and finds nothing, ends the open window.
  func windowIsOver(_ step: LaneStep) -> Bool {
    windowDue(step).map { $0 <= step.now.monotonic } ?? false
  }

  /// The window that records leave in, with the state that they were delivered with.
  func window(ofLeaving extent: BatchExtent, _ step: LaneStep) -> OpenWindow? {
    if let window, extent.isEmpty || extent.firstArrival < window.bounds.end { return window }
    let length = step.policy.tumblingWindowMilliseconds
    guard length > 0 else { return nil }
    return OpenWindow(TimeWindow(holding: extent.firstArrival, lengthMilliseconds: length))
  }

  // MARK: The final delivery

  /// Why the final delivery, which failed before, is not tried once more. It is as old as the end of its window.
  func reasonToGiveUpFinal(_ failing: FailingBatch, _ step: LaneStep) -> FailureCondition? {
    if failing.givenUp != nil { return .givenUp }
    if let limit = step.policy.maximumRetryAttempts, failing.attempts > limit { return .retryAttemptsExhausted }
    guard let expiry = expiryTime(ofArrival: failing.extent.lastArrival, step) else { return nil }
    return expiry <= step.now.monotonic ? .recordAgeExceeded : nil
  }

  mutating func deliverFinal(of window: OpenWindow, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    // What is left of a batch in whose middle the state grew too large comes behind it.
    if case .cut(let count) = head {
      pieces.append(count)
      head = .open
    }
    begin(
      .windowEnd, .empty(at: next, arrival: window.bounds.end), window: window, attempt: head.attempts + 1, step,
      &effects)
  }

  /// The answer to a final delivery: the state that it returns is dropped.
  mutating func takeFinal(
    _ answer: DeliveryAnswer, to delivery: Delivery, _ step: LaneStep, _ effects: inout [PollerEffect]
  ) {
    switch answer {
    case .returned:
      settle(upTo: delivery.extent.end, rest: 0, endingWindow: true, step, &effects)
    case .succeeded where step.policy.tumblingWindowMilliseconds == 0:
      settle(upTo: delivery.extent.end, rest: 0, endingWindow: true, step, &effects)
    case .succeeded, .failed(at: _, position: _), .failedAmong, .recordFailed, .returnedPart:
      failByItself(delivery.extent, .invalidResponse, step, &effects)
    case .faulted(let kind, let rule):
      fail(delivery.extent, kind, rule, step, &effects)
    }
  }
}
