import ShardCore
import StreamModel

/// Lanes that block by key. What must hold is known here by the records alone: which are settled, which are on their way,
/// which the store has parked.
extension World {
  /// The lane that a track belongs to; a lane itself.
  func main(of lane: Int) -> Int { lane - lanes[lane].track }

  /// A lane and its tracks.
  func seats(of main: Int) -> ClosedRange<Int> {
    var last = main
    while last + 1 < lanes.count, lanes[last + 1].track == last + 1 - main, lanes[last + 1].track > 0 { last += 1 }
    return main...last
  }

  private func shard(of lane: Int) -> ModelShard { store.shards[lanes[lane].shard] }

  func fate(_ index: Int, _ lane: Int) -> UInt8 { fates[fatesOfLane(main(of: lane)) + index] }

  mutating func setFate(_ records: some Sequence<Int>, _ fate: UInt8, _ lane: Int) {
    for index in records { fates[fatesOfLane(main(of: lane)) + index] |= fate }
  }

  /// Settled as far as this process knows: after a crash it may come once more.
  static var settledNow: UInt8 { 8 }

  mutating func forgetSettledNow(_ lane: Int) {
    for place in fatesOfLane(lane)..<fatesOfLane(lane) + Scenario.recordLimit { fates[place] &= ~Self.settledNow }
  }

  // MARK: Reads

  mutating func answerReadByKey(_ lane: Int) {
    lastLane = lane
    coverage.count(.readAnswered)
    let answer: ReadAnswer
    if isFaulty, random.chance(scenario.unavailable) {
      answer = .unavailable
    } else if let early = lanes[lane].earlyAnswer {
      answer = early
    } else {
      answer = self.answer(lanes[lane].request, lane)
    }
    lanes[lane].isReading = false
    lanes[lane].earlyAnswer = nil
    reading &= ~bit(lane)
    permits &= ~bit(lane)
    switch answer {
    case .records(let result):
      lanes[lane].batch = shard(of: lane).records(of: result.extent, lanes[lane].request, lanes[lane].selection)
      lanes[lane].readBegin = Int(result.begin.rawValue)
      lanes[lane].readCount = result.extent.count
    case .onlyParked(let begin, _, _):
      coverage.count(.readOnlyParked)
      lanes[lane].readBegin = Int(begin.rawValue)
    case .parkingFull(let begin):
      coverage.count(.readParkingFull)
      lanes[lane].readBegin = Int(begin.rawValue)
    case .nothingSelected(let begin, _):
      coverage.count(.readNothing)
      lanes[lane].readBegin = Int(begin.rawValue)
    case .shardEnd(let end):
      coverage.count(.readShardEnd)
      lanes[lane].readBegin = Int(end.rawValue)
      if lanes[lane].skipReads { lanes[lane].skipEnd = 0 }
    case .corrupted:
      coverage.count(.readCorrupted)
      if lanes[lane].skipReads {
        lanes[lane].skipEnd = 0
        if lanes[lane].track > 0, let first = lanes[lane].request.ranges.first?.first {
          lanes[main(of: lane)].keySkips[shard(of: lane).key(of: Int(first.rawValue))] = nil
        }
      }
    case .caughtUp:
      coverage.count(.readCaughtUp)
      if lanes[lane].skipReads { lanes[lane].skipEnd = 0 }
    case .unavailable:
      coverage.count(.readUnavailable)
    }
    send(.readAnswered(LaneID(lane), answer))
  }

  /// Whether a read of a track takes up records that an operator gave up.
  func isKeySkip(_ request: ReadRequest, _ lane: Int) -> Bool {
    guard lanes[lane].track > 0, let first = request.ranges.first?.first else { return false }
    let through = lanes[main(of: lane)].keySkips[shard(of: lane).key(of: Int(first.rawValue))]
    return through.map { Int(first.rawValue) <= $0 } ?? false
  }

  // MARK: Deliveries

