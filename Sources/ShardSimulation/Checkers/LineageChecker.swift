import ShardCore
import StreamModel

/// Recursion: records that come from as many invocations as may be are not delivered, and no others leave for that.
enum LineageChecker {
  /// Any record of a delivery out of the shard.
  static func check(
    _ records: some Sequence<Int>, deliveredFrom shard: ModelShard, _ policy: LanePolicy
  ) -> StaticString? {
    guard let limit = policy.recursiveLoopLimit else { return nil }
    return records.allSatisfy { shard.lineage(of: $0) < limit }
      ? nil : "a record was delivered that comes from as many invocations as may be"
  }

  static func check(
    _ order: FailureOrder, _ records: some Sequence<Int>, of shard: ModelShard, _ policy: LanePolicy
  ) -> StaticString? {
    guard order.condition == .recursiveInvocation else { return nil }
    guard let limit = policy.recursiveLoopLimit else { return "records left for a loop that nobody looks for" }
    return records.allSatisfy { shard.lineage(of: $0) >= limit }
      ? nil : "a record left for a loop that it does not come from"
  }

  /// The lane's records of an extent.
  static func records(of extent: BatchExtent, _ selection: LaneSelection, of shard: ModelShard) -> [Int] {
    let range = Int(extent.first.rawValue)..<min(Int(extent.end.rawValue), shard.end)
    return range.filter { selection.selects(shard.tags[$0], at: $0) }
  }
}
