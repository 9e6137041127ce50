import ShardCore
import StreamModel

extension World {
  mutating func read(_ lane: Int, _ request: ReadRequest) {
    violate(.exclusivity, ExclusivityChecker.checkRead(in: lanes[lane]), lane)
    violate(
      .family, FamilyChecker.checkRead(of: lanes[lane], in: store, scenario.lanesOfShard), lane)
    let skips = request.through != nil || isKeySkip(request, lane)
    lanes[lane].request = request
    if sabotage == .deliversLoops { lanes[lane].request.lineageLimit = nil }
    if sabotage == .deliversParkedKeys { lanes[lane].request.parking?.keys = ParkedKeySet() }
    lanes[lane].isReading = true
    lanes[lane].skipReads = skips
    lanes[lane].readAt = wall
    lanes[lane].readAge = policy(of: lane).maximumRecordAgeMilliseconds
    lanes[lane].batchSizeOfRead = policy(of: lane).batchSize
    violate(
      .settings,
      SettingsChecker.checkRead(
        request, in: lanes[lane], policy(of: lane), isClosing: doors[lanes[lane].mapping] != .open), lane)
    lanes[lane].seenEnd = store.shards[lanes[lane].shard].end
    // A read may be answered from what the store was when it was asked for.
    lanes[lane].earlyAnswer = isFaulty && random.chance(300) ? answer(lanes[lane].request, lane) : nil
    reading |= bit(lane)
    if request.purpose == .deliver, !skips {
      violate(.repeats, RepeatsChecker.check(lanes[main(of: lane)], policy(of: lane)), lane)
      permits |= bit(lane)
      checkPermits(lanes[lane].mapping, lane, isNew: true)
      countTurn(of: lane)
    }
  }

  /// The lane has got a permit, and those of its mapping that wait have not.
  mutating func countTurn(of lane: Int) {
    lanes[lane].turnsOfOthers = 0
    let mapping = lanes[lane].mapping
    let all = mappingLanes[mapping]
    var others = all & ~bit(lane)
    while others != 0 {
      let other = others.trailingZeroBitCount
      others &= others &- 1
      guard other < poller.laneCount, lanes[other].track == 0, poller.waitsForTurn(LaneID(other)) else {
        lanes[other].turnsOfOthers = 0
        continue
      }
      lanes[other].turnsOfOthers += 1
      violate(
        .fairness,
        FairnessChecker.check(
          turnsOfOthers: lanes[other].turnsOfOthers, lanesOfMapping: all.nonzeroBitCount, scenario.policies[mapping]),
        other)
    }
  }

  /// (`mutating` without changing anything: otherwise the whole world is copied for it.)
  mutating func answer(_ request: ReadRequest, _ lane: Int) -> ReadAnswer {
    let shard = lanes[lane].shard
    guard lanes[lane].blocksByKey else {
      let selection = lanes[lane].selection
      return store.shards[shard].answer(
        request, sabotage == .forgetsSettledKeys ? selection.withoutKeys : selection, scanLimit: scenario.scanLimit)
    }
    return store.shards[shard].answerByKey(request, lanes[lane].selection, scanLimit: scenario.scanLimit)
  }

  func bit(_ lane: Int) -> UInt64 { 1 << UInt64(lane) }

  /// `isNew`: the lane has got its permit now. One that it has had since its read may be from before a change.
  mutating func checkPermits(_ mapping: Int, _ lane: Int, isNew: Bool) {
    let inUse = (permits & mappingLanes[mapping]).nonzeroBitCount
    let limit = scenario.policies[mapping].deliveriesInFlightLimit
    if inUse <= limit { formerPermitLimits[mapping] = limit }
    let allowed = isNew ? limit : max(limit, formerPermitLimits[mapping])
    violate(.exclusivity, ExclusivityChecker.checkPermits(inUse: inUse, limit: allowed), lane)
  }

  mutating func answerRead(_ lane: Int) {
    if lanes[lane].blocksByKey { return answerReadByKey(lane) }
    lastLane = lane
    coverage.count(.readAnswered)
    let answer: ReadAnswer
    if isFaulty, random.chance(scenario.unavailable) {
      answer = .unavailable
    } else if let early = lanes[lane].earlyAnswer {
      coverage.count(.readOfOlderSnapshot)
      answer = early
    } else {
      answer = self.answer(lanes[lane].request, lane)
    }
    lanes[lane].isReading = false
    lanes[lane].earlyAnswer = nil
    reading &= ~bit(lane)
    permits &= ~bit(lane)
    var oversized: BatchExtent?
    switch answer {
    case .records(let result):
      lanes[lane].readCount = result.extent.count
      lanes[lane].readBegin = Int(result.begin.rawValue)
      if lanes[lane].request.purpose == .deliver, !lanes[lane].skipReads, result.extent.count == 1,
        result.extent.payloadBytes > Scenario.payloadLimit
      {
        oversized = result.extent
      }
    case .onlyParked, .parkingFull:
      preconditionFailure("only lanes that block by key hear of parked keys")
    case .caughtUp:
      coverage.count(.readCaughtUp)
      if lanes[lane].skipReads { lanes[lane].skipEnd = 0 }
    case .nothingSelected(let begin, _):
      lanes[lane].readBegin = Int(begin.rawValue)
      coverage.count(.readNothing)
    case .shardEnd(let end):
      lanes[lane].readBegin = Int(end.rawValue)
      coverage.count(.readShardEnd)
      if lanes[lane].skipReads { lanes[lane].skipEnd = 0 }
    case .corrupted:
      coverage.count(.readCorrupted)
      if lanes[lane].skipReads { lanes[lane].skipEnd = 0 }
    case .unavailable:
      coverage.count(.readUnavailable)
    }
    ask(.readAnswered(LaneID(lane), answer))
    if sabotage == .hidesOversizedRecords {
      effects.removeAll { if case .tooLarge = $0 { true } else { false } }
    }
    if let oversized { countOversized(lane, oversized) }
    carryOut()
    oversizedBehindLoss = nil
  }

  mutating func failOversized(_ extent: BatchExtent, in lane: Int) {
    lanes[lane].fail(extent, usesAttempt: true)
    guard lanes[lane].skipEnd <= lanes[lane].position else { return }
    let rules = scenario.policies[lanes[lane].mapping].retryRules
    if rules?[rules?.rule(ofKind: .payloadTooLarge)] == .giveUp { lanes[lane].givenUpCount = 1 }
  }

  /// A record that is too large fails without a delivery; whether it came to that can only be seen on the poller,
  /// because orders of an operator may have come first.
  private mutating func countOversized(_ lane: Int, _ extent: BatchExtent) {
    guard let failing = poller.progress(LaneID(lane)).failing, failing.extent.first == extent.first else { return }
    let isBehindLoss = effects.contains { if case .countLost(LaneID(lane), _) = $0 { true } else { false } }
    let isCounted = isBehindLoss ? failing.attempts == 1 : failing.attempts == lanes[lane].attempts + 1
    let isTold = effects.contains(.tooLarge(LaneID(lane), extent, key: nil, isParked: false))
    violate(
      .expiry,
      isCounted && failing.lastFailure == .payloadTooLarge && !isTold
        ? "a record failed for its size and nobody was told" : nil, lane)
    if !isBehindLoss {
      if failing.attempts == lanes[lane].attempts + 1, failing.lastFailure == .payloadTooLarge {
        lanes[lane].pass(to: Int(extent.first.rawValue), in: store.shards[lanes[lane].shard])
        failOversized(extent, in: lane)
      }
    } else if failing.attempts == 1 {
      oversizedBehindLoss = extent
    }
  }
}
