import ShardCore
import StreamModel

// The promises of a lane that blocks by key, each by the records alone. `at` is where the fates of the lane begin.

/// Order by key: what is settled is not delivered again in the life of a process, and a batch holds what its read gave.
enum KeyOrderChecker {
  static func check(_ extent: BatchExtent, _ batch: [Int], fates: [UInt8], at fatesOfLane: Int) -> StaticString? {
    guard let first = batch.first, let last = batch.last, extent.count == batch.count else {
      return "a batch holds other records than its read gave"
    }
    if Int(extent.first.rawValue) != first || Int(extent.last.rawValue) != last {
      return "a batch begins or ends elsewhere than its read"
    }
    for index in batch where fates[fatesOfLane + index] & World.settledNow != 0 {
      return "a delivery went back over settled records"
    }
    return nil
  }
}

/// Blocking by key: no record is delivered, or leaves, while an earlier one of its key is unsettled.
enum KeyBlockingChecker {
  static func check(
    _ batch: [Int], _ selection: LaneSelection, of shard: ModelShard, fates: [UInt8], at fatesOfLane: Int
  ) -> StaticString? {
    guard let last = batch.last else { return nil }
    var inBatch = 0
    for index in 0...last {
      if inBatch < batch.count, batch[inBatch] == index {
        inBatch += 1
        continue
      }
      guard fates[fatesOfLane + index] == 0, selection.selects(shard.tags[index], at: index) else { continue }
      let key = shard.key(of: index)
      for later in batch[inBatch...] where shard.key(of: later) == key {
        return "a record was delivered before an unsettled one of its key"
      }
    }
    return nil
  }
}

/// Exclusivity by key: one delivery of a key in flight.
enum KeyExclusivityChecker {
  static func check(_ batch: [Int], of shard: ModelShard, others: [[Int]]) -> StaticString? {
    for other in others {
      for index in other where batch.contains(where: { shard.key(of: $0) == shard.key(of: index) }) {
        return "two deliveries of a key at once"
      }
    }
    return nil
  }
}

/// Completeness by key: checkpoint and parked records together leave out nothing that is unsettled, and nothing is
/// parked behind the checkpoint or under another key.
enum KeyCompletenessChecker {
  static func check(
    _ progress: LaneProgress, _ parked: ModelParked, _ selection: LaneSelection, of shard: ModelShard, fates: [UInt8],
    at fatesOfLane: Int
  ) -> StaticString? {
    let next = Int(progress.next.rawValue)
    if next > shard.end { return "a checkpoint passed the end of its shard" }
    for index in 0..<next where fates[fatesOfLane + index] == 0 && selection.selects(shard.tags[index], at: index) {
      if !parked.contains(index, key: shard.key(of: index)) {
        return "a checkpoint passed a record of which nothing became and which is not parked"
      }
    }
    for (key, change) in parked.keys {
      for index in change.ranges.indexes {
        if index >= next { return "a record is parked that the checkpoint has not passed" }
        if shard.key(of: index) != key { return "a record is parked under another key" }
      }
    }
    if progress.isFinished, parked.recordCount > 0 { return "a lane finished with parked records" }
    return nil
  }
}

/// Expiry by key: as for other lanes, for each key.
enum KeyExpiryChecker {
  static func check(
    _ delivery: Delivery, _ batch: [Int], in lane: WorldLane, of shard: ModelShard, _ policy: LanePolicy,
    notBefore: [Int: Int64], at monotonic: Int64
  ) -> StaticString? {
    guard let first = batch.first else { return nil }
    if delivery.attempt < 1 { return "a delivery is no attempt" }
    if let limit = policy.maximumRetryAttempts, delivery.attempt > limit + 1, !lane.settingsChanged {
      return "one delivery too many"
    }
    if let age = lane.readAge, shard.arrivals[first] < lane.readAt - age {
      return "a record was delivered that was too old"
    }
    if batch.count == 1, delivery.extent.payloadBytes > policy.payloadByteLimit {
      return "a record was delivered that is too large"
    }
    if batch.count == 1, let moment = notBefore[first], monotonic < moment { return "a retry came before its time" }
    return nil
  }

  static func check(
    _ order: FailureOrder, _ records: [Int], in lane: WorldLane, skips main: WorldLane, of shard: ModelShard,
    _ policy: LanePolicy, wall: Int64
  ) -> StaticString? {
    // It may have been decided before they changed.
    if lane.settingsChanged, order.condition != .skipped { return nil }
    switch order.condition {
    case .recursiveInvocation: return nil  // See ``LineageChecker``.
    case .givenUp:
      let canGiveUp = policy.retryRules?.actions.contains(.giveUp) ?? false
      return canGiveUp ? nil : "a record was given up without a rule"
    case .retryAttemptsExhausted:
      guard let limit = policy.maximumRetryAttempts else { return "endless retries were exhausted" }
      return order.attempts == limit + 1 ? nil : "attempts were exhausted too early or too late"
    case .recordAgeExceeded:
      if ExpiryChecker.mayLeaveAhead(order, policy, wall: wall) { return nil }
      guard let age = lane.readAge else { return "records expired that never expire" }
      return records.allSatisfy { shard.arrivals[$0] < lane.readAt - age }
        ? nil : "a record expired that was not too old"
    case .skipped:
      guard let last = records.last else { return nil }
      if lane.track == 0 { return last < main.skipEnd ? nil : "a record was skipped that nobody gave up" }
      return last <= main.keySkips[shard.key(of: last)] ?? -1 ? nil : "a parked record was skipped that nobody gave up"
    }
  }
}

/// At least once by key: a record before the durable checkpoint is delivered only if it is parked there.
enum KeyRepeatsChecker {
  static func check(_ batch: [Int], _ stored: ModelLane, of shard: ModelShard) -> StaticString? {
    for index in batch where index < Int(stored.committed.next.rawValue) {
      if !stored.parked.contains(index, key: shard.key(of: index)) {
        return "a record that is durably settled was delivered again"
      }
    }
    return nil
  }
}
