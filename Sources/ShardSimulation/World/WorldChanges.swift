import ShardCore
import StreamModel

/// Settings of mappings change while their lanes run; mappings are closed and opened again.
extension World {
  /// Whether lanes of a mapping may start something, as the world knows it.
  enum Door {
    case open, closing, closed
  }

  /// One change of one mapping. `false` if it did not come to it.
  mutating func changeMapping() -> Bool {
    guard !isDraining else { return false }
    let mapping = random.below(scenario.policies.count)
    lastLane = mappingLanes[mapping].trailingZeroBitCount
    switch random.below(4) {
    case 0, 1: changePolicy(of: mapping)
    case 2:
      guard doors[mapping] == .open else { return false }
      close(mapping)
    default:
      // While something is in flight still, too.
      guard doors[mapping] != .open else { return false }
      openMapping(mapping)
    }
    return true
  }

  private mutating func changePolicy(of mapping: Int) {
    coverage.count(.policyChanged)
    let former = scenario.policies[mapping]
    let inUse = (permits & mappingLanes[mapping]).nonzeroBitCount
    formerPermitLimits[mapping] = max(inUse, former.deliveriesInFlightLimit)
    scenario.changePolicy(of: mapping, &random)
    var policy = scenario.policies[mapping]
    if sabotage == .forgetsRetryRules { policy.retryRules = nil }
    if sabotage == .keepsFormerLimits { policy.maximumRetryAttempts = former.maximumRetryAttempts }
    noteSuspects(of: mapping)
    forEachLane(of: mapping) { lane in
      if policy.tumblingWindowMilliseconds == 0 { lane.endWindowEarly() }
      lane.attemptsAtChange = lane.attempts + (lane.isDelivering ? 1 : 0)
      // It may have become too old.
      if policy.maximumRecordAgeMilliseconds != nil {
        lane.retryNotBefore = 0
        lane.notBefore.removeAll()
      }
      lane.settingsChanged = true
      // A window that is looked at again may put the lane behind others.
      lane.turnsOfOthers = 0
    }
    sendChange(.policyChanged(MappingID(mapping), policy))
  }

  private mutating func close(_ mapping: Int) {
    coverage.count(.closeRequested)
    doors[mapping] = .closing
    forEachLane(of: mapping) { $0.turnsOfOthers = 0 }
    guard sabotage != .ignoresClosing else { return }
    let isStopping = random.chance(500)
    if isStopping {
      coverage.count(.closeStopped)
      stopped.insert(mapping)
      cause = .stop
      overruleSkips(in: mapping)
    }
    sendChange(.mappingCloseRequested(MappingID(mapping), isStopping: isStopping))
    cause = .none
  }

  mutating func openMapping(_ mapping: Int) {
    coverage.count(.mappingOpened)
    doors[mapping] = .open
    for lane in lanes.indices where lanes[lane].mapping == mapping && lane < poller.laneCount {
      lanes[lane].turnsOfOthers = 0
      // A skip ends where the lane comes to rest.
      if case .resting = poller.lane(LaneID(lane)).state { lanes[lane].skipEnd = 0 }
    }
    sendChange(.mappingOpenRequested(MappingID(mapping)))
  }

  /// The poller says that nothing of a mapping is in flight and all its progress is stored.
  mutating func takeClosed(_ mapping: Int) {
    coverage.count(.mappingClosed)
    violate(.settings, doors[mapping] == .closing ? nil : "a mapping was closed that nobody closes, or twice", lastLane)
    doors[mapping] = .closed
    var left = mappingLanes[mapping]
    while left != 0 {
      let lane = left.trailingZeroBitCount
      left &= left &- 1
      // A shard that was split just now has lanes that the poller does not know yet.
      guard lane < poller.laneCount else { continue }
      guard !lanes[lane].blocksByKey else {
        violate(.liveness, checkDrainedByKey(lane), lane)
        continue
      }
      violate(
        .liveness,
        LivenessChecker.checkDrained(lanes[lane], store.lanes[lane], of: store.shards[lanes[lane].shard]), lane)
    }
  }

  /// Of a handler that was told to stop because of a skip, and then because all stops, a failure counts no more. It is not
  /// told again.
  mutating func overruleSkips(in mapping: Int) {
    forEachLane(of: mapping) { if $0.cancellation == .skip { $0.cancellation = .stop } }
  }

  private mutating func sendChange(_ event: PollerEvent) {
    changesMapping = true
    send(event)
    changesMapping = false
  }

  private mutating func forEachLane(of mapping: Int, _ body: (inout WorldLane) -> Void) {
    for index in lanes.indices where lanes[index].mapping == mapping { body(&lanes[index]) }
  }
}