  mutating func checkByKey(_ delivery: Delivery, _ lane: Int) {
    let main = main(of: lane)
    let others = seats(of: main).filter { $0 != lane && lanes[$0].isDelivering }
    guard delivery.source == .shard else {
      violate(.exclusivity, others.isEmpty ? nil : "a redrive beside a delivery of a parked key", lane)
      return
    }
    let batch = lanes[lane].batch
    let shard = shard(of: lane)
    violate(.order, KeyOrderChecker.check(delivery.extent, batch, fates: fates, at: fatesOfLane(main)), lane)
    violate(
      .blocking,
      KeyBlockingChecker.check(batch, lanes[main].selection, of: shard, fates: fates, at: fatesOfLane(main)), lane)
    violate(
      .exclusivity,
      KeyExclusivityChecker.check(batch, of: shard, others: others.map { lanes[$0].batch }), lane)
    violate(
      .expiry,
      KeyExpiryChecker.check(
        delivery, batch, in: lanes[lane], of: shard, policy(of: lane), notBefore: lanes[main].notBefore,
        at: monotonic), lane)
    violate(.repeats, KeyRepeatsChecker.check(batch, store.lanes[main], of: shard), lane)
    if delivery.key != nil { coverage.count(.keyDelivered) }
  }

  func chooseAnswerByKey(to delivery: Delivery, in lane: Int) -> (DeliveryAnswer, Coverage.Point, SplitMix64) {
    var random = random
    let batch = lanes[lane].batch
    let shard = shard(of: lane)
    func named(_ position: Int) -> DeliveryAnswer {
      let index = batch[position]
      return .recordFailed(
        FailedRecord(
          index: RecordIndex(UInt64(index)), position: position, key: shard.key(of: index),
          arrival: WallTime(milliseconds: shard.arrivals[index])))
    }
    if lanes[lane].cancellation != .none, random.chance(600) { return (.failed(.timedOut), .lateAnswer, random) }
    var rule: RetryRuleID?
    if let rules = policy(of: lane).retryRules, random.chance(600) {
      rule = RetryRuleID(UInt8(random.below(rules.actions.count)))
    }
    if let poison = batch.firstIndex(where: { shard.poison[$0] }) {
      if random.chance(500) { return (named(poison), .partial, random) }
      return (.failed(.error, rule: rule), .error, random)
    }
    guard random.chance(scenario.failures) else {
      return (.succeeded, lanes[lane].cancellation == .none ? .succeeded : .succeededAfterCancel, random)
    }
    switch random.below(8) {
    case 0, 1: return (named(random.below(batch.count)), .partial, random)
    case 2: return (named(0), .noProgress, random)
    case 3:
      let wrong = FailedRecord(
        index: delivery.extent.end, position: random.below(batch.count + 1), key: PartitionKeyHash(1), arrival: .zero)
      return (.recordFailed(wrong), .outsideBatch, random)
    case 4: return (.failed(random.chance(500) ? .throttled : .unavailable, rule: rule), .throttled, random)
    case 5:
      let position = random.below(batch.count)
      return (.failed(at: RecordIndex(UInt64(batch[position])), position: position), .partial, random)
    default: return (.failed(.error, rule: rule), .error, random)
    }
  }

  /// What the answer settles, by the promises alone.
  mutating func takeByKey(
    _ answer: DeliveryAnswer, to delivery: Delivery, _ cancellation: WorldLane.Cancellation, in lane: Int
  ) {
    let batch = lanes[lane].batch
    let main = main(of: lane)
    var done = 0
    switch cancellation == .deadline ? .failed(.timedOut) : answer {
    case .succeeded: done = batch.count
    case .returned, .returnedPart, .failedAmong:
      preconditionFailure("a lane that blocks by key has neither windows nor keys of what is done")
    case .failed(at: let index, position: let position):
      if batch.firstIndex(of: Int(index.rawValue)) == position { done = position }
    case .recordFailed(let failed):
      if batch.firstIndex(of: Int(failed.index.rawValue)) == failed.position { done = failed.position }
    case .faulted(let kind, let rule):
      let policy = policy(of: lane)
      if batch.count == 1, rule == nil, policy.retryRules == nil, cancellation == .none || cancellation == .deadline,
        policy.maximumRecordAgeMilliseconds == nil
      {
        let backoff = kind.usesAttempt ? policy.retryBackoff : policy.systemBackoff
        let wait = backoff.firstMilliseconds * Int64(100 - backoff.jitterPercent) / 100
        lanes[main].notBefore[batch[0]] = monotonic + wait * 1_000_000
      }
    }
    guard done > 0 else { return }
    setFate(batch[..<done], CompletenessChecker.succeeded | Self.settledNow, lane)
    lanes[main].settledBatches += 1
  }

