import ShardCore
import StreamModel

/// A world around one poller: shards, store, handlers, clocks, operators, and the checkers that watch.
///
/// Everything that can be pending is a bit per lane in a mask, so that picking the next thing to happen costs nothing.
/// Buffers are kept from one episode to the next.
struct World {
  var random: SplitMix64
  var pollerRandom: SplitMix64
  let seed: UInt64
  let sabotage: Sabotage?

  var scenario: Scenario
  var poller = Poller()
  var effects: [PollerEffect] = []
  var lanes: [WorldLane] = []
  var store: ModelStore
  /// By lane and record: what became of it.
  var fates: [UInt8]
  var mappingLanes: [UInt64]

  var monotonic: Int64 = 0
  var wallOffset: Int64 = 0
  var armed: Int64 = .max

  // Masks by lane.
  var reading: UInt64 = 0
  var delivering: UInt64 = 0
  var uncommitted: UInt64 = 0
  var unanswered: UInt64 = 0
  var changed: UInt64 = 0
  var permits: UInt64 = 0

  // By mapping.
  var doors: [Door] = []
  /// Records of each of its lanes that may have been in flight when the last process ended; 0: it ended well.
  var suspects: [Int] = []
  /// The limit before the last change, while more deliveries than the new one allows are in flight.
  var formerPermitLimits: [Int] = []

  /// The event that the poller is answering to is one of a whole mapping.
  var changesMapping = false
  var isDraining = false
  var isDrained = false
  /// Mappings that were told to stop in this life: what their handlers were at is in nobody's knowledge.
  var stopped: Set<Int> = []
  /// Faults happen.
  var isFaulty = true
  var isStarting = false
  var storeFullUntil: Int64 = 0
  /// Counts the lives of the poller.
  var life = 0
  /// What was put, as it must be found.
  var durability = DurabilityChecker()
  /// The first life in this episode.
  var lifeOfEpisode = 1
  /// The event that the poller is answering to.
  var cause = WorldLane.Cancellation.none
  var lastLane = 0
  var nextEntry: UInt64 = 0
  /// A record that failed for its size in the step that also found the records before it lost.
  var oversizedBehindLoss: BatchExtent?
  /// The wall clock stepped back in this episode.
  var wallSteppedBack = false
  /// What it showed before it did, at most: decisions of then still count.
  var wallBeforeStep: Int64 = .min

  /// Of each shard that was there when the process started, where its bounded run ends; `nil`: it goes on.
  var bounds: [RecordIndex]?
  var steps: UInt64 = 0
  var digest: UInt64 = 0xcbf2_9ce4_8422_2325
  var violations: [Violation] = []
  var coverage = Coverage()
  /// `nil`: nobody wants to read what happens.
  var trace: SimulationTrace?

  var now: Now {
    Now(monotonic: MonotonicTime(nanoseconds: monotonic), wall: WallTime(milliseconds: wall))
  }
  var wall: Int64 { monotonic / 1_000_000 + wallOffset }
  var lanesPerShard: Int { scenario.lanesOfShard.count }

  init(seed: UInt64, sabotage: Sabotage?) {
    self.seed = seed
    self.sabotage = sabotage
    var random = SplitMix64(seed: seed)
    scenario = Scenario(random: &random)
    pollerRandom = SplitMix64(seed: random.next())
    self.random = random
    store = ModelStore(lanesPerShard: scenario.lanesOfShard.count)
    fates = [UInt8](
      repeating: 0, count: Scenario.shardLimit * Scenario.laneLimitOfShard * Scenario.recordLimit)
    mappingLanes = [UInt64](repeating: 0, count: Scenario.mappingLimit)
    effects.reserveCapacity(1_024)
    lanes.reserveCapacity(Scenario.shardLimit * Scenario.laneLimitOfShard)
  }

  /// A world of one shard and one lane in which nothing happens by chance.
  init(smallWith policy: LanePolicy, _ limits: PollerLimits) {
    seed = 0
    sabotage = nil
    scenario = Scenario(policy: policy, limits: limits)
    random = SplitMix64(seed: 0)
    pollerRandom = SplitMix64(seed: 0)
    store = ModelStore(lanesPerShard: 1)
    fates = [UInt8](repeating: 0, count: Scenario.recordLimit)
    mappingLanes = [0]
    doors = [.open]
    suspects = [0]
    formerPermitLimits = [policy.deliveriesInFlightLimit]
    isFaulty = false
    monotonic = 1_000_000_000
    wallOffset = 1_000_000
    store.addShards(1, at: now.wall)
    addLanes(from: 0)
  }

