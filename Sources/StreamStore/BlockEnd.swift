internal import LMDB
internal import StreamModel

/// Where the last block of a shard ends, also when it is damaged: what is put next must not come among its records.
struct BlockEnd: Hashable {
  /// The index behind its last record.
  var index: RecordIndex
  /// `false`: no record of the block stands at `index` or behind it, and more cannot be said.
  var isExact: Bool

  /// The count of a damaged head is believed when exactly so many records stand behind it. Otherwise there are at most
  /// as many as the block has room for.
  init(of block: UnsafeRawBufferPointer, firstIndex: RecordIndex) {
    let room = block.count - BlockHeader.byteCount
    if let header = unsafe BlockHeader(reading: block, firstIndex: firstIndex) {
      let packed = unsafe UnsafeRawBufferPointer(rebasing: block[BlockHeader.byteCount...])
      if unsafe RecordWalk.offset(of: header.count, in: packed) == room {
        self.init(index: header.endIndex, isExact: true)
        return
      }
    }
    self.init(index: firstIndex.advanced(by: max(1, room / RecordLayout.headerByteCount)), isExact: false)
  }

  init(index: RecordIndex, isExact: Bool) {
    self.index = index
    self.isExact = isExact
  }
}

extension BlockCursor {
  /// The end of the block that the cursor stands on, as far as the block itself can tell.
  var end: BlockEnd {
    let first = firstIndex
    return unsafe value.withUnsafeBytes { unsafe BlockEnd(of: $0, firstIndex: first) }
  }

  /// The head of the block that the cursor stands on; `nil` if a bit of the block is not what was written.
  var verifiedHeader: BlockHeader? {
    let (address, first) = (address, firstIndex)
    return unsafe value.withUnsafeBytes {
      unsafe BlockHeader(verifying: $0, address: address, firstIndex: first)
    }
  }
}

extension ReadTransaction {
  /// The end of `shard`, whose last block is damaged. New records arrive no earlier than those of the last block that can
  /// be believed.
  func tail(behindDamageOf shard: ShardInfo, _ layout: StoreLayout) throws(LMDBError) -> ShardTail {
    var tail = ShardTail(next: shard.firstAvailable, lastArrival: shard.trimmedThrough)
    var blocks = try blocks(of: shard.address, layout)
    guard try blocks.seek(atOrBefore: RecordIndex(.max)) else { return tail }
    tail.next = blocks.end.index
    repeat {
      guard let header = blocks.verifiedHeader else { continue }
      tail.lastArrival = header.lastArrival
      break
    } while try blocks.previous()
    return tail
  }
}
