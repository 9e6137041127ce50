import ShardCore
import StreamModel

/// What happens in the world, one thing at a time.
extension World {
  /// Lets a little time pass and one thing happen.
  mutating func act() {
    if sabotage == .sendsToTheBack { sendToTheBack(0) }
    monotonic += Int64(random.below(scenario.pace)) * 1_000
    if armed <= monotonic, random.chance(700) { return fire() }
    let chance = random.below(1_000)
    if chance < 120, fault() { return }
    switch random.below(16) {
    case 0...3:
      if reading != 0 { return answerRead(random.bit(of: reading)) }
    case 4...7:
      if delivering != 0 { return answerDelivery(random.bit(of: delivering)) }
    case 8...9:
      if uncommitted != 0 { return commitSome() }
    case 10...11:
      if unanswered != 0 { return answerWrite(random.bit(of: unanswered)) }
    case 12...13:
      if changed != 0 { return tellChange(random.bit(of: changed)) }
    default:
      return append()
    }
    if !proceed() { passTime() }
  }

  /// Something that is pending, whatever it is. `false` if nothing is.
  mutating func proceed() -> Bool {
    if reading != 0 {
      answerRead(random.bit(of: reading))
    } else if delivering != 0 {
      answerDelivery(random.bit(of: delivering))
    } else if uncommitted != 0 {
      commitSome()
    } else if unanswered != 0 {
      answerWrite(random.bit(of: unanswered))
    } else if changed != 0 {
      tellChange(random.bit(of: changed))
    } else {
      return false
    }
    return true
  }

  /// Nothing is pending: time passes until the timer is due. `false` if it is not armed.
  @discardableResult
  mutating func passTime() -> Bool {
    guard armed < .max else { return false }
    monotonic = max(monotonic, armed)
    fire()
    return true
  }

  mutating func fire() {
    coverage.count(.timer)
    armed = .max
    send(.timerFired)
  }

  private mutating func commitSome() {
    if isFaulty, monotonic < storeFullUntil || random.chance(scenario.refusals) {
      return refuse(random.bit(of: uncommitted))
    }
    if random.chance(500) { return commit(random.bit(of: uncommitted)) }
    var left = uncommitted
    while left != 0 {
      commit(left.trailingZeroBitCount)
      left &= left &- 1
    }
  }

  mutating func tellChange(_ lane: Int) {
    lastLane = lane
    changed &= ~bit(lane)
    send(.shardChanged(LaneID(lane)))
  }

  mutating func markChanged(_ shard: Int) {
    guard sabotage != .losesChanges else { return }
    for place in 0..<lanesPerShard where scenario.lanesOfShard[place].track == 0 {
      changed |= bit(store.lane(of: shard, place))
    }
  }

  private mutating func append() {
    let shard = random.below(store.shardCount)
    guard !store.shards[shard].isClosed, store.shards[shard].end + 4 < Scenario.recordLimit else { return }
    coverage.count(.append)
    tell("records are put", shard: shard)
    for _ in 0..<random.within(1...4) {
      let isOversized = random.chance(scenario.oversized)
      let isPoison = random.chance(scenario.poison)
      if isOversized { coverage.count(.oversizedRecord) }
      if isPoison { coverage.count(.poisonRecord) }
      store.shards[shard].append(
        arrival: wall, payload: isOversized ? Scenario.payloadLimit + 1 : random.within(1...40), isPoison: isPoison,
        tag: UInt8(truncatingIfNeeded: random.next()))
    }
    durability.noteAcknowledged(shard, store.shards[shard])
    markChanged(shard)
  }

  // MARK: Faults

  /// One of the rarer things. `false` if it did not come to it.
  private mutating func fault() -> Bool {
    switch random.below(11) {
    case 9: return random.chance(scenario.changes * 10) && changeMapping()
    case 0: return random.chance(scenario.trims * 10) && trim()
    case 1: return random.chance(scenario.reshards * 10) && reshard()
    case 2, 3: return random.chance(scenario.operators * 10) && operate()
    case 4: return random.chance(scenario.drains * 10) && drain()
    case 5: return random.chance(scenario.clockSteps * 10) && stepWallBack()
    case 6: return random.chance(scenario.corruptions * 10) && corrupt()
    case 7: return random.chance(scenario.storeFull * 10) && fillStore()
    case 8: return random.chance(scenario.repeats) && repeatSomething()
    default:
      guard random.chance(50) else { return false }
      coverage.count(.earlyTimer)
      lastLane = 0
      armed = .max
      send(.timerFired)
      return true
    }
  }

