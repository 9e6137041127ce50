import ShardCore
import StreamModel

extension World {
  mutating func deliver(_ lane: Int, _ delivery: Delivery) {
    let shard = lanes[lane].shard
    violate(.order, OrderChecker.check(delivery, in: lanes[lane]), lane)
    violate(
      .blocking, BlockingChecker.check(delivery, in: lanes[lane], store.lanes[lane], of: store.shards[shard]), lane)
    violate(
      .expiry,
      ExpiryChecker.check(delivery, in: lanes[lane], of: store.shards[shard], scenario.policies[lanes[lane].mapping]),
      lane)
    violate(.expiry, ExpiryChecker.checkWait(delivery, in: lanes[lane], at: monotonic), lane)
    violate(.exclusivity, ExclusivityChecker.check(delivery, in: lanes[lane]), lane)
    violate(.repeats, RepeatsChecker.checkRestart(delivery, in: store.lanes[lane]), lane)
    if case .failureEntry(let entry) = delivery.source {
      violate(.order, OrderChecker.checkRedrive(entry: entry, in: lanes[lane]), lane)
      countTurn(of: lane)
    }
    coverage.count(delivery.attempt > 1 ? .redelivered : .delivered)
    lanes[lane].delivery = delivery
    lanes[lane].isDelivering = true
    lanes[lane].lastDelivery = delivery.id.rawValue
    lanes[lane].cancellation = .none
    lanes[lane].hangs = isFaulty && random.chance(scenario.hangs)
    if lanes[lane].hangs { coverage.count(.hung) } else { delivering |= bit(lane) }
    permits |= bit(lane)
    checkPermits(lanes[lane].mapping, lane)
  }

  mutating func cancel(_ lane: Int, _ delivery: DeliveryID) {
    violate(
      .exclusivity,
      lanes[lane].isDelivering && lanes[lane].delivery.id == delivery ? nil : "a delivery that is over was cancelled",
      lane)
    if cause == .none { coverage.count(.deadline) }
    lanes[lane].cancellation = cause == .none ? .deadline : cause
    delivering |= bit(lane)
  }

  /// The handler of this lane ends, in whichever way.
  mutating func answerDelivery(_ lane: Int) {
    answerDelivery(lane, with: chooseAnswer(to: lanes[lane].delivery, in: lane))
  }

  mutating func answerDelivery(_ lane: Int, with answer: DeliveryAnswer) {
    lastLane = lane
    let delivery = lanes[lane].delivery
    let cancellation = lanes[lane].cancellation
    lanes[lane].isDelivering = false
    lanes[lane].cancellation = .none
    delivering &= ~bit(lane)
    permits &= ~bit(lane)
    if delivery.source == .shard { take(answer, to: delivery.extent, cancellation, in: lane) }
    send(.handlerAnswered(LaneID(lane), delivery.id, answer))
  }

  /// An answer that came before, or another one for the same delivery.
  mutating func repeatAnswer(_ lane: Int) {
    coverage.count(.repeatedAnswer)
    let last = lanes[lane].lastDelivery
    let isOver = !lanes[lane].isDelivering
    let id = isOver ? last : last &- 1
    guard last > 0, id > 0 else { return }
    lastLane = lane
    send(.handlerAnswered(LaneID(lane), DeliveryID(id), random.chance(500) ? .succeeded : .faulted(.error)))
  }

  private mutating func chooseAnswer(to delivery: Delivery, in lane: Int) -> DeliveryAnswer {
    guard isFaulty else { return .succeeded }
    let extent = delivery.extent
    if lanes[lane].cancellation != .none {
      coverage.count(.lateAnswer)
      if random.chance(600) { return .faulted(.timedOut) }
    }
    if delivery.source == .shard, let poison = store.shards[lanes[lane].shard].firstPoison(in: extent) {
      if poison > Int(extent.first.rawValue), random.chance(500) {
        coverage.count(.partial)
        return .failed(at: RecordIndex(UInt64(poison)))
      }
      coverage.count(.error)
      return .faulted(.error)
    }
    guard random.chance(scenario.failures) else {
      coverage.count(lanes[lane].cancellation == .none ? .succeeded : .succeededAfterCancel)
      return .succeeded
    }
    switch random.below(8) {
    case 0, 1:
      coverage.count(.partial)
      return .failed(at: extent.first.advanced(by: random.below(extent.count)))
    case 2:
      coverage.count(.noProgress)
      return .failed(at: extent.first)
    case 3:
      coverage.count(.outsideBatch)
      return .failed(at: random.chance(500) ? extent.end : RecordIndex(extent.first.rawValue &- 1))
    case 4, 5:
      coverage.count(.throttled)
      return .faulted(random.chance(500) ? .throttled : .unavailable)
    case 6:
      return .faulted(.exited)
    default:
      coverage.count(.error)
      return .faulted(.error)
    }
  }

  /// What the answer means for where the lane must stand, by the promises alone.
  private mutating func take(
    _ answer: DeliveryAnswer, to extent: BatchExtent, _ cancellation: WorldLane.Cancellation, in lane: Int
  ) {
    let meant: DeliveryAnswer = cancellation == .deadline ? .faulted(.timedOut) : answer
    switch meant {
    case .succeeded:
      succeed(extent.count, rest: 0, in: lane)
    case .failed(at: let index) where index > extent.first && index < extent.end:
      let done = Int(extent.first.distance(to: index))
      succeed(done, rest: extent.count - done, in: lane)
    case .failed(at: _):
      fail(extent, .invalidResponse, in: lane)
    case .faulted(let kind):
      if cancellation != .stop { fail(extent, kind, in: lane) }
    }
  }

  private mutating func fail(_ extent: BatchExtent, _ kind: FailureKind, in lane: Int) {
    let policy = scenario.policies[lanes[lane].mapping]
    let isGivenUp = lanes[lane].skipEnd > lanes[lane].position
    if policy.bisectsBatchOnError, kind.usesAttempt, extent.count > 1, !isGivenUp {
      coverage.count(.bisected)
      return lanes[lane].bisect(extent)
    }
    lanes[lane].fail(extent, usesAttempt: kind.usesAttempt)
    let backoff = kind.usesAttempt ? policy.retryBackoff : policy.systemBackoff
    // The least that jitter leaves of the shortest wait. A batch may be too old before.
    let wait = backoff.firstMilliseconds * Int64(100 - backoff.jitterPercent) / 100
    lanes[lane].retryNotBefore =
      policy.maximumRecordAgeMilliseconds == nil ? monotonic + wait * 1_000_000 : 0
  }

  private mutating func succeed(_ count: Int, rest: Int, in lane: Int) {
    let first = fatesOfLane(lane) + lanes[lane].position
    for place in first..<first + count { fates[place] |= CompletenessChecker.succeeded }
    lanes[lane].settle(count, rest: rest)
  }
}
