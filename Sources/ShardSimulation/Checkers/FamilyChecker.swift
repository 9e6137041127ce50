import ShardCore
import StreamModel

/// Family: children of a shard start when all parents are durably finished.
enum FamilyChecker {
  static func checkRead(
    of lane: WorldLane, in store: ModelStore, _ lanesOfShard: [Scenario.ShardLane]
  ) -> StaticString? {
    let parents = store.shards[lane.shard].parents
    for parent in [parents.0, parents.1] where parent >= 0 {
      for place in lanesOfShard.indices
      where lanesOfShard[place].mapping == lane.mapping
        && lanesOfShard[place].track == 0
      {
        let isFinished = store.lanes[store.lane(of: parent, place)].committed.isFinished
        if !isFinished { return "a child was read before its parents had finished" }
      }
    }
    return nil
  }
}
