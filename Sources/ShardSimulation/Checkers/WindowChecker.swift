import ShardCore
import StreamModel

/// Tumbling windows: each record is delivered in the one window that it arrived in, each delivery of a window gets what
/// the one before it has returned, and the final delivery comes once, behind all records of its window.
///
/// States name the records that they were made of, one byte each, so that a record that is left out or counted twice shows.
enum WindowChecker {
  /// A batch of records.
  static func check(
    _ delivery: Delivery, in lane: WorldLane, of shard: ModelShard, _ policy: LanePolicy
  ) -> StaticString? {
    let length = policy.tumblingWindowMilliseconds
    guard delivery.source == .shard, length > 0 else {
      return delivery.window == nil ? nil : "a delivery has a window where there are none"
    }
    guard let window = delivery.window else { return "a delivery has no window" }
    let first = Int(delivery.extent.first.rawValue)
    let last = Int(delivery.extent.last.rawValue)
    guard first <= last, last < shard.end else { return "a record that is not there was delivered in a window" }
    let bounds = (window.bounds.start.milliseconds, window.bounds.end.milliseconds)
    if bounds.0 % length != 0 || bounds.1 != bounds.0 + length { return "a window does not stand at a multiple" }
    if shard.arrivals[first] < bounds.0 || shard.arrivals[last] >= bounds.1 {
      return "a record was delivered in a window that it did not arrive in"
    }
    if let own = lane.window {
      if own.bounds != window.bounds { return "a window began before the final delivery of the one before" }
      if own.isTerminatedEarly { return "a window went on that had to end early" }
      if own.state != window.state { return "a delivery did not get what the one before it returned" }
    } else if window.state != .empty {
      return "a window began with a state"
    }
    return window.isTerminatedEarly ? "a window with records ends early" : nil
  }

  /// The delivery that ends a window. `wall` is when the lane looked at the shard last.
  static func checkFinal(
    _ delivery: Delivery, in lane: WorldLane, of shard: ModelShard, closeDelay: Int64, wallSteppedBack: Bool
  ) -> StaticString? {
    guard let window = delivery.window, let own = lane.window else { return "a window ended that had not begun" }
    if own.bounds != window.bounds { return "another window ended than the one that had begun" }
    if own.state != window.state { return "a final delivery did not get what the one before it returned" }
    if own.isTerminatedEarly != window.isTerminatedEarly { return "a window ended early, or should have" }
    if own.isTerminatedEarly { return nil }
    let end = window.bounds.end.milliseconds
    let left = max(lane.position, shard.base)
    if left < lane.seenEnd, let next = shard.firstSelected(in: left..<lane.seenEnd, lane.selection),
      shard.arrivals[next] < end
    {
      return "a window ended before all of its records were settled"
    }
    // What the lane has seen once stays true; the wall clock may have stepped back since.
    let isOver = shard.isClosed || (shard.arrivals.last ?? .min) >= end || lane.readAt >= end + closeDelay
    return isOver || wallSteppedBack ? nil : "a window ended before its time"
  }

  /// What is stored with a checkpoint is what the next delivery must get.
  static func check(_ progress: LaneProgress, in lane: WorldLane) -> StaticString? {
    guard let own = lane.window else {
      return progress.window == nil ? nil : "a window is stored that is over, or has not begun"
    }
    guard let stored = progress.window else { return "a window that has begun is not stored" }
    if stored.bounds != own.bounds { return "another window is stored than the one that has begun" }
    if stored.state != own.state { return "a state is stored that is not the one to hand on" }
    return stored.isTerminatedEarly == own.isTerminatedEarly ? nil : "whether a window ends early is not stored"
  }
}
