internal import LMDB
internal import StreamModel

extension StoreWriter {
  func tail(of address: ShardAddress, in draft: WriterDraft) -> ShardTail {
    draft.tails[address] ?? tails[address] ?? ShardTail(next: .zero, lastArrival: .zero)
  }

  /// Gives the records of a request their places. They reach the table with ``putOpenBlocks(of:in:)`` at the latest.
  @_lifetime(transaction: copy transaction)
  func append(
    _ request: AppendBody, to draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<AppendReceipt, StoreError> {
    guard let routing = draft.catalog.routing(of: request.routing.stream) else {
      return .failure(.noSuchStream(request.routing.streamName))
    }
    let body = routing.version == request.routing.version ? request : request.routed(to: routing)
    var stretches: [AppendReceipt.Stretch] = []
    var stretchOfSlot: [UInt32] = []
    if !body.slots.isEmpty { stretchOfSlot = Array(repeating: 0, count: body.slabs.count) }
    for (slot, slabs) in body.slabs.enumerated() where !slabs.isEmpty {
      let shard = routing.shards[slot]
      var tail = tail(of: shard.address, in: draft)
      let first = tail.next
      tail.lastArrival = max(tail.lastArrival, draft.now)
      var block =
        draft.openBlocks.removeValue(forKey: shard.address) ?? OpenBlock(firstIndex: first, arrival: tail.lastArrival)
      for slab in slabs {
        if block.count > 0, block.byteCount + slab.byteCount + BlockHeader.byteCount > options.blockByteLimit {
          try put(block, of: shard.address, draft: &draft, in: &transaction)
          block = OpenBlock(firstIndex: tail.next, arrival: tail.lastArrival)
        }
        block.append(slab)
        tail.next = tail.next.advanced(by: slab.count)
      }
      draft.openBlocks[shard.address] = block
      draft.tails[shard.address] = tail
      if !stretchOfSlot.isEmpty { stretchOfSlot[slot] = UInt32(stretches.count) }
      stretches.append(
        .init(
          address: shard.address, shardCreatedAtSeconds: shard.createdAtSeconds, firstIndex: first,
          count: Int(first.distance(to: tail.next)), arrival: tail.lastArrival))
    }
    return .success(
      AppendReceipt(stream: routing.stream, stretches: stretches, slots: body.slots, stretchOfSlot: stretchOfSlot))
  }

  /// Puts the blocks that are not full, in the order of their keys: into the inbox if the transaction is small and has
  /// blocks of several shards. A single one is as cheap in its place, as long as the inbox is empty.
  @_lifetime(transaction: copy transaction)
  func putOpenBlocks(of draft: inout WriterDraft, in transaction: inout WriteTransaction) throws(LMDBError) {
    guard !draft.openBlocks.isEmpty else { return }
    let byteCount = draft.openBlocks.values.reduce(0) { $0 + BlockHeader.byteCount + $1.byteCount }
    if !draft.inbox.hasRoom(forBlocks: draft.openBlocks.count, byteCount: byteCount) {
      try emptyInbox(of: &draft, in: &transaction)
    }
    let goesToInbox = draft.isSmall && (draft.openBlocks.count > 1 || !draft.inbox.isEmpty)
    let group = draft.inbox.nextGroup
    for address in draft.openBlocks.keys.sorted() {
      guard let block = draft.openBlocks.removeValue(forKey: address) else { continue }
      if goesToInbox {
        draft.inbox.add(byteCount: BlockHeader.byteCount + block.byteCount, group: group)
        let key = Key(inbox: group, address, block.firstIndex)
        try put(block, of: address, at: key, in: layout.inbox, mode: .append, in: &transaction)
      } else {
        try put(block, of: address, draft: &draft, in: &transaction)
      }
    }
  }

  @_lifetime(transaction: copy transaction)
  private func put(
    _ block: OpenBlock, of address: ShardAddress, draft: inout WriterDraft, in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    if block.byteCount < SmallBlocks.smallByteCount { draft.smallBlocks.append((address, block.firstIndex)) }
    let key = Key(block: address, block.firstIndex)
    try put(block, of: address, at: key, in: layout.blocks, mode: .replace, in: &transaction)
  }

  @_lifetime(transaction: copy transaction)
  private func put(
    _ block: OpenBlock, of address: ShardAddress, at key: Key, in table: Database, mode: PutMode,
    in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    try unsafe transaction.put(key, byteCount: BlockHeader.byteCount + block.byteCount, in: table, mode: mode) {
      memory in
      unsafe block.header.write(to: memory)
      var offset = BlockHeader.byteCount
      for slab in block.slabs {
        unsafe UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyMemory(from: slab.packed)
        offset += slab.byteCount
      }
      unsafe BlockHeader.seal(memory, address: address, firstIndex: block.firstIndex)
    }
  }

  /// Puts the lanes in the order of their keys.
  @_lifetime(transaction: copy transaction)
  func putLanes(of draft: WriterDraft, in transaction: inout WriteTransaction) throws(LMDBError) {
    for key in draft.lanes.keys.sorted() {
      guard let update = draft.lanes[key] else { continue }
      if let record = update {
        try transaction.put(Key(key), record.encoded(), in: layout.lanes)
      } else {
        try transaction.delete(Key(key), in: layout.lanes)
      }
    }
  }

  @_lifetime(transaction: copy transaction)
  func putCounters(of draft: WriterDraft, in transaction: inout WriteTransaction) throws(LMDBError) {
    guard draft.counters != counters else { return }
    let numbers: [(Key, UInt64)] = [
      (MetaName.nextStream, UInt64(draft.counters.nextStream)),
      (MetaName.nextMapping, UInt64(draft.counters.nextMapping)),
      (MetaName.nextFailure, draft.counters.nextFailure), (MetaName.nextAudit, draft.counters.nextAudit),
    ]
    for (name, number) in numbers { try transaction.put(name, number, layout) }
  }
}

extension WriteTransaction {
  /// Sets a number of the meta table.
  @_lifetime(self: copy self)
  mutating func put(_ name: Key, _ number: UInt64, _ layout: StoreLayout) throws(LMDBError) {
    var writer = ByteWriter()
    writer.write(number)
    try put(name, writer.bytes, in: layout.meta)
  }
}
