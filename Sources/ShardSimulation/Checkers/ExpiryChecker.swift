import ShardCore
import StreamModel

/// Expiry: a batch is delivered N+1 times at most, never when its head is too old, and leaves only for a reason that
/// holds.
enum ExpiryChecker {
  static func check(
    _ delivery: Delivery, in lane: WorldLane, of shard: ModelShard, _ policy: LanePolicy
  ) -> StaticString? {
    if case .failureEntry = delivery.source { return delivery.attempt == 1 ? nil : "a redrive is one attempt" }
    if delivery.attempt != lane.attempts + 1 { return "the attempt is not the one after the last" }
    if lane.givenUpCount > 0 { return "a batch was delivered again that a retry rule had given up" }
    if let limit = policy.maximumRetryAttempts, delivery.attempt > limit + 1 { return "one delivery too many" }
    // Nothing of a shadow expires.
    if let age = lane.readAge, !delivery.extent.isEmpty, !policy.isShadow {
      let first = Int(delivery.extent.first.rawValue)
      guard first < shard.end else { return "a record that is not there was delivered" }
      if shard.arrivals[first] < lane.readAt - age { return "a record was delivered that was too old" }
    }
    if delivery.extent.count == 1, delivery.extent.payloadBytes > policy.payloadByteLimit {
      return "a record was delivered that is too large"
    }
    return nil
  }

  /// The next delivery may be one at which all of the batch is too old.
  static func mayLeaveAhead(_ order: FailureOrder, _ policy: LanePolicy, wall: Int64) -> Bool {
    guard policy.leavesAheadOfAge, let age = policy.maximumRecordAgeMilliseconds else { return false }
    let newest = max(order.extent.firstArrival, order.extent.lastArrival).milliseconds
    return newest + age < wall + Scenario.longestWait
  }

  static func checkWait(_ delivery: Delivery, in lane: WorldLane, at monotonic: Int64) -> StaticString? {
    !delivery.isRedrive && monotonic < lane.retryNotBefore ? "a retry came before its time" : nil
  }

  static func check(
    _ order: FailureOrder, in lane: WorldLane, of shard: ModelShard, _ policy: LanePolicy, wall: Int64
  ) -> StaticString? {
    if order.attempts != lane.attempts { return "a failure entry counts attempts that were not" }
    switch order.condition {
    case .retryAttemptsExhausted:
      guard let limit = policy.maximumRetryAttempts else { return "endless retries were exhausted" }
      let isLowered = order.attempts > limit + 1 && order.attempts <= lane.attemptsAtChange
      return order.attempts == limit + 1 || isLowered ? nil : "attempts were exhausted too early or too late"
    case .recordAgeExceeded:
      if lane.isFailing, order.extent.count == lane.failingCount, mayLeaveAhead(order, policy, wall: wall) {
        return nil
      }
      if order.extent.isEmpty {
        guard let age = policy.maximumRecordAgeMilliseconds else {
          return "a final delivery expired that never expires"
        }
        return order.extent.lastArrival.milliseconds < wall - age ? nil : "a final delivery expired too early"
      }
      guard let age = lane.readAge else { return "records expired that never expire" }
      let first = Int(order.extent.first.rawValue)
      let end = Int(order.extent.end.rawValue)
      guard end <= shard.end else { return "a record that is not there expired" }
      for index in first..<end
      where lane.selection.selects(shard.tags[index], at: index) && shard.arrivals[index] >= lane.readAt - age {
        return "a record expired that was not too old"
      }
      return nil
    case .skipped:
      return Int(order.extent.end.rawValue) <= lane.skipEnd ? nil : "a record was skipped that nobody gave up"
    case .givenUp:
      let count = lane.givenUpCount == WorldLane.finalGivenUp ? 0 : lane.givenUpCount
      return order.extent.count == count ? nil : "other records were given up than a retry rule said"
    case .recursiveInvocation: return nil  // See ``LineageChecker``.
    }
  }
}
