internal import LMDB
internal import StreamModel

/// Where small blocks have piled up. A trickle of records makes a block for each commit; over thousands of shards that
/// takes up to three times the space, and so neighbours are merged when the writer has nothing else to do.
///
/// Only what was written since the store was opened is counted.
struct SmallBlocks {
  /// A block below this is small.
  static let smallByteCount = 32 << 10
  /// Merging waits until a shard has this many, or the tree would be rewritten for little.
  static let mergedAtOnce = 32
  /// With this many waiting, merging no longer waits for the writer to be idle.
  static let overdueCount = 4096
  /// The writer is idle after this long without an entry.
  static let quietNanoseconds: Int64 = 20_000_000
  /// Records of one block arrive within this: retention removes whole blocks.
  static let greatestSpanMilliseconds: Int64 = 3_600_000
  /// At most so many blocks in one step.
  static let stepLimit = 256

  private var piles: [ShardAddress: Pile] = [:]
  private var ready: [ShardAddress] = []
  private var waiting = 0

  struct Pile {
    /// The first small block.
    var first: RecordIndex
    var count: Int
  }

  var isWorthMerging: Bool { !ready.isEmpty }
  var isOverdue: Bool { waiting >= Self.overdueCount && isWorthMerging }

  mutating func add(_ address: ShardAddress, first: RecordIndex) {
    var pile = piles[address] ?? Pile(first: first, count: 0)
    pile.count += 1
    waiting += 1
    piles[address] = pile
    if pile.count == Self.mergedAtOnce { ready.append(address) }
  }

  /// The pile to work on next, which is forgotten here.
  mutating func takeNext() -> (ShardAddress, Pile)? {
    while let address = ready.popLast() {
      guard let pile = piles.removeValue(forKey: address) else { continue }
      waiting -= pile.count
      return (address, pile)
    }
    return nil
  }

  /// What was left of a pile.
  mutating func putBack(_ address: ShardAddress, first: RecordIndex, count: Int) {
    guard count > 0 else { return }
    piles[address] = Pile(first: first, count: count)
    waiting += count
    if count >= Self.mergedAtOnce { ready.append(address) }
  }
}

extension StoreWriter {
  /// Merges one pile of small neighbours into a block.
  @_lifetime(transaction: copy transaction)
  func mergeSmallBlocks(in transaction: inout WriteTransaction) throws(LMDBError) {
    guard let (address, pile) = smallBlocks.takeNext() else { return }
    var merged = BlockMerger(address: address)
    var blocks = try transaction.cursor(in: layout.blocks)
    var isThere = try blocks.seek(atOrAfter: Key(block: address, pile.first))
    var taken = 0
    while isThere, blocks.key.isBlock(of: address), taken < SmallBlocks.stepLimit {
      let key = blocks.key
      let isTaken = unsafe blocks.value.withUnsafeBytes {
        unsafe merged.append($0, firstIndex: key.blockIndex, limit: options.blockByteLimit)
      }
      guard isTaken else { break }
      taken += 1
      isThere = try blocks.next()
    }
    // The first block that was not taken begins the next pile.
    let rest = isThere && blocks.key.isBlock(of: address) ? blocks.key.blockIndex : nil
    guard taken > 1 else {
      if let rest, rest > pile.first { smallBlocks.putBack(address, first: rest, count: max(pile.count - taken, 0)) }
      return
    }
    isThere = try blocks.seek(atOrAfter: Key(block: address, merged.firstIndex))
    while isThere, blocks.key.isBlock(of: address), blocks.key.blockIndex < merged.endIndex {
      try blocks.delete()
      isThere = try blocks.next()
    }
    try put(merged, in: &transaction)
    if merged.isSmall {
      smallBlocks.putBack(address, first: merged.firstIndex, count: max(pile.count - taken, 0) + 1)
    } else if let rest {
      smallBlocks.putBack(address, first: rest, count: max(pile.count - taken, 0))
    }
  }

  @_lifetime(transaction: copy transaction)
  private func put(_ merged: BlockMerger, in transaction: inout WriteTransaction) throws(LMDBError) {
    try unsafe transaction.put(
      Key(block: merged.address, merged.firstIndex), byteCount: BlockHeader.byteCount + merged.packed.count,
      in: layout.blocks
    ) { memory in
      unsafe merged.header.write(to: memory)
      unsafe merged.packed.withUnsafeBytes {
        unsafe UnsafeMutableRawBufferPointer(rebasing: memory[BlockHeader.byteCount...]).copyMemory(from: $0)
      }
      unsafe BlockHeader.seal(memory, address: merged.address, firstIndex: merged.firstIndex)
    }
  }
}

/// A block made of consecutive ones. Arrival deltas are rewritten to count from the first.
struct BlockMerger {
  let address: ShardAddress
  private(set) var packed: [UInt8] = []
  private var merged: BlockHeader?

  init(address: ShardAddress) {
    self.address = address
  }

  var header: BlockHeader {
    guard let merged else { preconditionFailure("a merged block has at least one source") }
    return merged
  }

  var firstIndex: RecordIndex { header.firstIndex }
  var endIndex: RecordIndex { header.endIndex }
  var isSmall: Bool { packed.count < SmallBlocks.smallByteCount }

  /// Takes a copy of `block` behind the others; `false` if it does not fit, is not small, or is damaged.
  mutating func append(_ block: UnsafeRawBufferPointer, firstIndex: RecordIndex, limit: Int) -> Bool {
    guard
      let header = unsafe BlockHeader(verifying: block, address: address, firstIndex: firstIndex),
      header.packedByteCount < SmallBlocks.smallByteCount,
      packed.count + header.packedByteCount + BlockHeader.byteCount <= limit
    else { return false }
    guard var merged else {
      self.merged = header
      unsafe packed.append(contentsOf: block[BlockHeader.byteCount...])
      return true
    }
    let shift = header.firstArrival.milliseconds - merged.firstArrival.milliseconds
    guard merged.endIndex == header.firstIndex, shift >= 0,
      header.lastArrival.milliseconds - merged.firstArrival.milliseconds <= SmallBlocks.greatestSpanMilliseconds
    else { return false }
    var offset = packed.count
    unsafe packed.append(contentsOf: block[BlockHeader.byteCount...])
    unsafe packed.withUnsafeMutableBytes { bytes in
      for _ in 0..<header.count {
        let record = unsafe RecordHeader(at: UnsafeRawPointer(bytes.baseAddress.unsafelyUnwrapped) + offset)
        unsafe bytes.storeBytes(
          of: (record.arrivalDelta + UInt32(shift)).littleEndian, toByteOffset: offset, as: UInt32.self)
        offset += record.byteCount
      }
    }
    merged.count += header.count
    merged.packedByteCount += header.packedByteCount
    merged.dataByteCount += header.dataByteCount
    merged.lastArrival = header.lastArrival
    merged.greatestRecordByteCount = max(merged.greatestRecordByteCount, header.greatestRecordByteCount)
    self.merged = merged
    return true
  }
}
