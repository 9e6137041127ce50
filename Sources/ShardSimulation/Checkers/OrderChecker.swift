import ShardCore
import StreamModel

/// Order: a lane delivers records in sequence order and never goes back over what is settled.
enum OrderChecker {
  static func check(_ delivery: Delivery, in lane: WorldLane) -> StaticString? {
    guard delivery.source == .shard else { return nil }
    if Int(delivery.extent.first.rawValue) < lane.position { return "a delivery went back over settled records" }
    if delivery.extent.count < 1 { return "a delivery held no records" }
    return nil
  }

  static func check(_ order: FailureOrder, in lane: WorldLane) -> StaticString? {
    if Int(order.extent.first.rawValue) < lane.position { return "settled records left the lane as failed" }
    return nil
  }

  /// Redrives of a lane are delivered in the order of the requests.
  static func checkRedrive(entry: UInt64, in lane: WorldLane) -> StaticString? {
    entry == lane.redriveFirst ? nil : "a redrive overtook another"
  }
}
