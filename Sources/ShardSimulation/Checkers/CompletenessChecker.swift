import ShardCore
import StreamModel

/// Completeness: no durable checkpoint passes a record that was not processed, handed over durably, or counted as lost.
enum CompletenessChecker {
  /// What became of a record, as bits.
  static let succeeded: UInt8 = 1
  static let handedOver: UInt8 = 2
  static let lost: UInt8 = 4

  static func checkCommit(
    _ progress: LaneProgress, in lane: WorldLane, _ stored: ModelLane, of shard: ModelShard, fates: [UInt8],
    at fatesOfLane: Int
  ) -> StaticString? {
    var index = Int(stored.committed.next.rawValue)
    let end = Int(progress.next.rawValue)
    while index < end {
      let isItsOwn = index >= shard.end || lane.selection.selects(shard.tags[index], at: index)
      if isItsOwn, fates[fatesOfLane + index] == 0 { return "a checkpoint passed a record of which nothing became" }
      index += 1
    }
    if progress.lostToRetention + progress.lostToDamage > lane.lost {
      return "more records were counted lost than were"
    }
    return nil
  }

  static func checkLost(_ count: Int, in lane: WorldLane, of shard: ModelShard) -> StaticString? {
    if count > lane.readBegin - lane.position { return "more records were counted lost than are" }
    let left = max(lane.position, shard.base)
    guard left < lane.readBegin else { return nil }
    var index = shard.firstSelected(in: left..<lane.readBegin, lane.selection)
    while let lost = index, lane.damage.contains(lost) {
      index = shard.firstSelected(in: lost + 1..<lane.readBegin, lane.selection)
    }
    return index == nil ? nil : "records were counted lost that are there"
  }

  static func check(_ progress: LaneProgress, in lane: WorldLane) -> StaticString? {
    progress.lostToRetention + progress.lostToDamage == lane.lost ? nil : "the count of losses is wrong"
  }
}
