internal import LMDB
internal import StreamModel

/// Removing what is too old, and what belongs to deleted streams.
extension StoreWriter {
  /// Removes blocks from the heads of shards, oldest first, until the limit.
  @_lifetime(transaction: copy transaction)
  func trim(
    _ order: TrimOrder, on draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    var answer = TrimAnswer()
    try emptyInbox(of: &draft, in: &transaction)
    for cutoff in order.cutoffs {
      guard var shard = draft.catalog.shard(cutoff.address) else { continue }
      let before = shard.firstAvailable
      let limit = order.blockLimit - answer.removedBlocks
      let step = try trim(
        &shard, arrivedBefore: cutoff.arrivedBefore, blockLimit: limit, draft: draft, in: &transaction)
      answer.moreRemain = answer.moreRemain || step.moreRemain
      guard step.removedBlocks > 0 else { continue }
      answer.removedBlocks += step.removedBlocks
      answer.removedRecords += before.distance(to: shard.firstAvailable)
      try transaction.put(Key(shard: shard.address), shard.encoded(), in: layout.shards)
      draft.catalog.set(shard)
      draft.changesCatalog = true
    }
    return .success(.trimmed(answer))
  }

  @_lifetime(transaction: copy transaction)
  private func trim(
    _ shard: inout ShardInfo, arrivedBefore cutoff: WallTime, blockLimit: Int, draft: WriterDraft,
    in transaction: inout WriteTransaction
  ) throws(LMDBError) -> (removedBlocks: Int, moreRemain: Bool) {
    var removed = 0
    var blocks = try transaction.cursor(in: layout.blocks)
    var isThere = try blocks.seek(atOrAfter: Key(block: shard.address, .zero))
    while isThere, blocks.key.isBlock(of: shard.address) {
      let first = blocks.key.blockIndex
      shard.firstAvailable = first
      let header = unsafe blocks.value.withUnsafeBytes { unsafe BlockHeader(reading: $0, firstIndex: first) }
      // A damaged block stays until someone has looked at it: its head cannot say how old it is.
      guard let header, header.lastArrival < cutoff else { return (removed, false) }
      guard removed < blockLimit else { return (removed, true) }
      try blocks.delete()
      removed += 1
      shard.firstAvailable = header.endIndex
      shard.trimmedThrough = header.lastArrival
      isThere = try blocks.next()
    }
    return (removed, false)
  }

  /// Removes some of a stream that is being deleted, in a transaction of its own; whether all of it is gone.
  func removeSome(of stream: StreamNumber) throws(LMDBError) -> Bool {
    let shards = catalog.shards(of: stream)
    var small: [(ShardAddress, RecordIndex)] = []
    let isGone = try environment.write { transaction throws(LMDBError) in
      if !inbox.isEmpty { small = try emptyInbox(in: &transaction) }
      guard try removeSomeBlocks(of: stream, in: &transaction) else { return false }
      for mapping in catalog.mappings.keys {
        try removeLanes(of: mapping, stream, in: &transaction)
        try removeParked(beginningWith: Key(mapping.rawValue, stream.rawValue), in: &transaction)
      }
      for shard in shards { try transaction.delete(Key(shard: shard.address), in: layout.shards) }
      try transaction.delete(Key(stream: stream), in: layout.streams)
      return true
    }
    inboxWasEmptied(leaving: small)
    return isGone
  }

  @_lifetime(transaction: copy transaction)
  private func removeLanes(
    of mapping: MappingNumber, _ stream: StreamNumber, in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    var lanes = try transaction.cursor(in: layout.lanes)
    var isThere = try lanes.seek(atOrAfter: Key(mapping.rawValue, stream.rawValue))
    while isThere {
      let key = lanes.key.laneKey
      guard key.mapping == mapping, key.address.stream == stream else { return }
      try lanes.delete()
      isThere = try lanes.next()
    }
  }

  /// Whether none remain.
  @_lifetime(transaction: copy transaction)
  private func removeSomeBlocks(
    of stream: StreamNumber, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Bool {
    var blocks = try transaction.cursor(in: layout.blocks)
    var isThere = try blocks.seek(atOrAfter: Key(stream.rawValue, 0, UInt64(0)))
    var removed = 0
    while isThere, blocks.key.shardAddress.stream == stream {
      guard removed < Self.blocksRemovedAtOnce else { return false }
      try blocks.delete()
      removed += 1
      isThere = try blocks.next()
    }
    return true
  }

  private static var blocksRemovedAtOnce: Int { 256 }
}
