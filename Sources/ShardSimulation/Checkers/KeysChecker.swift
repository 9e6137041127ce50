import ShardCore
import StreamModel

/// Idempotency: a record that is remembered as done is not delivered again, and what is remembered is done.
enum KeysChecker {
  static func check(_ delivery: Delivery, in lane: WorldLane, of shard: ModelShard) -> StaticString? {
    guard delivery.source == .shard, !lane.selection.done.isEmpty else { return nil }
    let range = Int(delivery.extent.first.rawValue)..<Int(max(delivery.extent.first, delivery.extent.end).rawValue)
    return delivery.extent.count > shard.countSelected(in: range, lane.selection)
      ? "a record that is done was delivered again" : nil
  }

  /// Progress becomes durable, and with it what is done behind it.
  static func checkCommit(_ stored: ModelLane, fates: [UInt8], at fatesOfLane: Int) -> StaticString? {
    for index in 0..<RecordSet.limit where stored.effectsUnderWay.contains(index) {
      if fates[fatesOfLane + index] & CompletenessChecker.succeeded == 0 {
        return "a record that is not done is remembered as done"
      }
    }
    return nil
  }
}
