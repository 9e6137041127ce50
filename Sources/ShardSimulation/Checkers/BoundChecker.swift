import ShardCore
import StreamModel

/// Bounded runs: no record behind the bound is delivered, and the run ends when every lane that can is there.
enum BoundChecker {
  static func check(_ delivery: Delivery, _ bound: RecordIndex) -> StaticString? {
    guard delivery.source == .shard, !delivery.extent.isEmpty else { return nil }
    return delivery.extent.last < bound ? nil : "a record behind the bound of the run was delivered"
  }

  /// The lane, when the run has come to its end.
  static func checkEnd(_ lane: LaneSnapshot, _ stored: LaneProgress, _ bound: RecordIndex) -> StaticString? {
    guard lane.state == .idle || lane.state == .finished else { return nil }
    let isThere = stored.isFinished || stored.next >= bound
    return isThere ? nil : "a run ended before what a lane did up to its bound was durable"
  }
}
