import ShardCore
import StreamModel

/// Bounded runs: no record behind the bound is delivered, and the run ends when every lane that can is there.
enum BoundChecker {
  static func check(_ delivery: Delivery, _ bound: RecordIndex) -> StaticString? {
    guard delivery.source == .shard, !delivery.extent.isEmpty else { return nil }
    return delivery.extent.last < bound ? nil : "a record behind the bound of the run was delivered"
  }

  /// What a lane has parked, when the run has come to its end: only an operator can let on what is left.
  static func checkEnd(parked keys: [ParkedKeySnapshot]) -> StaticString? {
    keys.allSatisfy { $0.stoppedAt != nil } ? nil : "a run ended while a parked key had records to deliver"
  }

  /// The lane, when the run has come to its end. What retention has removed before the bound, all records up to `base`, is
  /// there for nobody: a lane whose shard is empty stays where it was.
  static func checkEnd(
    _ lane: LaneSnapshot, _ stored: LaneProgress, base: RecordIndex, _ bound: RecordIndex
  ) -> StaticString? {
    // The end of a closed shard waits for the keys.
    guard lane.state == .idle || lane.state == .finished, lane.parkedKeyCount == 0 else { return nil }
    let isThere = stored.isFinished || max(stored.next, base) >= bound
    return isThere ? nil : "a run ended before what a lane did up to its bound was durable"
  }
}
