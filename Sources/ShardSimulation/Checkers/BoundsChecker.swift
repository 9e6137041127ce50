import ShardCore
import StreamModel

/// Boundedness: what one step orders, and what waits inside, has a limit.
enum BoundsChecker {
  /// Orders that an event of one lane can lead to: its own (the redrives it drops, one read, delivery, failure entry,
  /// progress, writes, loss), the turn of each lane that a free permit allows, the children that it frees, and the timer.
  static func checkEffects(_ count: Int, _ poller: Poller, _ scenario: Scenario, ofAllLanes: Bool) -> StaticString? {
    let tracks = scenario.lanesOfShard.count { $0.track > 0 }
    let one = scenario.limits.redriveLimit + 7 + 4 * tracks
    let permits = scenario.policies.reduce(0) { $0 + $1.deliveriesInFlightLimit }
    let limit =
      ofAllLanes
      ? poller.laneCount * one + permits * 2 + 2 : one + (2 * scenario.lanesOfShard.count + 2) * (permits + 4) + 2
    return count <= limit ? nil : "one step gave more orders than it may"
  }

  static func checkParked(keys: Int, records: Int, _ policy: LanePolicy) -> StaticString? {
    guard let limits = policy.parking else { return keys == 0 ? nil : "a key is parked in a lane that parks none" }
    if keys > limits.keyLimit { return "more keys are parked than may be" }
    return records > limits.recordLimit ? "more records are parked than may be" : nil
  }

  static func checkParked(_ parked: ModelParked, _ policy: LanePolicy) -> StaticString? {
    checkParked(keys: parked.keyCount, records: parked.recordCount, policy)
  }

  static func checkTimers(_ poller: Poller) -> StaticString? {
    poller.waitingTimerCount <= poller.laneCount ? nil : "more timers wait than there are lanes"
  }

  static func checkRedrives(_ lane: WorldLane, _ limits: PollerLimits) -> StaticString? {
    // One more is in flight.
    lane.redriveEnd - lane.redriveFirst <= UInt64(limits.redriveLimit) + 1 ? nil : "more redrives wait than may"
  }
}
