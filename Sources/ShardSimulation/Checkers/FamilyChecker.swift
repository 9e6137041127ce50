import ShardCore
import StreamModel

/// Family: children of a shard start when all parents are durably finished.
enum FamilyChecker {
  static func checkRead(of lane: WorldLane, in store: ModelStore) -> StaticString? {
    let parents = store.shards[lane.shard].parents
    if parents.0 >= 0, !store.lanes[store.lane(of: parents.0, lane.mapping)].committed.isFinished {
      return "a child was read before its parent had finished"
    }
    if parents.1 >= 0, !store.lanes[store.lane(of: parents.1, lane.mapping)].committed.isFinished {
      return "a child was read before its second parent had finished"
    }
    return nil
  }
}
