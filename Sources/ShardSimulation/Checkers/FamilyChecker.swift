import ShardCore
import StreamModel

/// Family: children of a shard start when all parents are durably finished.
enum FamilyChecker {
  static func checkRead(of lane: WorldLane, in lanes: [WorldLane], shards: [WorldShard], mappings: Int)
    -> StaticString?
  {
    let parents = shards[lane.shard].parents
    if parents.0 >= 0, !lanes[parents.0 * mappings + lane.mapping].committed.isFinished {
      return "a child was read before its parent had finished"
    }
    if parents.1 >= 0, !lanes[parents.1 * mappings + lane.mapping].committed.isFinished {
      return "a child was read before its second parent had finished"
    }
    return nil
  }
}
