import ShardCore
import StreamModel

extension World {
  mutating func deliver(_ lane: Int, _ delivery: Delivery) {
    if lanes[lane].blocksByKey {
      checkByKey(delivery, lane)
    } else {
      checkAsWhole(delivery, lane)
    }
    if delivery.source == .shard {
      let (own, shard) = (lanes[main(of: lane)].selection, store.shards[lanes[lane].shard])
      let records =
        lanes[lane].blocksByKey ? lanes[lane].batch : LineageChecker.records(of: delivery.extent, own, of: shard)
      violate(.recursion, LineageChecker.check(records, deliveredFrom: shard, policy(of: lane)), lane)
    }
    if let bound = bound(ofShard: lanes[lane].shard) { violate(.bound, BoundChecker.check(delivery, bound), lane) }
    violate(.exclusivity, ExclusivityChecker.check(delivery, in: lanes[lane]), lane)
    violate(.idempotency, KeysChecker.check(delivery, in: lanes[lane], of: store.shards[lanes[lane].shard]), lane)
    violate(
      .settings,
      SettingsChecker.check(
        delivery, in: lanes[lane], isClosing: doors[lanes[lane].mapping] != .open, isShadow: policy(of: lane).isShadow),
      lane)
    if case .failureEntry(let entry) = delivery.source {
      violate(.order, OrderChecker.checkRedrive(entry: entry, in: lanes[lane]), lane)
    }
    // The others had theirs when they read.
    if delivery.source != .shard { countTurn(of: lane) }
    coverage.count(delivery.attempt > 1 ? .redelivered : .delivered)
    tellRedelivery(delivery, lane)
    lanes[lane].delivery = delivery
    lanes[lane].isDelivering = true
    lanes[lane].lastDelivery = delivery.id.rawValue
    lanes[lane].cancellation = .none
    lanes[lane].hangs = isFaulty && random.chance(scenario.hangs)
    if lanes[lane].hangs { coverage.count(.hung) } else { delivering |= bit(lane) }
    permits |= bit(lane)
    checkPermits(lanes[lane].mapping, lane, isNew: delivery.source != .shard)
  }

  private mutating func checkAsWhole(_ delivery: Delivery, _ lane: Int) {
    let shard = lanes[lane].shard
    switch delivery.source {
    case .shard: lanes[lane].pass(to: Int(delivery.extent.first.rawValue), in: store.shards[shard])
    case .windowEnd:
      lanes[lane].pass(to: Int(delivery.extent.first.rawValue), in: store.shards[shard])
      // Where retention has taken the rest of an open shard, the lane cannot know how much that was. Whether it has seen
      // that can only be seen on the poller: it may not have read since.
      if lanes[lane].position < store.shards[shard].base, poller.progress(LaneID(lane)).pieces.isEmpty {
        lanes[lane].forgetBatches()
      }
      lanes[lane].putOffPieces()
    case .failureEntry: break
    }
    checkWindow(of: delivery, lane)
    violate(.order, OrderChecker.check(delivery, in: lanes[lane], of: store.shards[shard]), lane)
    violate(
      .blocking, BlockingChecker.check(delivery, in: lanes[lane], store.lanes[lane], of: store.shards[shard]), lane)
    violate(
      .expiry,
      ExpiryChecker.check(delivery, in: lanes[lane], of: store.shards[shard], scenario.policies[lanes[lane].mapping]),
      lane)
    violate(.expiry, ExpiryChecker.checkWait(delivery, in: lanes[lane], at: monotonic), lane)
    violate(.repeats, RepeatsChecker.checkRestart(delivery, in: store.lanes[lane]), lane)
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
    let delivery = lanes[lane].delivery
    let answer = chooseAnswer(to: delivery, in: lane)
    answerDelivery(lane, with: delivery.window == nil ? answer : windowed(answer, to: delivery, in: lane))
  }

  mutating func answerDelivery(_ lane: Int, with answer: DeliveryAnswer) {
    lastLane = lane
    let delivery = lanes[lane].delivery
    let cancellation = lanes[lane].cancellation
    lanes[lane].isDelivering = false
    lanes[lane].cancellation = .none
    delivering &= ~bit(lane)
    permits &= ~bit(lane)
    offerWrites(of: delivery, answer, in: lane)
    endRedelivery(delivery, answer, cancellation, lane)
    switch delivery.source {
    case .shard:
      if lanes[lane].blocksByKey {
        takeByKey(answer, to: delivery, cancellation, in: lane)
      } else {
        take(answer, to: delivery, cancellation, in: lane)
      }
    case .windowEnd: takeFinal(answer, to: delivery.extent, cancellation, in: lane)
    case .failureEntry: break
    }
    send(.handlerAnswered(LaneID(lane), delivery.id, answer))
  }

