import ShardCore
import StreamModel

/// Blocking: while a batch is unsettled no later record of its lane is delivered, and the batch under retry stays the
/// same batch.
enum BlockingChecker {
  static func check(
    _ delivery: Delivery, in lane: WorldLane, _ stored: ModelLane, of shard: ModelShard
  ) -> StaticString? {
    if delivery.source == .windowEnd {
      if stored.failureState != .none { return "a window ended while a failure entry was on its way" }
      return lane.failingCount > 0 ? "a window ended between the retries of a batch" : nil
    }
    guard delivery.source == .shard else {
      // Where retention took the failing batch, nothing blocks.
      return lane.isFailing && lane.position >= shard.base ? "a redrive went between the retries of a batch" : nil
    }
    if Int(delivery.extent.first.rawValue) > lane.position { return "a delivery went past unsettled records" }
    if lane.frozenCount > 0, delivery.extent.count != lane.frozenCount { return "a frozen batch changed its size" }
    if stored.failureState != .none { return "records were delivered while a failure entry was on its way" }
    return nil
  }

  static func check(_ order: FailureOrder, in lane: WorldLane) -> StaticString? {
    if Int(order.extent.first.rawValue) > lane.position { return "records left the lane past unsettled ones" }
    if lane.frozenCount > 0, order.extent.count > lane.frozenCount { return "more left the lane than its batch" }
    return nil
  }
}