  mutating func violate(_ promise: Promise, _ sentence: StaticString?, _ lane: Int) {
    guard let sentence else { return }
    report(promise, sentence, lane)
  }

  @inline(never)
  private mutating func report(_ promise: Promise, _ sentence: StaticString, _ lane: Int) {
    guard violations.count < 16 else { return }
    violations.append(
      Violation(promise: promise, sentence: sentence.description, seed: seed, step: steps, lane: lane))
    trace?.add("*** broken promise, \(promise.rawValue): \(sentence) (lane \(lane))")
  }

  func policy(of lane: Int) -> LanePolicy { scenario.policies[lanes[lane].mapping] }
  func fatesOfLane(_ lane: Int) -> Int { lane * Scenario.recordLimit }

  // MARK: Episodes

  /// A new world: one to three shards, and a poller that has never run.
  mutating func beginEpisode() {
    coverage.count(.episode)
    scenario = Scenario(random: &random)
    store.reset(lanesPerShard: lanesPerShard)
    durability.reset()
    for place in fates.indices { fates[place] = 0 }
    for place in mappingLanes.indices { mappingLanes[place] = 0 }
    lanes.removeAll(keepingCapacity: true)
    monotonic = 1_000_000_000
    wallOffset = 1_000_000
    storeFullUntil = 0
    wallSteppedBack = false
    wallBeforeStep = .min
    isFaulty = true
    store.addShards(random.within(1...3), at: now.wall)
    addLanes(from: 0)
    tell("a new world begins")
    lifeOfEpisode = life + 1
    suspects = scenario.policies.map { _ in 0 }
    startPoller()
  }

  /// Adds for each shard from this one on, and for each mapping, a lane that the poller does not know yet.
  mutating func addLanes(from firstNew: Int) {
    for shard in firstNew..<store.shardCount {
      for place in 0..<lanesPerShard {
        let mapping = scenario.lanesOfShard[place].mapping
        var lane = WorldLane()
        lane.shard = shard
        lane.mapping = mapping
        lane.selection = scenario.lanesOfShard[place].selection
        lane.track = scenario.lanesOfShard[place].track
        lane.blocksByKey = scenario.policies[mapping].parking != nil
        mappingLanes[mapping] |= 1 << UInt64(lanes.count)
        lanes.append(lane)
      }
    }
  }

  /// A process starts: it finds what is durable.
  mutating func startPoller() {
    life += 1
    tell("a process starts")
    reading = 0
    delivering = 0
    uncommitted = 0
    unanswered = 0
    changed = 0
    permits = 0
    armed = .max
    isDraining = false
    isDrained = false
    stopped.removeAll(keepingCapacity: true)
    doors = scenario.policies.map { _ in .open }
    formerPermitLimits = scenario.policies.map(\.deliveriesInFlightLimit)
    poller = Poller(limits: scenario.limits)
    for var policy in scenario.policies {
      if sabotage == .loosensStoreBound { policy.unstoredBatchLimit += 3 }
      if sabotage == .forgetsRetryRules { policy.retryRules = nil }
      if sabotage == .forgetsShadows { policy.isShadow = false }
      if sabotage == .loosensParking { policy.parking?.recordLimit += 3 }
      _ = poller.addMapping(policy)
    }
    isStarting = true
    store.crash()
    setBounds()
    for shard in 0..<store.shardCount {
      violate(.durability, durability.check(shard, store.shards[shard], lost: sabotage == .losesPuts ? 1 : 0), 0)
    }
    if isFaulty, life > lifeOfEpisode, random.chance(scenario.factorChanges) { changeFactor() }
    for index in lanes.indices {
      if let failing = store.lanes[index].committed.failing {
        coverage.count(failing.givenUp == nil ? .restoredFailing : .restoredGivenUp)
      }
      if store.lanes[index].committed.window != nil { coverage.count(.restoredWindow) }
      if store.lanes[index].committed.failing?.extent.isEmpty == true { coverage.count(.restoredFinal) }
      if lanes[index].blocksByKey {
        if store.lanes[index].parked.keyCount > 0 { coverage.count(.restoredParked) }
        forgetSettledNow(index)
      }
      lanes[index].restart(
        from: store.lanes[index].committed, hasWindows: policy(of: index).tumblingWindowMilliseconds > 0)
      guard scenario.settlesKeys.contains(lanes[index].mapping) else { continue }
      lanes[index].selection.done = store.lanes[index].effects
      if !store.lanes[index].effects.isEmpty { coverage.count(.keysFound) }
    }
    for index in lanes.indices where lanes[index].track == 0 { openLane(index) }
    for mapping in scenario.policies.indices { noteSuspects(of: mapping) }
    isStarting = false
  }

