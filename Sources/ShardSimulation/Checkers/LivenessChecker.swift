import ShardCore
import StreamModel

/// Liveness: when faults stop, everything pending settles within a bound; a drained poller has nothing under way.
enum LivenessChecker {
  static func isSettled(_ lane: WorldLane, _ stored: ModelLane, of shard: ModelShard) -> Bool {
    // Where retention has taken all that an open shard had, the lane cannot know before the next record comes.
    let isAtEnd =
      lane.position == shard.end || (!shard.isClosed && shard.base == shard.end)
      || shard.firstSelected(in: lane.position..<shard.end, lane.selection) == nil
    return isAtEnd && isStored(lane, stored, of: shard)
      && stored.committed.isFinished == shard.isClosed && stored.committed.window == nil && lane.window == nil
      && !lane.isReading && !lane.isDelivering
      && stored.progressState == .none && stored.failureState == .none && lane.redriveFirst == lane.redriveEnd
  }

  /// Whether a new process would go on with the same record.
  private static func isStored(_ lane: WorldLane, _ stored: ModelLane, of shard: ModelShard) -> Bool {
    let next = Int(stored.committed.next.rawValue)
    let range = min(next, lane.position)..<max(next, lane.position)
    return next <= shard.end && shard.firstSelected(in: range, lane.selection) == nil
      && isStored(lane.window, stored.committed.window)
  }

  /// A window whose first delivery was cancelled is begun anew. That the mapping has no windows any more, a new process
  /// knows without the lane.
  private static func isStored(_ window: OpenWindow?, _ stored: OpenWindow?) -> Bool {
    guard let window, let stored else { return stored == nil && (window?.state ?? .empty) == .empty }
    return window.bounds == stored.bounds && window.state == stored.state
  }

  static func checkDrained(_ lane: WorldLane, _ stored: ModelLane, of shard: ModelShard) -> StaticString? {
    if lane.isReading || lane.isDelivering { return "drained with something in flight" }
    if stored.progressState != .none || stored.failureState != .none { return "drained with a write under way" }
    if !isStored(lane, stored, of: shard) { return "drained with progress that is not stored" }
    if lane.redriveFirst != lane.redriveEnd { return "drained with a redrive that was not answered" }
    return nil
  }
}
