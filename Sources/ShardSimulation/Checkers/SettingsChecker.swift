import ShardCore
import StreamModel

/// Settings: while a mapping is closed, or about to be, none of its lanes starts anything; a batch that is formed after
/// a change is formed by the new settings. Where the outcome moves nothing no batch comes again, and none leaves but by an
/// operator's word.
enum SettingsChecker {
  static func checkRead(
    _ request: ReadRequest, in lane: WorldLane, _ policy: LanePolicy, isClosing: Bool
  ) -> StaticString? {
    if isClosing { return "a lane of a closed mapping reads" }
    return lane.frozenCount == 0 && !lane.blocksByKey && request.countLimit > policy.batchSize
      ? "a batch is formed that is larger than it may be now" : nil
  }

  static func check(_ delivery: Delivery, in lane: WorldLane, isClosing: Bool, isShadow: Bool) -> StaticString? {
    if isClosing { return "a lane of a closed mapping delivers" }
    if isShadow, delivery.source == .shard, delivery.attempt > 1 { return "a shadow delivers a batch again" }
    return delivery.source == .shard && lane.frozenCount == 0 && !lane.blocksByKey
      && delivery.extent.count > lane.batchSizeOfRead ? "a new batch is larger than it could be when it was read" : nil
  }

  static func check(_ order: FailureOrder, isShadow: Bool) -> StaticString? {
    isShadow && order.condition != .skipped && order.condition != .recursiveInvocation
      ? "records of a shadow leave as failures" : nil
  }
}