  /// The lanes of a mapping that work on a shard.
  func lanesOf(shard: Int, _ mapping: Int) -> [LaneID] {
    (0..<lanesPerShard).filter {
      scenario.lanesOfShard[$0].mapping == mapping && scenario.lanesOfShard[$0].track == 0
    }
    .map { LaneID(store.lane(of: shard, $0)) }
  }

  mutating func openLane(_ index: Int) {
    var parents: [LaneID] = []
    let (first, second) = store.shards[lanes[index].shard].parents
    for parent in [first, second] where parent >= 0 { parents += lanesOf(shard: parent, lanes[index].mapping) }
    if sabotage == .forgetsParents { parents.removeAll() }
    openTracker(of: index)
    var opening = LaneOpening(
      mapping: MappingID(lanes[index].mapping), parents: parents, progress: store.lanes[index].opening)
    if sabotage != .forgetsBounds { opening.bound = bound(ofShard: lanes[index].shard) }
    send(.laneOpened(opening))
  }

  /// The process ends at once. What is not durable never was.
  mutating func crash() {
    coverage.count(.crash)
    if random.chance(300) {
      coverage.count(.crashAfterCommit)
      for index in lanes.indices { commit(index) }
    }
    startPoller()
  }

  // MARK: Events and orders

  mutating func send(_ event: PollerEvent) {
    ask(event)
    carryOut()
  }

  /// Lets the poller take one step; its orders wait in `effects`.
  mutating func ask(_ event: PollerEvent) {
    steps &+= 1
    effects.removeAll(keepingCapacity: true)
    if trace != nil {
      let (now, steps) = (now, steps)
      trace?.add(event, at: now, step: steps)
    }
    let wasUnderWay = poller.lanesUnderWayToBound > 0
    poller.step(event, at: now, random: &pollerRandom, effects: &effects)
    if wasUnderWay, poller.lanesUnderWayToBound == 0 { checkEndOfBoundedRun() }
    if steps & 7 == 0 { sampleState() }
    if lastLane < poller.laneCount, lanes[lastLane].blocksByKey { checkParkedKeys(main(of: lastLane)) }
  }

  /// Carries the orders out, one after the other. The process may end between two of them.
  mutating func carryOut() {
    if let sabotage { spoil(sabotage) }
    let count = effects.count
    var crashAt = Int.max
    if isFaulty, !isStarting, random.chance(scenario.crashes) { crashAt = random.below(count + 1) }
    violate(
      .bounds, BoundsChecker.checkEffects(count, poller, scenario, ofAllLanes: isDraining || changesMapping),
      lastLane)
    violate(.bounds, BoundsChecker.checkTimers(poller), lastLane)
    let formerLife = life
    var place = 0
    while place < count {
      if place == crashAt {
        coverage.count(.crashBetweenEffects)
        tell("the process ends before it has carried out all orders")
        return crash()
      }
      let effect = effects[place]
      if trace != nil { trace?.add(effect) }
      carryOut(effect)
      if life != formerLife { return }
      place += 1
    }
    if crashAt == count { return crash() }
    if isDrained { endDrained() }
  }

  private mutating func note(_ tag: UInt64, _ lane: LaneID, _ value: UInt64) {
    digest = (digest ^ (tag << 56 ^ UInt64(truncatingIfNeeded: lane.rawValue) << 48 ^ value)) &* 0x0000_0100_0000_01b3
  }

