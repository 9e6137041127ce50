import ShardCore
import StreamModel

/// Completeness: no durable checkpoint passes a record that was not processed, handed over durably, or counted as lost.
enum CompletenessChecker {
  /// What became of a record, as bits.
  static let succeeded: UInt8 = 1
  static let handedOver: UInt8 = 2
  static let lost: UInt8 = 4

  static func checkCommit(
    _ progress: LaneProgress, in lane: WorldLane, _ stored: ModelLane, fates: [UInt8], at fatesOfLane: Int
  ) -> StaticString? {
    var index = Int(stored.committed.next.rawValue)
    let end = Int(progress.next.rawValue)
    while index < end {
      if fates[fatesOfLane + index] == 0 { return "a checkpoint passed a record of which nothing became" }
      index += 1
    }
    if progress.lostToRetention > lane.lost { return "more records were counted lost than were" }
    return nil
  }

  static func checkLost(_ count: Int, in lane: WorldLane, of shard: ModelShard) -> StaticString? {
    lane.position + count <= shard.base ? nil : "records were counted lost that are there"
  }

  static func check(_ progress: LaneProgress, in lane: WorldLane) -> StaticString? {
    progress.lostToRetention == lane.lost ? nil : "the count of losses is wrong"
  }
}
