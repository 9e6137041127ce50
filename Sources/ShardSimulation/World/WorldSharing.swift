import ShardCore
import StreamModel

/// Another number of lanes shares each shard from now on.
extension World {
  /// A process has ended, and the next has another `ParallelizationFactor` for one of its mappings.
  mutating func changeFactor() {
    guard let (former, new) = scenario.changeFactor(&random) else { return }
    coverage.count(.factorChanged)
    tell("other lanes share the shards")
    let formerStore = store.lanes
    let formerLanes = lanes
    var newStore: [ModelLane] = []
    var newLanes: [WorldLane] = []
    for shard in 0..<store.shardCount {
      var place = store.lane(of: shard, 0)
      for mapping in scenario.policies.indices {
        let own = place..<place + former[mapping]
        place = own.upperBound
        if former[mapping] == new[mapping] {
          newStore += formerStore[own]
          newLanes += formerLanes[own]
        } else {
          share(shard, mapping, own, among: new[mapping], &newStore, &newLanes)
        }
      }
    }
    store.replaceLanes(lanesPerShard: new.reduce(0, +), newStore)
    lanes = newLanes
    scenario.lanesOfShard = scenario.policies.indices.flatMap { mapping in
      let rejected = scenario.lanesOfShard.first { $0.mapping == mapping }?.selection.rejected ?? 0
      return (0..<new[mapping]).map { slot in
        Scenario.ShardLane(
          mapping: mapping,
          selection: LaneSelection(sharing: LaneSharing(factor: new[mapping]), slot: slot, rejected: rejected))
      }
    }
    // What was done and is not durable is done again.
    for place in fates.indices { fates[place] = 0 }
    for mapping in mappingLanes.indices { mappingLanes[mapping] = 0 }
    for lane in lanes.indices { mappingLanes[lanes[lane].mapping] |= bit(lane) }
  }

  /// One mapping's lanes of one shard.
  private mutating func share(
    _ shard: Int, _ mapping: Int, _ own: Range<Int>, among factor: Int, _ newStore: inout [ModelLane],
    _ newLanes: inout [WorldLane]
  ) {
    let former = own.map { lane in
      let committed = store.lanes[lane].committed
      return (sharing: lanes[lane].selection.sharing.beyond(committed.next), progress: committed)
    }
    if Set(former.map(\.progress.next)).count > 1 { coverage.count(.factorChangedBetweenLanes) }
    if former.contains(where: { !$0.sharing.formerLanes.isEmpty }) { coverage.count(.factorChangedAgain) }
    var changed = LaneSharing.changing(former, to: factor)
    switch sabotage {
    case .forgetsHindmostLane:
      let foremost = former.map(\.progress.next).reduce(.zero, max)
      for slot in changed.indices { changed[slot].progress.next = foremost }
    case .forgetsForemostLane:
      for slot in changed.indices { changed[slot].sharing = LaneSharing(factor: factor) }
    default:
      break
    }
    let rejected = lanes[own.lowerBound].selection.rejected
    let selections = changed.enumerated().map { slot, lane in
      LaneSelection(sharing: lane.sharing, slot: slot, rejected: rejected)
    }
    let nexts = changed.map { Int($0.progress.next.rawValue) }
    let check = SharingChecker(
      former: own.map { (lanes[$0].selection.withoutKeys, Int(store.lanes[$0].committed.next.rawValue)) },
      new: Array(zip(selections, nexts)))
    violate(.completeness, check.completeness(in: store.shards[shard]), newLanes.count)
    violate(.repeats, check.repeats(in: store.shards[shard]), newLanes.count)
    // Keys are the mapping's: whichever lane comes to a record knows them.
    var keys = RecordSet()
    if scenario.settlesKeys.contains(mapping) { for lane in own { keys.formUnion(store.lanes[lane].effects) } }
    // After a process that ended well a batch that was under retry is told as a new one.
    var delivered = RecordSet()
    if suspects[mapping] > 0 {
      suspects[mapping] = .max
      for lane in own { delivered.formUnion(lanes[lane].delivered) }
    }
    for (slot, lane) in changed.enumerated() {
      newStore.append(ModelLane(beginningWith: lane.progress))
      newStore[newStore.count - 1].effects = keys
      var world = WorldLane()
      world.shard = shard
      world.mapping = mapping
      world.selection = selections[slot]
      world.delivered = delivered
      newLanes.append(world)
    }
  }
}
