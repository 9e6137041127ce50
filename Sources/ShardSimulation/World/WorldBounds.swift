import ShardCore
import StreamModel

/// Processes that run up to what is there when they start.
extension World {
  /// One life of five, as long as there are faults: the end of an episode waits for everything.
  mutating func setBounds() {
    guard isFaulty, life % 5 == 4 else {
      bounds = nil
      return
    }
    coverage.count(.boundedRun)
    bounds = (0..<store.shardCount).map { shard in
      let model = store.shards[shard]
      return RecordIndex(model.isClosed ? SequenceNumber.greatestIndex : UInt64(model.end))
    }
  }

  /// `nil`: it goes on. Shards that are made in a bounded run wait for the next one.
  func bound(ofShard shard: Int) -> RecordIndex? {
    bounds.map { $0.indices.contains(shard) ? $0[shard] : .zero }
  }

  /// After a step that left no lane under way.
  mutating func checkEndOfBoundedRun() {
    guard bounds != nil, !isStarting, !isDraining, poller.lanesUnderWayToBound == 0 else { return }
    coverage.count(.boundedRunEnd)
    for index in lanes.indices where lanes[index].track == 0 && index < poller.laneCount {
      guard let bound = bound(ofShard: lanes[index].shard) else { continue }
      let base = RecordIndex(UInt64(store.shards[lanes[index].shard].base))
      let lane = poller.lane(LaneID(index))
      violate(.bound, BoundChecker.checkEnd(lane, store.lanes[index].committed, base: base, bound), index)
      if lane.state == .idle { violate(.bound, BoundChecker.checkEnd(parked: poller.parkedKeys(LaneID(index))), index) }
    }
  }
}