  /// The records that the handler wrote something for, whether or not its answer will count.
  private mutating func offerWrites(of delivery: Delivery, _ answer: DeliveryAnswer, in lane: Int) {
    guard policy(of: lane).keepsWrites else { return }
    if !lanes[lane].offered.isEmpty { coverage.count(.writesDiscarded) }
    lanes[lane].offered = RecordSet()
    lanes[lane].offeredBy = delivery.id
    guard delivery.source == .shard else { return }
    if scenario.settlesKeys.contains(lanes[lane].mapping) {
      if case .failedAmong = answer { lanes[lane].offered = lanes[lane].named }
      if sabotage == .inventsSettledKeys, answer != .succeeded {
        lanes[lane].offered.insert(Int(delivery.extent.last.rawValue))
      }
      return
    }
    let end: RecordIndex
    switch answer {
    case .succeeded: end = delivery.extent.end
    case .failed(at: let index, position: _): end = min(index, delivery.extent.end)
    case .faulted, .failedAmong, .recordFailed, .returned, .returnedPart: return
    }
    let tags = store.shards[lanes[lane].shard].tags
    for index in Int(delivery.extent.first.rawValue)..<Int(max(end, delivery.extent.first).rawValue)
    where lanes[lane].selection.selects(tags[index], at: index) {
      lanes[lane].offered.insert(index)
    }
  }

  mutating func keepWrites(_ lane: Int, _ delivery: DeliveryID) {
    coverage.count(.writesKept)
    violate(
      .exactlyOnce, EffectsChecker.checkKeeping(delivery, in: lanes[lane], store.lanes[lane], policy(of: lane)), lane)
    if sabotage == .storesWritesApart {
      store.commitEffects(lanes[lane].offered, lane)
    } else {
      lanes[lane].kept.formUnion(lanes[lane].offered)
    }
    if scenario.settlesKeys.contains(lanes[lane].mapping) {
      lanes[lane].selection.done.formUnion(lanes[lane].offered)
      if !lanes[lane].offered.isEmpty { coverage.count(.doneBehind) }
    }
    lanes[lane].offered = RecordSet()
  }

  /// An answer that came before, or another one for the same delivery.
  mutating func repeatAnswer(_ lane: Int) {
    coverage.count(.repeatedAnswer)
    let last = lanes[lane].lastDelivery
    let isOver = !lanes[lane].isDelivering
    let id = isOver ? last : last &- 1
    guard last > 0, id > 0 else { return }
    lastLane = lane
    send(.handlerAnswered(LaneID(lane), DeliveryID(id), random.chance(500) ? .succeeded : .failed(.error)))
  }

  private mutating func chooseAnswer(to delivery: Delivery, in lane: Int) -> DeliveryAnswer {
    guard isFaulty else { return .succeeded }
    if lanes[lane].blocksByKey, delivery.source == .shard {
      let (answer, point, random) = chooseAnswerByKey(to: delivery, in: lane)
      self.random = random
      coverage.count(point)
      return answer
    }
    let extent = delivery.extent
    if delivery.source == .windowEnd { return chooseFinalAnswer(in: lane) }
    let shard = store.shards[lanes[lane].shard]
    let selection = lanes[lane].selection
    if lanes[lane].cancellation != .none {
      coverage.count(.lateAnswer)
      if random.chance(600) { return .failed(.timedOut) }
    }
    if delivery.source == .shard, scenario.settlesKeys.contains(lanes[lane].mapping),
      random.chance(max(150, scenario.failures))
    {
      return nameFailures(among: extent, in: lane)
    }
    if delivery.source == .shard, let poison = shard.firstPoison(in: extent, selection) {
      if poison > Int(extent.first.rawValue), random.chance(500) {
        coverage.count(.partial)
        let position = shard.countSelected(in: Int(extent.first.rawValue)..<poison, selection)
        return .failed(at: RecordIndex(UInt64(poison)), position: position)
      }
      coverage.count(.error)
      return .failed(.error, rule: drawRule(lane))
    }
    guard random.chance(scenario.failures) else {
      coverage.count(lanes[lane].cancellation == .none ? .succeeded : .succeededAfterCancel)
      return .succeeded
    }
    switch random.below(8) {
    case 0, 1:
      coverage.count(.partial)
      let position = random.below(extent.count)
      return .failed(at: shard.record(position, of: extent, selection), position: position)
    case 2:
      coverage.count(.noProgress)
      return .failed(at: extent.first, position: 0)
    case 3:
      coverage.count(.outsideBatch)
      return .failed(
        at: random.chance(500) ? extent.end : RecordIndex(extent.first.rawValue &- 1),
        position: random.below(extent.count + 1))
    case 4, 5:
      coverage.count(.throttled)
      return .failed(random.chance(500) ? .throttled : .unavailable, rule: drawRule(lane))
    case 6:
      return .failed(.exited, rule: drawRule(lane))
    default:
      coverage.count(.error)
      return .failed(.error, rule: drawRule(lane))
    }
  }

