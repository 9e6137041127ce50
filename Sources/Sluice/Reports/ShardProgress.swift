/// The lanes of one shard as one thing: how far the mapping has come there.
public struct ShardProgress: Hashable, Sendable {
  public var mapping: String
  public var shard: String
  /// The lane that is worst off: what holds the shard up, if anything does.
  public var worst: LaneReport
  public var laneCount: Int
  /// Lanes that a failing batch or a damaged block holds up.
  public var blockedLaneCount: Int
  /// Records from the first on that is not settled in its lane. Some of those behind it may be.
  public var backlogRecords: UInt64
  /// The age of that first record.
  public var iteratorAgeMilliseconds: Int64
  public var attemptsMade: Int
  /// Partition keys that wait while the others go on, and records of theirs, over all lanes.
  public var parkedKeyCount: Int
  public var parkedRecords: UInt64
  /// The earliest next attempt.
  public var nextAttemptAt: Int64?

  /// `nil` for no lanes.
  init?(_ lanes: some Collection<LaneReport>) {
    guard let worst = lanes.min(by: { $0.state.rank < $1.state.rank }) else { return nil }
    mapping = worst.mapping
    shard = worst.shard
    self.worst = worst
    laneCount = lanes.count
    blockedLaneCount = lanes.count { $0.state.isBlocked }
    backlogRecords = lanes.reduce(0) { max($0, $1.backlogRecords) }
    iteratorAgeMilliseconds = lanes.reduce(0) { max($0, $1.iteratorAgeMilliseconds) }
    attemptsMade = lanes.reduce(0) { max($0, $1.attemptsMade) }
    parkedKeyCount = lanes.reduce(0) { $0 + $1.parkedKeyCount }
    parkedRecords = lanes.reduce(0) { $0 + $1.parkedRecords }
    nextAttemptAt = lanes.compactMap(\.nextAttemptAt).min()
  }
}

extension MappingReport {
  /// The mapping's progress by shard.
  public var shards: [ShardProgress] {
    var result: [ShardProgress] = []
    var rest = lanes[...]
    while let first = rest.first {
      let own = rest.prefix { $0.shard == first.shard }
      if let progress = ShardProgress(own) { result.append(progress) }
      rest = rest.dropFirst(own.count)
    }
    return result
  }
}

extension LaneState {
  /// What needs a look first has the lowest.
  fileprivate var rank: Int {
    switch self {
    case .stopped: 0
    case .storingFailure: 1
    case .retrying: 2
    case .paused: 3
    case .delivering: 4
    case .filling: 5
    case .notRunning: 6
    case .waitingForParents: 7
    case .idle: 8
    case .finished: 9
    }
  }
}
