internal import LMDB
internal import StreamModel

/// The search for small blocks that an earlier run left behind: a walk over all blocks in bounded steps, taken when the
/// writer has nothing else to do. Opening a store does not wait for it, whatever the size of the store.
///
/// A step looks at keys and sizes alone. Large blocks lie on pages of their own, which it does not touch.
struct SmallBlockWalk {
  /// Blocks that one step looks at.
  static let stepLimit = 1024

  /// Where the walk goes on.
  private var position = Key(UInt32(0))
  /// Small neighbours right before `position`: their shard, the first of them, and how many.
  private var run: (address: ShardAddress, first: RecordIndex, count: Int)?
  private(set) var isOver = false

  /// Takes a step. Ends early at a pile that is worth merging, and gives its first block.
  mutating func advance(_ blocks: inout Cursor) throws(LMDBError) -> (ShardAddress, RecordIndex)? {
    var isThere = try blocks.seek(atOrAfter: position)
    for _ in 0..<Self.stepLimit {
      guard isThere else {
        isOver = true
        return nil
      }
      let (address, index) = (blocks.key.shardAddress, blocks.key.blockIndex)
      position = Key(block: address, index.advanced(by: 1))
      if let pile = note(address, index, isSmall: blocks.value.byteCount < SmallBlocks.smallByteCount) { return pile }
      isThere = try blocks.next()
    }
    return nil
  }

  private mutating func note(
    _ address: ShardAddress, _ index: RecordIndex, isSmall: Bool
  ) -> (ShardAddress, RecordIndex)? {
    guard isSmall else {
      run = nil
      return nil
    }
    if run?.address == address { run?.count += 1 } else { run = (address, index, 1) }
    guard let pile = run, pile.count == SmallBlocks.mergedAtOnce else { return nil }
    run = nil
    return (pile.address, pile.first)
  }

  /// Goes on at this block of the shard, or the first one behind.
  mutating func goOn(at index: RecordIndex, of address: ShardAddress) {
    position = Key(block: address, index)
  }
}
