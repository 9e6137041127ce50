internal import LMDB
public import StreamModel

/// The extent of a shard.
public struct ShardBounds: Hashable, Sendable {
  public var firstAvailable: RecordIndex
  /// The index behind the last record.
  public var end: RecordIndex
  /// The arrivals of the first and the last record; `nil` for an empty shard, and where the head of its block is damaged.
  public var firstArrival: WallTime?
  public var lastArrival: WallTime?
  /// What the records take in the store: exact for shards of few blocks, estimated from the first and the last block
  /// for others.
  public var estimatedBytes: UInt64

  public var count: UInt64 { firstAvailable.distance(to: end) }
}

extension StreamStore {
  /// The index at which a reader begins.
  public func index(for position: StartingPosition, in address: ShardAddress) throws(StoreError) -> RecordIndex {
    let bounds = try shardBounds(address)
    switch position {
    case .trimHorizon: return bounds.firstAvailable
    case .latest: return bounds.end
    case .atTimestamp(let moment):
      let index = try reading { transaction throws(LMDBError) in
        try transaction.firstIndex(arrivedAtOrAfter: moment, in: address, bounds: bounds, layout)
      }
      guard let index else { throw .corruptedBlock(address, firstIndex: bounds.firstAvailable) }
      return index
    }
  }

  /// The index of the record with this sequence number, or the first that is left if retention has removed it.
  public func index(at number: SequenceNumber, in address: ShardAddress) throws(StoreError) -> RecordIndex {
    let bounds = try shardBounds(address)
    return max(try index(of: number, in: try shard(address), bounds), bounds.firstAvailable)
  }

  /// The index behind the record with this sequence number, or the first that is left if retention has removed it.
  public func index(after number: SequenceNumber, in address: ShardAddress) throws(StoreError) -> RecordIndex {
    let bounds = try shardBounds(address)
    return max(try index(of: number, in: try shard(address), bounds).advanced(by: 1), bounds.firstAvailable)
  }

  private func index(
    of number: SequenceNumber, in shard: ShardInfo, _ bounds: ShardBounds
  ) throws(StoreError) -> RecordIndex {
    guard number.shard == shard.address.shard, number.shardCreatedAtSeconds == shard.createdAtSeconds,
      number.index < bounds.end
    else {
      throw .invalid(
        .init(
          field: "SequenceNumber", value: number.description,
          rule: "it must be that of a record that \(shard.address.shard) has, or has had"))
    }
    return number.index
  }

  /// A shard as it is now.
  public func shard(_ address: ShardAddress) throws(StoreError) -> ShardInfo {
    let found = try reading { transaction throws(LMDBError) in try transaction.shard(address, layout) }
    guard let found else { throw .noSuchShard(address) }
    return found
  }

  /// How far a shard reaches. Costs two look-ups.
  public func shardBounds(_ address: ShardAddress) throws(StoreError) -> ShardBounds {
    let bounds = try reading { transaction throws(LMDBError) in try transaction.bounds(of: address, layout) }
    guard let bounds else { throw .noSuchShard(address) }
    return bounds
  }

  /// When the record `index` arrived; `nil` if it is not there, any more or yet.
  public func arrival(of index: RecordIndex, in address: ShardAddress) throws(StoreError) -> WallTime? {
    try reading { transaction throws(LMDBError) in
      var blocks = try transaction.blocks(of: address, layout)
      guard try blocks.seek(holding: index), blocks.firstIndex <= index else { return nil }
      let first = blocks.firstIndex
      return unsafe blocks.value.withUnsafeBytes { unsafe BlockArrivals(verifying: $0, address, first)?[index] }
    }
  }
}

/// The arrivals of the records of one block.
struct BlockArrivals {
  let header: BlockHeader
  let deltas: [UInt32]

  init?(verifying block: UnsafeRawBufferPointer, _ address: ShardAddress, _ firstIndex: RecordIndex) {
    guard let header = unsafe BlockHeader(verifying: block, address: address, firstIndex: firstIndex) else {
      return nil
    }
    let packed = unsafe UnsafeRawBufferPointer(rebasing: block[BlockHeader.byteCount...])
    var deltas: [UInt32] = []
    deltas.reserveCapacity(header.count)
    var offset = 0
    for _ in 0..<header.count {
      guard offset + RecordLayout.headerByteCount <= packed.count else { return nil }
      let record = unsafe RecordHeader(at: packed.baseAddress.unsafelyUnwrapped + offset)
      deltas.append(record.arrivalDelta)
      offset += record.byteCount
    }
    self.header = header
    self.deltas = deltas
  }

  subscript(index: RecordIndex) -> WallTime? {
    guard index >= header.firstIndex, index < header.endIndex else { return nil }
    let position = Int(header.firstIndex.distance(to: index))
    return header.firstArrival.adding(milliseconds: Int64(deltas[position]))
  }

  /// The first record that arrived at `moment` or later, or the end.
  func firstIndex(atOrAfter moment: WallTime) -> RecordIndex {
    let position = deltas.firstIndex { header.firstArrival.adding(milliseconds: Int64($0)) >= moment }
    return header.firstIndex.advanced(by: position ?? header.count)
  }
}

extension ReadTransaction {
  /// `nil` if there is no such shard.
  func bounds(of address: ShardAddress, _ layout: StoreLayout) throws(LMDBError) -> ShardBounds? {
    guard let shard = try shard(address, layout) else { return nil }
    var bounds = ShardBounds(
      firstAvailable: shard.firstAvailable, end: shard.closing?.end ?? shard.firstAvailable, estimatedBytes: 0)
    var blocks = try blocks(of: address, layout)
    guard try blocks.seek(atOrAfter: .zero) else { return bounds }
    bounds.firstAvailable = blocks.firstIndex
    // Without a head that can be read the first block does not say when its records arrived.
    let first = blocks.header
    guard try blocks.seek(atOrBefore: RecordIndex(.max)) else { return bounds }
    bounds.end = max(bounds.end, blocks.end.index)
    let last = blocks.header
    bounds.firstArrival = first?.firstArrival
    bounds.lastArrival = last?.lastArrival
    let sampledCount = (first?.count ?? 0) + (last?.count ?? 0)
    guard sampledCount > 0 else { return bounds }
    let sampledBytes = (first?.packedByteCount ?? 0) + (last?.packedByteCount ?? 0)
    bounds.estimatedBytes = UInt64(Double(bounds.count) * Double(sampledBytes) / Double(sampledCount))
    return bounds
  }

  /// Searches by halves over the indexes, each step one look-up: arrivals never step back within a shard. `nil` if the
  /// block that decides is damaged.
  func firstIndex(
    arrivedAtOrAfter moment: WallTime, in address: ShardAddress, bounds: ShardBounds, _ layout: StoreLayout
  ) throws(LMDBError) -> RecordIndex? {
    var blocks = try blocks(of: address, layout)
    var low = bounds.firstAvailable
    var high = bounds.end
    // Every block that ends before `low` is too old; every block that begins at `high` or later is not.
    while low < high {
      let middle = RecordIndex(low.rawValue + (high.rawValue - low.rawValue) / 2)
      guard try blocks.seek(holding: middle), let header = blocks.header else { return nil }
      if header.lastArrival < moment {
        low = header.endIndex
      } else if header.firstArrival >= moment {
        high = header.firstIndex
      } else {
        let first = blocks.firstIndex
        let arrivals = unsafe blocks.value.withUnsafeBytes { unsafe BlockArrivals(verifying: $0, address, first) }
        return arrivals?.firstIndex(atOrAfter: moment)
      }
    }
    return low
  }
}
