import ShardCore
import StreamModel

/// Tumbling windows in the world: handlers that note which records they have seen, and what must be handed on.
extension World {
  mutating func checkWindow(of delivery: Delivery, _ lane: Int) {
    let shard = store.shards[lanes[lane].shard]
    guard delivery.source == .windowEnd else {
      violate(.windows, WindowChecker.check(delivery, in: lanes[lane], of: shard, policy(of: lane)), lane)
      guard let window = delivery.window else { return }
      coverage.count(lanes[lane].window == nil ? .windowBegun : .windowGoneOn)
      if lanes[lane].window == nil { lanes[lane].window = OpenWindow(window.bounds) }
      return
    }
    violate(
      .windows,
      WindowChecker.checkFinal(
        delivery, in: lanes[lane], of: shard, closeDelay: scenario.limits.windowCloseDelayMilliseconds,
        wallSteppedBack: wallSteppedBack), lane)
  }

  /// The same answer with a state: what came in, and the records that are done.
  mutating func windowed(_ answer: DeliveryAnswer, to delivery: Delivery, in lane: Int) -> DeliveryAnswer {
    guard delivery.source != .windowEnd, let window = delivery.window else {
      return answer == .succeeded && !isForgetful ? .returned(.empty) : answer
    }
    if isForgetful {
      coverage.count(.stateMissing)
      return answer
    }
    var former = window.state
    // More than a window may hand on.
    if isFaulty, random.chance(60) {
      former.bytes += [UInt8](repeating: .max, count: scenario.limits.windowStateByteLimit)
    }
    switch answer {
    case .succeeded:
      return .returned(state(former, with: delivery.extent, upTo: delivery.extent.end, in: lane))
    case .failed(at: let index, position: let position):
      return .returnedPart(
        state(former, with: delivery.extent, upTo: index, in: lane), failedAt: index, position: position)
    case .failedAmong, .recordFailed, .returned, .returnedPart, .faulted:
      return answer
    }
  }

  /// The answers of a handler in a small world: with the state that there must be, without one, and none at all.
  func windowedAnswers() -> [DeliveryAnswer] {
    let delivery = lanes[0].delivery
    let extent = delivery.extent
    guard delivery.source == .shard, let former = delivery.window?.state else {
      return [.returned(.empty), .failed(.error)]
    }
    var answers: [DeliveryAnswer] = [
      .returned(state(former, with: extent, upTo: extent.end, in: 0)), .succeeded, .failed(.error),
    ]
    if extent.count > 1 {
      let second = extent.first.advanced(by: 1)
      answers.append(
        .returnedPart(state(former, with: extent, upTo: second, in: 0), failedAt: second, position: 1))
    }
    return answers
  }

  /// The handler forgets to return a state.
  private var isForgetful: Bool {
    mutating get { isFaulty && random.chance(40) }
  }

  private func state(
    _ former: WindowState, with extent: BatchExtent, upTo end: RecordIndex, in lane: Int
  ) -> WindowState {
    let tags = store.shards[lanes[lane].shard].tags
    var state = former
    let first = Int(extent.first.rawValue)
    // A handler may name any record, also one that is not there.
    let last = Int(min(end.rawValue, UInt64(tags.count)))
    for index in first..<max(first, last)
    where lanes[lane].selection.selects(tags[index], at: index) {
      state.bytes.append(UInt8(truncatingIfNeeded: index))
    }
    return state
  }

  mutating func chooseFinalAnswer(in lane: Int) -> DeliveryAnswer {
    if lanes[lane].cancellation != .none {
      coverage.count(.lateAnswer)
      if random.chance(600) { return .failed(.timedOut) }
    }
    guard random.chance(scenario.failures) else { return .succeeded }
    return .failed([.error, .throttled, .unavailable, .exited][random.below(4)], rule: drawRule(lane))
  }

  /// What the answer to a final delivery means, by the promises alone.
  mutating func takeFinal(
    _ answer: DeliveryAnswer, to extent: BatchExtent, _ cancellation: WorldLane.Cancellation, in lane: Int
  ) {
    switch meant(answer, cancellation, in: lane) {
    case .returned:
      endWindow(in: lane, at: extent.end)
    case .succeeded where policy(of: lane).tumblingWindowMilliseconds == 0:
      endWindow(in: lane, at: extent.end)
    case .succeeded, .failed, .failedAmong, .recordFailed, .returnedPart:
      coverage.count(.finalFailed)
      failByItself(extent, .invalidResponse, in: lane)
    case .faulted(let kind, let rule):
      guard cancellation != .stop else { return }
      coverage.count(.finalFailed)
      fail(extent, kind, policy(of: lane).retryRules?[rule], in: lane)
    }
  }

  private mutating func endWindow(in lane: Int, at end: RecordIndex) {
    coverage.count(lanes[lane].window?.isTerminatedEarly == true ? .windowEndedEarly : .windowEnded)
    lanes[lane].window = nil
    succeed(upTo: end, rest: 0, in: lane)
  }
}

extension Delivery {
  var isRedrive: Bool {
    if case .failureEntry = source { true } else { false }
  }
}
