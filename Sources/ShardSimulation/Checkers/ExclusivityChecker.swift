import ShardCore
import StreamModel

/// Exclusivity: one delivery, one read, one progress and one failure entry of a lane under way; no more deliveries of a
/// mapping than its limit.
enum ExclusivityChecker {
  static func checkRead(in lane: WorldLane) -> StaticString? {
    if lane.isReading { return "two reads of a lane at once" }
    if lane.isDelivering { return "a read while a delivery is in flight" }
    return nil
  }

  static func check(_ delivery: Delivery, in lane: WorldLane) -> StaticString? {
    if lane.isDelivering { return "two deliveries of a lane at once" }
    if lane.isReading { return "a delivery while a read is under way" }
    if delivery.id.rawValue <= lane.lastDelivery { return "a delivery id was used twice" }
    return nil
  }

  static func checkProgress(in stored: ModelLane) -> StaticString? {
    stored.progressState == .none ? nil : "two writes of a lane's progress at once"
  }

  static func checkFailure(ticket: UInt64, in lane: WorldLane, _ stored: ModelLane) -> StaticString? {
    if stored.failureState != .none { return "two failure entries of a lane at once" }
    if lane.isDelivering { return "a failure entry while a delivery is in flight" }
    if ticket <= lane.lastTicket { return "a ticket was used twice" }
    return nil
  }

  static func checkPermits(inUse: Int, limit: Int) -> StaticString? {
    inUse <= limit ? nil : "more deliveries of a mapping in flight than its limit"
  }
}