  // MARK: The store

  mutating func checkByKey(_ order: FailureOrder, _ lane: Int) {
    let main = main(of: lane)
    let batch = lanes[lane].batch
    let records = lanes[lane].track > 0 ? order.ranges.indexes : Array(batch.prefix(order.extent.count))
    lanes[lane].leaving = records
    let shard = shard(of: lane)
    violate(
      .order, records.allSatisfy(batch.contains) ? nil : "a failure entry names records that were not read", lane)
    violate(.order, KeyOrderChecker.check(order.extent, records, fates: fates, at: fatesOfLane(main)), lane)
    violate(
      .blocking,
      KeyBlockingChecker.check(records, lanes[main].selection, of: shard, fates: fates, at: fatesOfLane(main)), lane)
    violate(
      .expiry,
      KeyExpiryChecker.check(
        order, records, in: lanes[lane], skips: lanes[main], of: shard, policy(of: lane),
        wall: max(wall, wallBeforeStep)), lane)
  }

  mutating func checkProgressByKey(_ progress: LaneProgress, _ revision: UInt64, _ lane: Int) {
    violate(
      .checkpoint, revision <= lanes[lane].lastRevision ? "a revision was used twice" : nil, lane)
    violate(.completeness, CompletenessChecker.check(progress, in: lanes[lane]), lane)
  }

  mutating func checkCommitByKey(_ lane: Int) {
    let shard = shard(of: lane)
    let progress = store.lanes[lane].progress
    violate(.checkpoint, CheckpointChecker.checkCommit(progress, in: store.lanes[lane], of: shard), lane)
    var parked = store.lanes[lane].parked
    parked.apply(progress)
    violate(
      .completeness,
      KeyCompletenessChecker.check(
        progress, parked, lanes[lane].selection, of: shard, fates: fates, at: fatesOfLane(lane)), lane)
    violate(.bounds, BoundsChecker.checkParked(parked, policy(of: lane)), lane)
    if parked.keyCount > 0 { coverage.count(.keysParked) }
  }

  /// After each step of such a lane.
  mutating func checkParkedKeys(_ lane: Int) {
    let snapshot = poller.lane(LaneID(lane))
    violate(
      .bounds,
      BoundsChecker.checkParked(
        keys: snapshot.parkedKeyCount, records: Int(snapshot.parkedRecordCount), policy(of: lane)), lane)
    if snapshot.state != .waitingForTurn { lanes[lane].turnsOfOthers = 0 }
  }

  /// Which records are lost: those of the lane's own way, or of the track's key, that retention removed before the read.
  mutating func countLostByKey(_ main: Int, _ count: Int) {
    coverage.count(.lost)
    lanes[main].lost += UInt64(count)
    let seat = main == self.main(of: lastLane) ? lastLane : main
    let request = lanes[seat].request
    let begin = min(lanes[seat].readBegin, Scenario.recordLimit)
    let shard = shard(of: main)
    guard lanes[main].damage.isEmpty else {
      return setFate(lanes[main].damagedRecords, CompletenessChecker.lost | Self.settledNow, main)
    }
    var lost = Array(min(Int(request.from.rawValue), begin)..<begin)
    if seat != main {
      let key = shard.key(of: Int(request.from.rawValue))
      let next = Int(poller.lane(LaneID(main)).next.rawValue)
      lost = (0..<min(begin, next)).filter { index in
        shard.key(of: index) == key && lanes[main].selection.selects(shard.tags[index], at: index)
          && fate(index, main) & Self.settledNow == 0
      }
    }
    violate(.completeness, lost.count >= count ? nil : "more records were counted lost than are", main)
    violate(
      .completeness, lost.allSatisfy { $0 < shard.base } ? nil : "records were counted lost that are there", main)
    setFate(lost, CompletenessChecker.lost | Self.settledNow, main)
  }

  // MARK: Operators