  private mutating func repeatSomething() -> Bool {
    let lane = random.below(lanes.count)
    switch random.below(3) {
    case 0: repeatAnswer(lane)
    case 1: repeatStoreAnswer(lane)
    default:
      guard !lanes[lane].isReading else { return false }
      coverage.count(.repeatedRead)
      lastLane = lane
      send(.readAnswered(LaneID(lane), answer(lanes[lane].request, lane)))
    }
    return true
  }

  private mutating func trim() -> Bool {
    let shard = random.below(store.shardCount)
    let left = store.shards[shard].end - store.shards[shard].base
    guard left > 0 else { return false }
    coverage.count(.trim)
    tell("retention removes records", shard: shard)
    store.shards[shard].trim(random.chance(200) ? left : random.within(1...min(left, 12)))
    return true
  }

  private mutating func reshard() -> Bool {
    guard store.shardCount + 2 <= Scenario.shardLimit, !isDraining else { return false }
    let first = random.below(store.shardCount)
    let second = random.below(store.shardCount)
    guard !store.shards[first].isClosed, !store.shards[second].isClosed else { return false }
    let firstNew = store.shardCount
    for place in 0..<lanesPerShard where lanes[store.lane(of: first, place)].isFailing {
      coverage.count(.reshardDuringRetry)
    }
    if first == second {
      let range = store.shards[first].hashKeys
      let middle = HashKey(range.last.rawValue - (range.last.rawValue - range.first.rawValue) / 2)
      guard store.split(first, at: middle, at: now.wall) else { return false }
      coverage.count(.split)
      tell("a shard is split", shard: first)
      markChanged(first)
    } else {
      // Only neighbours can be merged: the other shard says that there is one.
      guard let other = store.neighbour(of: first), store.merge(first, with: other, at: now.wall) else { return false }
      coverage.count(.merge)
      tell("two shards are merged", shard: first)
      markChanged(first)
      markChanged(other)
    }
    addLanes(from: firstNew)
    let formerLife = life
    for lane in store.lane(of: firstNew, 0)..<lanes.count where lanes[lane].track == 0 {
      lastLane = lane
      openLane(lane)
      // A process that ended meanwhile has opened all lanes again.
      if life != formerLife { return true }
    }
    return true
  }

  private mutating func stepWallBack() -> Bool {
    coverage.count(.wallStepBack)
    wallSteppedBack = true
    wallBeforeStep = max(wallBeforeStep, wall)
    tell("the wall clock steps back")
    wallOffset -= Int64(random.below(600))
    return true
  }

  private mutating func corrupt() -> Bool {
    let shard = random.below(store.shardCount)
    store.shards[shard].isCorrupted.toggle()
    tell(store.shards[shard].isCorrupted ? "a block is damaged" : "a block is repaired", shard: shard)
    return true
  }

  private mutating func fillStore() -> Bool {
    coverage.count(.storeFull)
    tell("the store is full")
    storeFullUntil = monotonic + Int64(random.below(100)) * 1_000_000
    return true
  }

  mutating func drain() -> Bool {
    lastLane = 0
    if isDraining, random.chance(500) { return false }
    isDraining = true
    if isFaulty, random.chance(500) {
      coverage.count(.stopped)
      stopped.formUnion(scenario.policies.indices)
      for mapping in scenario.policies.indices { overruleSkips(in: mapping) }
      cause = .stop
      send(.stopRequested)
      cause = .none
    } else {
      send(.drainRequested)
    }
    return true
  }

  // MARK: Operators

  private mutating func operate() -> Bool {
    let lane = main(of: random.below(lanes.count))
    lastLane = lane
    if lanes[lane].blocksByKey, random.chance(300) { return skipDamageOfKeys(lane) || skipKey(lane) }
    switch random.below(8) {
    case 0:
      coverage.count(.pause)
      lanes[lane].turnsOfOthers = 0
      send(.pauseRequested(LaneID(lane)))
    case 1, 2, 3:
      if case .stopped(let block) = poller.lane(LaneID(lane)).state, skipDamage(at: block, lane) { break }
      coverage.count(.resume)
      send(.resumeRequested(LaneID(lane)))
    case 4:
      coverage.count(.retry)
      lanes[lane].retryNotBefore = 0
      lanes[lane].notBefore.removeAll()
      send(.retryRequested(LaneID(lane)))
    case 5, 6:
      return skip(lane)
    default:
      return redrive(lane)
    }
    return true
  }