  /// The handler names every record that failed: poisoned ones and some others.
  private mutating func nameFailures(among extent: BatchExtent, in lane: Int) -> DeliveryAnswer {
    let shard = store.shards[lanes[lane].shard]
    var done = RecordSet()
    var first: (index: Int, position: Int)?
    var (position, remaining) = (0, 0)
    for index in Int(extent.first.rawValue)..<Int(extent.end.rawValue)
    where lanes[lane].selection.selects(shard.tags[index], at: index) {
      if shard.poison[index] || random.chance(400) {
        first = first ?? (index, position)
        remaining += 1
      } else if first != nil {
        done.insert(index)
      }
      position += 1
    }
    guard let first else { return .succeeded }
    coverage.count(.namedFailures)
    if random.chance(80) {
      coverage.count(.outsideBatch)
      lanes[lane].named = RecordSet()
      return .failedAmong(at: extent.end, position: position, remaining: 1)
    }
    lanes[lane].named = done
    return .failedAmong(at: RecordIndex(UInt64(first.index)), position: first.position, remaining: remaining)
  }

  /// The retry rule that a failure falls under, if the mapping has any.
  mutating func drawRule(_ lane: Int) -> RetryRuleID? {
    guard let rules = scenario.policies[lanes[lane].mapping].retryRules, random.chance(600) else { return nil }
    return RetryRuleID(UInt8(random.below(rules.actions.count)))
  }

  /// An answer behind the deadline counts as none in time.
  func meant(_ answer: DeliveryAnswer, _ cancellation: WorldLane.Cancellation, in lane: Int) -> DeliveryAnswer {
    guard cancellation == .deadline else { return answer }
    if case .faulted(.timedOut, rule: _) = answer { return answer }
    return .failed(.timedOut, rule: policy(of: lane).retryRules?.rule(ofKind: .timedOut))
  }

  /// What the answer means for where the lane must stand, by the promises alone.
  private mutating func take(
    _ answer: DeliveryAnswer, to delivery: Delivery, _ cancellation: WorldLane.Cancellation, in lane: Int
  ) {
    let extent = delivery.extent
    let rules = scenario.policies[lanes[lane].mapping].retryRules
    if policy(of: lane).isShadow {
      // A delivery that was stopped has no outcome.
      if case .faulted = answer, cancellation == .stop { return }
      if answer != .succeeded || cancellation == .deadline { coverage.count(.shadowFailed) }
      return succeed(upTo: extent.end, rest: 0, in: lane)
    }
    switch meant(answer, cancellation, in: lane) {
    case .succeeded where delivery.window == nil:
      succeed(upTo: extent.end, rest: 0, in: lane)
    case .failed(at: let index, position: let position)
    where delivery.window == nil && index > extent.first && index < extent.end:
      succeed(upTo: index, rest: extent.count - position, in: lane)
    case .failedAmong(at: let index, position: _, remaining: let remaining) where index < extent.end:
      guard remaining < extent.count else { return failByItself(extent, .reportedNoProgress, in: lane) }
      for done in 0..<RecordSet.limit where lanes[lane].named.contains(done) {
        fates[fatesOfLane(lane) + done] |= CompletenessChecker.succeeded
      }
      succeed(upTo: index, rest: remaining, in: lane)
    case .recordFailed:
      preconditionFailure("only lanes that block by key are told of a failed record")
    case .returned(let state):
      lanes[lane].handOn(state, limit: scenario.limits.windowStateByteLimit)
      succeed(upTo: extent.end, rest: 0, in: lane)
    case .returnedPart(let state, failedAt: let index, position: let position)
    where index > extent.first && index < extent.end:
      lanes[lane].handOn(state, limit: scenario.limits.windowStateByteLimit)
      if lanes[lane].window?.isTerminatedEarly == true { coverage.count(.windowEndedInBatch) }
      succeed(upTo: index, rest: extent.count - position, in: lane)
    case .failed(at: let index, position: _) where delivery.window == nil && index == extent.first:
      failByItself(extent, .reportedNoProgress, in: lane)
    case .returnedPart(_, failedAt: let index, position: _) where index == extent.first:
      failByItself(extent, .reportedNoProgress, in: lane)
    case .succeeded, .failed, .failedAmong, .returnedPart:
      failByItself(extent, .invalidResponse, in: lane)
    case .faulted(let kind, let rule):
      if cancellation != .stop { fail(extent, kind, rules?[rule], in: lane) }
    }
  }

