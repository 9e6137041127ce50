import ShardCore
import StreamModel

/// At least once: a crash repeats at most what was settled since the last durable checkpoint, and the batch in flight.
enum RepeatsChecker {
  /// At each new read for delivery: so many batches would be repeated if the process ended now.
  static func check(_ lane: WorldLane, _ policy: LanePolicy) -> StaticString? {
    lane.settledBatches - lane.storedBatches < policy.unstoredBatchLimit
      ? nil : "more batches were settled than may be before one is durable"
  }

  /// After a restart: the lane begins where the durable checkpoint is.
  static func checkRestart(_ delivery: Delivery, in stored: ModelLane) -> StaticString? {
    delivery.source == .shard && delivery.extent.first < stored.committed.next
      ? "a record before the durable checkpoint was delivered again" : nil
  }
}
