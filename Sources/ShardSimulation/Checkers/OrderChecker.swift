import ShardCore
import StreamModel

/// Order: a lane delivers records in sequence order and never goes back over what is settled.
enum OrderChecker {
  static func check(_ delivery: Delivery, in lane: WorldLane, of shard: ModelShard) -> StaticString? {
    if delivery.source == .windowEnd {
      return Int(delivery.extent.first.rawValue) == lane.position && delivery.extent.isEmpty
        ? nil : "a final delivery does not stand at the checkpoint"
    }
    guard delivery.source == .shard else { return nil }
    if Int(delivery.extent.first.rawValue) < lane.position { return "a delivery went back over settled records" }
    if delivery.extent.count < 1 { return "a delivery held no records" }
    return holdsAll(delivery.extent, in: lane, of: shard) ? nil : "a delivery left records out, or held another lane's"
  }

  static func check(_ order: FailureOrder, in lane: WorldLane, of shard: ModelShard) -> StaticString? {
    if Int(order.extent.first.rawValue) < lane.position { return "settled records left the lane as failed" }
    if order.extent.isEmpty { return lane.finalFails ? nil : "a final delivery left the lane that had not failed" }
    return holdsAll(order.extent, in: lane, of: shard)
      ? nil : "a failure entry left records out, or held another lane's"
  }

  /// Whether the batch holds the lane's records between its ends, and no others.
  private static func holdsAll(_ extent: BatchExtent, in lane: WorldLane, of shard: ModelShard) -> Bool {
    let range = Int(extent.first.rawValue)..<Int(extent.end.rawValue)
    guard !range.isEmpty, range.upperBound <= shard.end else { return false }
    return lane.selection.selects(shard.tags[range.lowerBound], at: range.lowerBound)
      && lane.selection.selects(shard.tags[range.upperBound - 1], at: range.upperBound - 1)
      && shard.countSelected(in: range, lane.selection) == extent.count
  }

  /// Redrives of a lane are delivered in the order of the requests.
  static func checkRedrive(entry: UInt64, in lane: WorldLane) -> StaticString? {
    entry == lane.redriveFirst ? nil : "a redrive overtook another"
  }
}