  /// Gives up records of a parked key. `false` if none is parked.
  mutating func skipKey(_ main: Int) -> Bool {
    let keys = poller.parkedKeys(LaneID(main))
    guard !keys.isEmpty, !isDraining else { return false }
    coverage.count(.keySkip)
    let key = keys[random.below(keys.count)]
    let through = Int(key.first.rawValue) + random.below(12)
    lanes[main].keySkips[key.key] = max(lanes[main].keySkips[key.key] ?? 0, through)
    for index in lanes[main].notBefore.keys { lanes[main].notBefore[index] = 0 }
    cause = .skip
    send(.keySkipRequested(LaneID(main), key.key, through: RecordIndex(UInt64(through))))
    cause = .none
    return true
  }

  /// Gives up a damaged block at which a key stopped. `false` if none did.
  mutating func skipDamageOfKeys(_ main: Int) -> Bool {
    let keys = poller.parkedKeys(LaneID(main))
    guard let block = keys.lazy.compactMap(\.stoppedAt).first, !isDraining else { return false }
    coverage.count(.keySkipDamage)
    let end = min(Int(block.rawValue) + random.within(1...6), shard(of: main).end)
    guard end > Int(block.rawValue) else { return false }
    let stopped = Set(keys.filter { $0.stoppedAt == block }.map(\.key))
    let first = Dictionary(uniqueKeysWithValues: keys.map { ($0.key, Int($0.first.rawValue)) })
    let next = Int(poller.lane(LaneID(main)).next.rawValue)
    lanes[main].damage = Int(block.rawValue)..<end
    let shard = shard(of: main)
    lanes[main].damagedRecords = (0..<end).filter { index in
      let key = shard.key(of: index)
      guard lanes[main].selection.selects(shard.tags[index], at: index) else { return false }
      return index < next && stopped.contains(key) && index >= first[key] ?? .max
    }
    send(.damageSkipRequested(LaneID(main), block: block, end: RecordIndex(UInt64(end))))
    lanes[main].damage = 0..<0
    lanes[main].damagedRecords = []
    return true
  }

  // MARK: The end

  func isSettledByKey(_ lane: Int) -> Bool {
    let stored = store.lanes[lane]
    let isQuiet =
      !lanes[lane].isReading && !lanes[lane].isDelivering && stored.failureState == .none
      && stored.progressState == .none
    guard lanes[lane].track == 0 else { return isQuiet }
    let shard = shard(of: lane)
    let next = Int(stored.committed.next.rawValue)
    let isAtEnd =
      next >= shard.end || (!shard.isClosed && shard.base == shard.end)
      || shard.firstSelected(in: next..<shard.end, lanes[lane].selection) == nil
    return isQuiet && isAtEnd && stored.parked.recordCount == 0 && stored.committed.isFinished == shard.isClosed
      && lanes[lane].redriveFirst == lanes[lane].redriveEnd
  }

  func checkDrainedByKey(_ lane: Int) -> StaticString? {
    let stored = store.lanes[lane]
    if lanes[lane].isReading || lanes[lane].isDelivering { return "drained with something in flight" }
    if stored.progressState != .none || stored.failureState != .none { return "drained with a write under way" }
    guard lanes[lane].track == 0 else { return nil }
    let progress = poller.progress(LaneID(lane))
    var parked = ModelParked()
    parked.apply(progress)
    // Parked or not passed yet: both are still to come.
    let isSame = (0..<shard(of: lane).end).allSatisfy { index in
      guard lanes[lane].selection.selects(shard(of: lane).tags[index], at: index) else { return true }
      let key = shard(of: lane).key(of: index)
      return (index >= Int(progress.next.rawValue) || parked.contains(index, key: key))
        == (index >= Int(stored.committed.next.rawValue) || stored.parked.contains(index, key: key))
    }
    return isSame ? nil : "drained with progress that is not stored"
  }
}

extension World {
  /// The lane's own records in a damaged block that it gives up.
  func damagedRecords(of lane: Int, in range: Range<Int>) -> [Int] {
    let shard = store.shards[lanes[lane].shard]
    return range.filter { $0 < shard.end && lanes[lane].selection.selects(shard.tags[$0], at: $0) }
  }
}
