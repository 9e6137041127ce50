public import ShardCore
public import StreamModel
public import StreamStore

/// The positions of a mapping on one shard: as they are, and as rows of the store.
extension ShardSeek {
  /// The lanes as they are stored; one that begins at the first record if the mapping has never worked on the shard.
  public init(of mapping: MappingInfo, on shard: ShardInfo, in store: StreamStore) throws {
    let rows = try store.lanes(of: mapping.number, on: shard.address)
    do {
      let stored =
        try StoredShare(rows, of: shard)?.lanes
        ?? StoredShare(factor: 1, from: shard.firstAvailable).lanes
      let lanes = try stored.enumerated().map { slot, lane in
        var progress = lane.progress
        if progress.parksKeys {
          let key = LaneKey(mapping: mapping.number, address: shard.address, slot: UInt8(slot))
          progress.parked = try StoredParkedKeys(try store.parkedKeys(of: key)).changes
        }
        return Lane(
          progress: progress, sharing: lane.sharing, windowBegin: try Self.windowBegin(progress, on: shard, in: store))
      }
      try self.init(lanes, on: shard, in: store)
    } catch let error as LaneRecordError {
      throw PollerError.unreadableLane(mapping: mapping.name, shard: shard.address.shard, error)
    }
  }

  /// The lanes as a poller runs them, by slot.
  public init(_ looks: [LaneLook], on shard: ShardInfo, in store: StreamStore) throws {
    let lanes = try looks.map { look in
      Lane(
        progress: look.progress, sharing: look.place.sharing,
        windowBegin: try Self.windowBegin(look.progress, on: shard, in: store))
    }
    try self.init(lanes, on: shard, in: store)
  }

  private init(_ lanes: [Lane], on shard: ShardInfo, in store: StreamStore) throws {
    let bounds = try store.shardBounds(shard.address)
    self.init(lanes: lanes, firstAvailable: bounds.firstAvailable, end: bounds.end, isClosed: !shard.isOpen)
  }

  private static func windowBegin(
    _ progress: LaneProgress, on shard: ShardInfo, in store: StreamStore
  ) throws -> RecordIndex? {
    try progress.window.map { try store.index(for: .atTimestamp($0.bounds.start), in: shard.address) }
  }

  /// The rows of the lanes as they are, for a mapping that has none.
  public func updates(of mapping: MappingNumber, _ shard: ShardAddress) -> [LaneUpdate] {
    lanes.enumerated().map { slot, lane in
      StoredLane(progress: lane.progress, history: AttemptHistory(), sharing: lane.sharing)
        .update(of: mapping, shard, slot: slot)
    }
  }
}

extension ShardSeek.Move {
  /// The row of the lane after the move. Its parked keys go.
  public func update(of mapping: MappingNumber, _ shard: ShardAddress) -> LaneUpdate {
    var update = StoredLane(progress: progress, history: AttemptHistory(), sharing: sharing)
      .update(of: mapping, shard, slot: slot)
    update.parked = progress.parked.map { ParkedUpdate($0, history: AttemptHistory()) }
    return update
  }
}
