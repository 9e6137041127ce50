public import ShardCore
public import StreamModel
public import StreamStore

/// Where a bounded run ends, in every shard of a store: fixed once, whatever is put meanwhile.
public struct RunBound: Sendable {
  /// Every record that arrived before this moment is meant, and none that arrived at it or later.
  public let moment: WallTime
  /// Records from these on are not delivered. Shards that are made later have none that are meant.
  private let ends: [ShardAddress: RecordIndex]

  /// Everything that is there now.
  public init(now moment: WallTime, in store: StreamStore) throws(StoreError) {
    try self.init(moment, in: store) { shard throws(StoreError) in try store.shardBounds(shard).end }
  }

  /// Everything that arrived before the moment, which must not be in the future.
  public init(before moment: WallTime, in store: StreamStore) throws(StoreError) {
    try self.init(moment, in: store) { shard throws(StoreError) in
      try store.index(for: .atTimestamp(moment), in: shard)
    }
  }

  private init(
    _ moment: WallTime, in store: StreamStore, _ end: (ShardAddress) throws(StoreError) -> RecordIndex
  ) throws(StoreError) {
    self.moment = moment
    var ends: [ShardAddress: RecordIndex] = [:]
    let catalog = try store.catalog()
    for stream in catalog.streams.keys {
      for shard in catalog.shards(of: stream) {
        let end = try end(shard.address)
        // A closed shard that is meant as a whole comes to its end, so that its children may start.
        let isWhole = shard.closing.map { end >= $0.end } ?? false
        ends[shard.address] = isWhole ? RecordIndex(SequenceNumber.greatestIndex) : end
      }
    }
    self.ends = ends
  }

  /// The first record of the shard that is not meant.
  func end(of shard: ShardAddress) -> RecordIndex { ends[shard] ?? .zero }
}

/// A lane that did not come to the bound of its run.
public struct UnboundLane: Hashable, Sendable {
  public var mapping: String
  public var shard: ShardNumber
  public var slot: Int
  public var state: LaneSnapshot.State
  /// The first record that is not settled, and how many are not, of all lanes of the shard.
  public var next: RecordIndex
  public var parkedRecords: UInt64
}

extension StreamPoller {
  /// Waits until every lane has come to its bound, or cannot go on without an operator, and what they did is durable; or
  /// until the poller is drained.
  public func waitForBound() async { await driver.waitForBound() }

  /// The lanes that have not come to their bounds, though retention has left records before these.
  public func lanesBeforeBound() throws(StoreError) -> [UnboundLane] {
    var left: [UnboundLane] = []
    for name in mappingNames {
      for (shard, lanes) in (look(at: name) ?? [:]).sorted(by: { $0.key < $1.key }) {
        for (slot, lane) in lanes.enumerated() where try isBeforeBound(lane) {
          let snapshot = lane.snapshot
          left.append(
            UnboundLane(
              mapping: name, shard: shard, slot: slot, state: snapshot.state, next: snapshot.next,
              parkedRecords: snapshot.parkedRecordCount))
        }
      }
    }
    return left
  }

  private func isBeforeBound(_ lane: LaneLook) throws(StoreError) -> Bool {
    let snapshot = lane.snapshot
    guard let bound = snapshot.bound else { return false }
    if snapshot.parkedRecordCount > 0 { return true }
    if snapshot.isFinished || snapshot.next >= bound { return false }
    return try store.shardBounds(lane.place.shard).firstAvailable < bound
  }

  /// Lanes of all mappings.
  public var laneCount: Int {
    mappingNames.reduce(0) { $0 + (look(at: $1) ?? [:]).values.reduce(0) { $0 + $1.count } }
  }
}
