internal import LMDB
public import StreamModel

/// What a shard answered to a read.
public enum ShardRead: Sendable {
  case records(RecordsRead)
  /// Nothing at or behind the index, and the shard is open.
  case caughtUp
  /// Nothing at or behind the index, and the shard is closed: `end` is the index behind its last record.
  case shardEnd(end: RecordIndex)
}

/// The records of a read, and how many of them make the batch that was asked for.
public struct RecordsRead: Sendable {
  /// Begins at the index that was asked for, or at the first available one if retention has removed that. Holds more
  /// than the batch when more was read ahead.
  public var run: RecordRun
  /// The batch: so many records from the beginning of the run.
  public var batch: BatchMeasure

  public init(run: RecordRun, batch: BatchMeasure) {
    self.run = run
    self.batch = batch
  }
}

extension StreamStore {
  /// Copies records of a shard from the index `from` on: enough for a batch of `countLimit` records or
  /// `payloadByteLimit` bytes, and then up to `readAheadBytes` for the batches that follow, which
  /// ``BatchMeasure/measure(_:from:countLimit:payloadByteLimit:recordOverheadBytes:expiredBefore:)`` cuts. Every block
  /// is verified.
  ///
  /// Takes the memory of `recycling` when nobody else holds it. Throws ``StoreError/corruptedBlock(_:firstIndex:)`` only
  /// if the damaged block is the first; otherwise what stands before it is given.
  public func read(
    _ address: ShardAddress, from: RecordIndex, countLimit: Int, payloadByteLimit: Int,
    recordOverheadBytes: RecordSizing,
    expiredBefore: WallTime? = nil, cut: WindowCut = .none, readAheadBytes: Int = 1 << 20,
    recycling: consuming RecordRun? = nil
  ) throws(StoreError) -> ShardRead {
    precondition(countLimit > 0, "a read asks for one record or more")
    var old: RecordRun? = recycling
    let found = try reading { transaction throws(LMDBError) in
      try transaction.copyBlocks(
        of: address, from: from, countLimit: countLimit, payloadByteLimit: payloadByteLimit,
        readAheadBytes: readAheadBytes, recycling: &old, layout: layout)
    }
    switch found {
    case .records(let run):
      return .records(
        RecordsRead(
          run: run,
          batch: BatchMeasure.measure(
            run, from: 0, countLimit: countLimit, payloadByteLimit: payloadByteLimit,
            recordOverheadBytes: recordOverheadBytes, expiredBefore: expiredBefore, cut: cut)))
    case .nothing(let shard):
      guard let shard else { throw .noSuchShard(address) }
      return shard.closing.map { .shardEnd(end: $0.end) } ?? .caughtUp
    case .damaged(let block):
      throw .corruptedBlock(address, firstIndex: block)
    }
  }
}

/// What stood in the table of blocks.
private enum BlocksFound {
  case records(RecordRun)
  case nothing(ShardInfo?)
  case damaged(block: RecordIndex)
}

extension ReadTransaction {
  fileprivate func copyBlocks(
    of address: ShardAddress, from: RecordIndex, countLimit: Int, payloadByteLimit: Int, readAheadBytes: Int,
    recycling old: inout RecordRun?, layout: StoreLayout
  ) throws(LMDBError) -> BlocksFound {
    var blocks = try blocks(of: address, layout)
    guard try blocks.seek(holding: from) else { return .nothing(try shard(address, layout)) }
    if blocks.firstIndex > from, let hole = try blocks.holeBefore() {
      return .damaged(block: hole)
    }
    var recycled: RecordRun?
    swap(&recycled, &old)
    var builder = RecordRunBuilder(recycling: recycled.take(), firstIndex: max(from, blocks.firstIndex))
    var expected = blocks.firstIndex
    repeat {
      let first = blocks.firstIndex
      guard first == expected else {
        // A gap between two blocks: what is missing begins here.
        return builder.count > 0 ? .records(builder.finish()) : .damaged(block: expected)
      }
      let isSatisfied = builder.count >= countLimit || builder.greatestPayload >= payloadByteLimit
      if isSatisfied, builder.byteCount + blocks.value.byteCount > readAheadBytes { break }
      let end = unsafe blocks.value.withUnsafeBytes {
        unsafe builder.append(block: $0, of: address, firstIndex: first, from: from)
      }
      guard let end else { return builder.count > 0 ? .records(builder.finish()) : .damaged(block: first) }
      expected = end
    } while try blocks.next()
    return .records(builder.finish())
  }

  func shard(_ address: ShardAddress, _ layout: StoreLayout) throws(LMDBError) -> ShardInfo? {
    guard let value = try value(Key(shard: address), in: layout.shards) else { return nil }
    return try ShardInfo(address: address, decoding: value)
  }
}

extension BlockCursor {
  /// Where the records begin that are missing before the block that the cursor stands on: behind a block that ends too
  /// early, or with one whose head lies about its end. `nil` if nothing stands before it: retention has removed that. The
  /// cursor comes back to where it was.
  @_lifetime(self: copy self)
  mutating func holeBefore() throws(LMDBError) -> RecordIndex? {
    let first = firstIndex
    var hole: RecordIndex?
    if try previous() {
      let former = firstIndex
      let header = unsafe value.withUnsafeBytes {
        unsafe BlockHeader(verifying: $0, address: address, firstIndex: former)
      }
      hole = header?.endIndex ?? former
    }
    _ = try seek(atOrAfter: first)
    return hole
  }
}

extension RecordRunBuilder {
  /// Less than the payload of the records so far: their keys and data.
  fileprivate var greatestPayload: Int {
    byteCount - count * (RecordLayout.headerByteCount + RecordLayout.explicitHashKeyByteCount)
  }

  /// Verifies a block and copies its records from the index `from` on; the index behind the block, or `nil` if it is
  /// damaged.
  fileprivate mutating func append(
    block: UnsafeRawBufferPointer, of address: ShardAddress, firstIndex: RecordIndex, from: RecordIndex
  ) -> RecordIndex? {
    guard let header = unsafe BlockHeader(verifying: block, address: address, firstIndex: firstIndex) else {
      return nil
    }
    var packed = unsafe UnsafeRawBufferPointer(rebasing: block[BlockHeader.byteCount...])
    var count = header.count
    if from > firstIndex {
      let skipped = Int(firstIndex.distance(to: from))
      guard let offset = unsafe RecordWalk.offset(of: skipped, in: packed) else { return nil }
      unsafe packed = UnsafeRawBufferPointer(rebasing: packed[offset...])
      count -= skipped
    }
    guard unsafe append(packed: packed, recordCount: count, firstArrival: header.firstArrival) else { return nil }
    return header.endIndex
  }
}

/// Walking packed records by their heads.
enum RecordWalk {
  /// Where the record at `position` begins; `nil` if the bytes end before.
  static func offset(of position: Int, in packed: UnsafeRawBufferPointer) -> Int? {
    var offset = 0
    for _ in 0..<position {
      guard offset + RecordLayout.headerByteCount <= packed.count else { return nil }
      unsafe offset += RecordHeader(at: packed.baseAddress.unsafelyUnwrapped + offset).byteCount
    }
    return offset <= packed.count ? offset : nil
  }
}
