import ShardCore
import StreamModel

/// Exactly once: where the handler writes to tables, a record's effect is durable if and only if the checkpoint passed
/// it as processed, and it is there once.
enum EffectsChecker {
  /// The core counts a delivery.
  static func checkKeeping(_ delivery: DeliveryID, in lane: WorldLane, _ stored: ModelLane, _ policy: LanePolicy)
    -> StaticString?
  {
    guard policy.keepsWrites else { return "writes were kept that nobody asked for" }
    guard lane.offeredBy == delivery else { return "the writes of a delivery were kept that has none" }
    let former = [lane.kept, stored.effectsUnderWay, stored.effects]
    return former.contains { $0.intersects(lane.offered) } ? "a record has its effect twice" : nil
  }

  /// Progress becomes durable, and the effects with it.
  static func checkCommit(_ progress: LaneProgress, in lane: WorldLane, _ stored: ModelLane) -> StaticString? {
    var all = stored.effects
    all.formUnion(stored.effectsUnderWay)
    var index = Int(stored.committed.next.rawValue)
    while index < Int(progress.next.rawValue) {
      if all.contains(index) != lane.processed.contains(index) {
        return all.contains(index) ? "a record has an effect and was not processed" : "a processed record has no effect"
      }
      index += 1
    }
    while index < RecordSet.limit {
      if all.contains(index) { return "an effect is durable before its checkpoint" }
      index += 1
    }
    return nil
  }

  static func checkDrained(_ lane: WorldLane) -> StaticString? {
    lane.kept.isEmpty ? nil : "a lane was drained and its writes are not stored"
  }
}