  mutating func failByItself(_ extent: BatchExtent, _ kind: FailureKind, in lane: Int) {
    let rules = policy(of: lane).retryRules
    fail(extent, kind, rules?[rules?.rule(ofKind: kind)], in: lane)
  }

  mutating func fail(_ extent: BatchExtent, _ kind: FailureKind, _ action: RetryAction?, in lane: Int) {
    let policy = scenario.policies[lanes[lane].mapping]
    let isSkipped = lanes[lane].skipEnd > lanes[lane].position
    var usesAttempt = kind.usesAttempt
    var backoff: Backoff?
    switch action {
    case .giveUp?:
      usesAttempt = true
      if !isSkipped, giveUp(extent, kind, policy, in: lane) { return }
    case .retry(let counts, let wait)?:
      if counts == false, usesAttempt { coverage.count(.uncounted) }
      usesAttempt = counts ?? usesAttempt
      backoff = wait
    case nil: break
    }
    if policy.bisectsBatchOnError, kind.usesAttempt, usesAttempt, extent.count > 1, !isSkipped {
      coverage.count(.bisected)
      return lanes[lane].bisect(extent)
    }
    lanes[lane].fail(extent, usesAttempt: usesAttempt)
    let wait = backoff ?? (usesAttempt ? policy.retryBackoff : policy.systemBackoff)
    setRetry(after: wait, policy, in: lane)
  }

  /// A rule says that nothing will help. `false` if the batch is bisected first.
  private mutating func giveUp(
    _ extent: BatchExtent, _ kind: FailureKind, _ policy: LanePolicy, in lane: Int
  ) -> Bool {
    let isNamed = kind == .reportedNoProgress
    if policy.bisectsBatchOnError, kind.usesAttempt, extent.count > 1, !isNamed { return false }
    coverage.count(isNamed && extent.count > 1 ? .gaveUpFirst : .gaveUp)
    lanes[lane].fail(extent, usesAttempt: true)
    lanes[lane].givenUpCount = extent.isEmpty ? WorldLane.finalGivenUp : isNamed ? 1 : extent.count
    return true
  }

  private mutating func setRetry(after backoff: Backoff, _ policy: LanePolicy, in lane: Int) {
    // The least that jitter leaves of the shortest wait. A batch may be too old before.
    let wait = backoff.firstMilliseconds * Int64(100 - backoff.jitterPercent) / 100
    lanes[lane].retryNotBefore =
      policy.maximumRecordAgeMilliseconds == nil ? monotonic + wait * 1_000_000 : 0
  }

  mutating func succeed(upTo end: RecordIndex, rest: Int, in lane: Int) {
    let shard = store.shards[lanes[lane].shard]
    for index in lanes[lane].position..<Int(end.rawValue)
    where lanes[lane].selection.selects(shard.tags[index], at: index) {
      fates[fatesOfLane(lane) + index] |= CompletenessChecker.succeeded
      lanes[lane].processed.insert(index)
    }
    lanes[lane].settle(upTo: Int(end.rawValue), rest: rest)
  }
}