  private mutating func carryOut(_ effect: PollerEffect) {
    switch effect {
    case .read(let lane, let request):
      note(1, lane, request.from.rawValue &* 31 &+ UInt64(request.countLimit))
      read(lane.rawValue, request)
    case .deliver(let lane, let delivery):
      note(2, lane, delivery.extent.first.rawValue &* 31 &+ UInt64(delivery.extent.count &* 7 &+ delivery.attempt))
      deliver(lane.rawValue, delivery)
    case .cancelHandler(let lane, let delivery):
      note(3, lane, delivery.rawValue)
      cancel(lane.rawValue, delivery)
    case .keepWrites(let lane, let delivery):
      note(10, lane, delivery.rawValue)
      keepWrites(lane.rawValue, delivery)
    case .storeProgress(let lane, let progress, let revision):
      note(4, lane, progress.next.rawValue &* 31 &+ revision)
      storeProgress(lane.rawValue, progress, revision)
    case .storeFailure(let lane, let order, let ticket):
      note(5, lane, order.extent.first.rawValue &* 31 &+ ticket)
      storeFailure(lane.rawValue, order, ticket)
    case .settleRedrive(let lane, let entry, let succeeded):
      note(6, lane, entry &* 2 &+ (succeeded ? 1 : 0))
      settleRedrive(lane.rawValue, entry, succeeded)
    case .armTimer(let moment):
      note(7, LaneID(0), UInt64(truncatingIfNeeded: moment.nanoseconds))
      if sabotage != .losesTimers { armed = moment.nanoseconds }
    case .tooLarge(let lane, let extent, key: _, isParked: _), .recursiveLoop(let lane, let extent, _, key: _):
      // A story is the shell's; that it is told is checked where it happens.
      note(11, lane, extent.first.rawValue)
    case .countLost(let lane, let count):
      note(8, lane, count)
      lanes[main(of: lane.rawValue)].tracker.lost()
      countLost(lane.rawValue, Int(count))
    case .mappingClosed(let mapping):
      note(10, LaneID(mapping.rawValue), 0)
      takeClosed(mapping.rawValue)
    case .drained:
      note(9, LaneID(0), 0)
      violate(.liveness, isDrained ? "drained twice" : nil, 0)
      isDrained = true
    }
  }

  /// The poller says that it is drained: all is durable, and a new process goes on from there.
  private mutating func endDrained() {
    coverage.count(.drained)
    for index in lanes.indices where lanes[index].blocksByKey {
      violate(.liveness, checkDrainedByKey(index), index)
    }
    for index in lanes.indices where !lanes[index].blocksByKey {
      violate(.exactlyOnce, EffectsChecker.checkDrained(lanes[index]), index)
      violate(
        .liveness, LivenessChecker.checkDrained(lanes[index], store.lanes[index], of: store.shards[lanes[index].shard]),
        index)
    }
    noteEnd()
    startPoller()
  }

  private mutating func countLost(_ lane: Int, _ count: Int) {
    if lanes[lane].blocksByKey { return countLostByKey(lane, count) }
    coverage.count(.lost)
    let shard = store.shards[lanes[lane].shard]
    violate(.completeness, CompletenessChecker.checkLost(count, in: lanes[lane], of: shard), lane)
    let end = min(lanes[lane].readBegin, Scenario.recordLimit)
    for index in lanes[lane].position..<max(end, lanes[lane].position) {
      fates[fatesOfLane(lane) + index] |= CompletenessChecker.lost
    }
    lanes[lane].position = max(end, lanes[lane].position)
    lanes[lane].lost += UInt64(count)
    lanes[lane].failingCount = 0
    lanes[lane].attempts = 0
    lanes[lane].givenUpCount = 0
    lanes[lane].frozenCount = 0
    lanes[lane].pieces.removeAll()
    lanes[lane].retryNotBefore = 0
    if let extent = oversizedBehindLoss {
      lanes[lane].pass(to: Int(extent.first.rawValue), in: store.shards[lanes[lane].shard])
      failOversized(extent, in: lane)
    }
  }

  private mutating func sampleState() {
    guard lastLane < poller.laneCount else { return }
    switch poller.lane(LaneID(lastLane)).state {
    case .waitingForParents: coverage.count(.inWaitingForParents)
    case .idle: coverage.count(.inIdle)
    case .waitingForTurn: coverage.count(.inWaitingForTurn)
    case .reading: coverage.count(.inReading)
    case .windowing: coverage.count(.inWindowing)
    case .delivering: coverage.count(.inDelivering)
    case .cancelling: coverage.count(.inCancelling)
    case .backingOff: coverage.count(.inBackingOff)
    case .storingFailure: coverage.count(.inStoringFailure)
    case .failureRefused: coverage.count(.inFailureRefused)
    case .holdingForKeys: coverage.count(.inHoldingForKeys)
    case .holdingForStore: coverage.count(.inHolding)
    case .storeUnavailable: coverage.count(.inUnavailable)
    case .paused: coverage.count(.inPaused)
    case .stopped: coverage.count(.inStopped)
    case .finished: coverage.count(.inFinished)
    case .resting: coverage.count(.inResting)
    }
  }
}
