import ShardCore
import StreamModel

/// Checkpoint: never ahead of what is settled; what is durable never goes back.
enum CheckpointChecker {
  static func check(
    _ progress: LaneProgress, revision: UInt64, in lane: WorldLane, of shard: ModelShard
  ) -> StaticString? {
    let next = Int(progress.next.rawValue)
    if next > lane.position, next > shard.end || shard.firstSelected(in: lane.position..<next, lane.selection) != nil {
      return "a checkpoint passed unsettled records"
    }
    if next < lane.position, shard.firstSelected(in: next..<lane.position, lane.selection) != nil {
      return "a checkpoint fell behind what is settled"
    }
    if revision <= lane.lastRevision { return "a revision was used twice" }
    if let failing = progress.failing {
      if failing.extent.first != progress.next { return "the failing batch does not begin at the checkpoint" }
      if failing.attempts != lane.attempts { return "stored attempts are not those that were" }
      if (failing.givenUp != nil) != (lane.givenUpCount > 0) { return "what a rule gave up was not stored" }
    } else if lane.isFailing, lane.failingFirst == lane.position, lane.position >= shard.base {
      return "the attempts of a failing batch were not stored"
    }
    if lane.position >= shard.base, progress.pieces != lane.storedPieces {
      return "the stored pieces of a batch are not those that were"
    }
    return nil
  }

  static func checkCommit(_ progress: LaneProgress, in stored: ModelLane, of shard: ModelShard) -> StaticString? {
    if progress.next < stored.committed.next { return "the durable checkpoint went back" }
    if progress.lostToRetention < stored.committed.lostToRetention
      || progress.lostToDamage < stored.committed.lostToDamage
    {
      return "the durable count of losses went back"
    }
    if stored.committed.isFinished, !progress.isFinished { return "a finished lane is unfinished again" }
    if progress.isFinished, !(shard.isClosed && Int(progress.next.rawValue) == shard.end) {
      return "a lane finished before its shard"
    }
    return nil
  }
}