  /// Gives up the damaged block, which is as long as chance wants. `false` if nothing of it is there, or chance is against it.
  private mutating func skipDamage(at block: RecordIndex, _ lane: Int) -> Bool {
    let end = min(Int(block.rawValue) + random.within(1...6), store.shards[lanes[lane].shard].end)
    guard end > Int(block.rawValue), random.chance(500) else { return false }
    coverage.count(.skipDamage)
    lanes[lane].damage = Int(block.rawValue)..<end
    lanes[lane].readBegin = end
    if lanes[lane].blocksByKey {
      lanes[lane].damagedRecords = damagedRecords(of: lane, in: Int(poller.lane(LaneID(lane)).next.rawValue)..<end)
    }
    send(.damageSkipRequested(LaneID(lane), block: block, end: RecordIndex(UInt64(end))))
    // Other lanes may share the shards in a process that started meanwhile.
    if lanes.indices.contains(lane) {
      lanes[lane].damage = 0..<0
      lanes[lane].damagedRecords = []
    }
    return true
  }

  private mutating func skip(_ lane: Int) -> Bool {
    let snapshot = poller.lane(LaneID(lane))
    guard !isDraining, doors[lanes[lane].mapping] == .open, snapshot.state != .waitingForParents, !snapshot.isFinished
    else { return false }
    coverage.count(.skip)
    let position = lanes[lane].blocksByKey ? Int(snapshot.next.rawValue) : lanes[lane].position
    let wanted = position + random.within(1...12)
    let end = min(wanted, bound(ofShard: lanes[lane].shard).map { Int($0.rawValue) } ?? wanted)
    lanes[lane].skipEnd = max(lanes[lane].skipEnd, end)
    lanes[lane].turnsOfOthers = 0
    cause = .skip
    send(.skipRequested(LaneID(lane), through: RecordIndex(UInt64(wanted - 1))))
    cause = .none
    return true
  }

  private mutating func redrive(_ lane: Int) -> Bool {
    coverage.count(.redrive)
    let entry = lanes[lane].redriveEnd
    lanes[lane].redriveEnd += 1
    violateIfTooManyRedrives(lane)
    send(
      .redriveRequested(
        LaneID(lane),
        Redrive(
          entry: entry,
          extent: BatchExtent(
            first: .zero, count: 1, firstArrival: .zero, lastArrival: .zero, payloadBytes: 1))))
    return true
  }

  private mutating func violateIfTooManyRedrives(_ lane: Int) {
    // The one being asked for may still be turned down.
    guard lanes[lane].redriveEnd - lanes[lane].redriveFirst > 1 else { return }
    lanes[lane].redriveEnd -= 1
    violate(.bounds, BoundsChecker.checkRedrives(lanes[lane], scenario.limits), lane)
    lanes[lane].redriveEnd += 1
  }

  // MARK: Without faults

  /// Faults stop: handlers work, the store works, blocks are repaired, paused lanes are resumed.
  mutating func heal() {
    isFaulty = false
    tell("faults end")
    for shard in 0..<store.shardCount { store.shards[shard].heal() }
    // The end waits for everything.
    if bounds != nil { startPoller() }
    for mapping in doors.indices where doors[mapping] != .open && !isDraining { openMapping(mapping) }
    for lane in lanes.indices {
      if lanes[lane].hangs, lanes[lane].isDelivering { delivering |= bit(lane) }
      lastLane = lane
      if !isDraining, lanes[lane].track == 0 { send(.resumeRequested(LaneID(lane))) }
    }
  }

  /// Runs until all is settled. `false` if it does not come to that.
  mutating func settle() -> Bool {
    var left = 200_000
    var ageWasGiven = false
    while left > 0 {
      left -= 1
      monotonic += Int64(random.below(scenario.pace)) * 1_000
      if armed <= monotonic {
        fire()
        continue
      }
      if proceed() { continue }
      if isSettled, !isDraining { return true }
      if passTime() { continue }
      // A drained process was replaced; its lanes may have been paused, or stopped, before.
      if ageWasGiven { return false }
      ageWasGiven = true
      heal()
    }
    return false
  }

  var isSettled: Bool {
    for lane in lanes.indices where lanes[lane].blocksByKey && !isSettledByKey(lane) { return false }
    for lane in lanes.indices
    where !lanes[lane].blocksByKey
      && !LivenessChecker.isSettled(lanes[lane], store.lanes[lane], of: store.shards[lanes[lane].shard])
    {
      return false
    }
    return true
  }
}
