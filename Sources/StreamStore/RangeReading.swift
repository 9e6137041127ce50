internal import LMDB
public import StreamModel

/// What a read of records by their indexes found.
public struct RangesRead: Sendable {
  /// The records, from the first that is there on. Empty if none is.
  public var run: RecordRun
  /// Where the first of them stands; where there is none, the index before which retention has removed everything.
  public var begin: RecordIndex

  public init(run: RecordRun, begin: RecordIndex) {
    self.run = run
    self.begin = begin
  }
}

extension StreamStore {
  /// Copies the records of a shard at `ranges`, which are in order, one or more. Each block is verified once and nothing
  /// else is copied from it.
  ///
  /// Ends early, with one record or more, where retention made a gap, before a damaged block, and when it has looked through
  /// `scanByteLimit` bytes of blocks: records that lie far apart come a few at a time. Throws
  /// ``StoreError/corruptedBlock(_:firstIndex:)`` only if the first record that is there stands in the damaged block.
  public func read(
    _ address: ShardAddress, at ranges: [RecordRange], scanByteLimit: Int = 4 << 20,
    recycling: consuming RecordRun? = nil
  ) throws(StoreError) -> RangesRead {
    precondition(!ranges.isEmpty, "a read asks for one record or more")
    var old: RecordRun? = recycling
    let found = try reading { transaction throws(LMDBError) in
      try transaction.copyRecords(
        of: address, at: ranges, scanByteLimit: scanByteLimit, recycling: &old, layout: layout)
    }
    switch found {
    case .records(let read): return read
    case .damaged(let block): throw .corruptedBlock(address, firstIndex: block)
    }
  }
}

private enum RangesFound {
  case records(RangesRead)
  case damaged(block: RecordIndex)
}

extension ReadTransaction {
  fileprivate func copyRecords(
    of address: ShardAddress, at ranges: [RecordRange], scanByteLimit: Int, recycling old: inout RecordRun?,
    layout: StoreLayout
  ) throws(LMDBError) -> RangesFound {
    var recycled: RecordRun?
    swap(&recycled, &old)
    var builder = RecordRunBuilder(recycling: recycled.take(), firstIndex: ranges[0].first)
    var begin = ranges[0].first
    var blocks = try blocks(of: address, layout)
    // The block that the cursor stands on, as far as it was walked through.
    var walk: BlockWalk?
    var byteCount = 0
    for range in ranges {
      var index = range.first
      while index < range.end {
        if walk.map({ index >= $0.header.endIndex }) ?? true {
          if builder.count > 0, byteCount >= scanByteLimit { return .found(builder, begin) }
          walk = nil
          guard try blocks.seek(holding: index) else {
            if builder.count == 0 { begin = ranges[ranges.count - 1].end }
            return .found(builder, begin)
          }
          let first = blocks.firstIndex
          if first > index, let hole = try blocks.holeBefore() {
            return builder.count > 0 ? .found(builder, begin) : .damaged(block: hole)
          }
          byteCount += blocks.value.byteCount
          let header = unsafe blocks.value.withUnsafeBytes {
            unsafe BlockHeader(verifying: $0, address: address, firstIndex: first)
          }
          guard let header else { return builder.count > 0 ? .found(builder, begin) : .damaged(block: first) }
          walk = BlockWalk(header: header)
        }
        guard var standing = walk else { return .found(builder, begin) }
        guard index >= standing.header.firstIndex else {
          // Retention came in between. If there is something already, what is left is read next time.
          if builder.count > 0 { return .found(builder, begin) }
          begin = standing.header.firstIndex
          index = begin
          continue
        }
        let end = min(range.end, standing.header.endIndex)
        let isKept = unsafe blocks.value.withUnsafeBytes {
          unsafe standing.append(index..<end, of: $0, to: &builder)
        }
        walk = standing
        guard isKept else {
          return builder.count > 0 ? .found(builder, begin) : .damaged(block: standing.header.firstIndex)
        }
        index = end
      }
    }
    return .found(builder, begin)
  }
}

extension RangesFound {
  fileprivate static func found(_ builder: consuming RecordRunBuilder, _ begin: RecordIndex) -> RangesFound {
    let run = builder.finish()
    return .records(RangesRead(run: run, begin: run.count > 0 ? run.firstIndex : begin))
  }
}

/// A way through the records of one verified block, forward.
private struct BlockWalk {
  let header: BlockHeader
  /// The record that stands at `offset` of the packed records.
  private var index: RecordIndex
  private var offset = 0

  init(header: BlockHeader) {
    self.header = header
    index = header.firstIndex
  }

  /// Copies the records, which the block has and which are not before those copied last. `false` if the block is not what
  /// its head says, or if they are too far from the first of the run.
  mutating func append(
    _ indexes: Range<RecordIndex>, of block: UnsafeRawBufferPointer, to builder: inout RecordRunBuilder
  ) -> Bool {
    let packed = unsafe UnsafeRawBufferPointer(rebasing: block[BlockHeader.byteCount...])
    guard unsafe step(to: indexes.lowerBound, in: packed) else { return false }
    let begin = offset
    guard unsafe step(to: indexes.upperBound, in: packed) else { return false }
    return unsafe builder.append(
      packed: UnsafeRawBufferPointer(rebasing: packed[begin..<offset]),
      recordCount: Int(indexes.lowerBound.distance(to: indexes.upperBound)), firstArrival: header.firstArrival,
      at: indexes.lowerBound)
  }

  private mutating func step(to target: RecordIndex, in packed: UnsafeRawBufferPointer) -> Bool {
    precondition(target >= index, "a block is walked through forward")
    let rest = unsafe UnsafeRawBufferPointer(rebasing: packed[offset...])
    guard let count = unsafe RecordWalk.offset(of: Int(index.distance(to: target)), in: rest) else { return false }
    offset += count
    index = target
    return true
  }
}
