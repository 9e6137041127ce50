internal import LMDB
internal import StreamModel

/// Where small blocks have piled up. A trickle of records makes a block for each commit; over thousands of shards that
/// takes up to three times the space, and so neighbours are merged when the writer has nothing else to do.
///
/// What was written since the store was opened is counted as it comes. What earlier runs left is looked for: see
/// ``SmallBlockWalk``.
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
  /// The walk over what earlier runs left; `nil` when it is over.
  var walk: SmallBlockWalk? = SmallBlockWalk()

  struct Pile {
    /// The first small block.
    var first: RecordIndex
    var count: Int
  }

  var isWorthMerging: Bool { !ready.isEmpty || walk != nil }
  /// What earlier runs left never is.
  var isOverdue: Bool { waiting >= Self.overdueCount && !ready.isEmpty }

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
  /// Merges one pile of small neighbours into a block: one of those that came, or else one that an earlier run left.
  @_lifetime(transaction: copy transaction)
  func mergeSmallBlocks(in transaction: inout WriteTransaction) throws(LMDBError) {
    guard let (address, pile) = smallBlocks.takeNext() else { return try mergeOldBlocks(in: &transaction) }
    let merge = try mergeBlocks(of: address, from: pile.first, in: &transaction)
    let left = max(pile.count - merge.taken, 0)
    if let merged = merge.merged, merged.isSmall {
      smallBlocks.putBack(address, first: merged.firstIndex, count: left + 1)
    } else if let rest = merge.rest, rest > pile.first {
      smallBlocks.putBack(address, first: rest, count: left)
    }
  }

  /// Takes a step of the walk over old blocks, and merges the pile that it finds.
  @_lifetime(transaction: copy transaction)
  private func mergeOldBlocks(in transaction: inout WriteTransaction) throws(LMDBError) {
    guard options.mergesSmallBlocks, var walk = smallBlocks.walk else {
      smallBlocks.walk = nil
      return
    }
    let pile = try nextOldPile(&walk, in: &transaction)
    if let (address, first) = pile {
      let merge = try mergeBlocks(of: address, from: first, in: &transaction)
      if let merged = merge.merged, merged.isSmall, merge.taken == SmallBlocks.stepLimit {
        walk.goOn(at: merged.firstIndex, of: address)
      } else {
        // Behind what was merged, and at least one block further, even if the first could not be taken.
        walk.goOn(at: max(merge.rest ?? RecordIndex(.max), first.advanced(by: 1)), of: address)
      }
    }
    smallBlocks.walk = walk.isOver ? nil : walk
  }

  @_lifetime(transaction: copy transaction)
  private func nextOldPile(
    _ walk: inout SmallBlockWalk, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> (ShardAddress, RecordIndex)? {
    var blocks = try transaction.cursor(in: layout.blocks)
    return try walk.advance(&blocks)
  }

  /// What became of neighbours.
  private struct Merge {
    /// Blocks that went into one.
    var taken = 0
    /// The block that they became; `nil` if there were less than two.
    var merged: BlockMerger?
    /// The first block that was not taken; `nil` at the end of the shard.
    var rest: RecordIndex?
  }

  /// Makes one block of small neighbours, from the first one at `first` or behind it.
  @_lifetime(transaction: copy transaction)
  private func mergeBlocks(
    of address: ShardAddress, from first: RecordIndex, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Merge {
    var merge = Merge()
    var merger = BlockMerger(address: address)
    var blocks = try transaction.cursor(in: layout.blocks)
    var isThere = try blocks.seek(atOrAfter: Key(block: address, first))
    while isThere, blocks.key.isBlock(of: address), merge.taken < SmallBlocks.stepLimit {
      let key = blocks.key
      let isTaken = unsafe blocks.value.withUnsafeBytes {
        unsafe merger.append($0, firstIndex: key.blockIndex, limit: options.blockByteLimit)
      }
      guard isTaken else { break }
      merge.taken += 1
      isThere = try blocks.next()
    }
    merge.rest = isThere && blocks.key.isBlock(of: address) ? blocks.key.blockIndex : nil
    guard merge.taken > 1 else { return merge }
    isThere = try blocks.seek(atOrAfter: Key(block: address, merger.firstIndex))
    while isThere, blocks.key.isBlock(of: address), blocks.key.blockIndex < merger.endIndex {
      try blocks.delete()
      isThere = try blocks.next()
    }
    try put(merger, in: &transaction)
    merge.merged = merger
    return merge
  }

  @_lifetime(transaction: copy transaction)
  func put(_ merged: BlockMerger, in transaction: inout WriteTransaction) throws(LMDBError) {
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

  var isEmpty: Bool { merged == nil }
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
