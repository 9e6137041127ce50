internal import LMDB
internal import StreamModel

/// A place among the blocks of one shard, in the order of its records: first those of the table of blocks, then those
/// that are still in the ``Inbox``. It stands on a block after a move that returned `true`, and nowhere otherwise.
struct BlockCursor: ~Copyable, ~Escapable {
  let address: ShardAddress
  /// The index of the first record of the block, as its key says.
  private(set) var firstIndex = RecordIndex.zero
  private var blocks: Cursor
  private var inbox: Cursor
  /// The keys of the shard's blocks in the inbox.
  private var fresh: [Key] = []
  /// The one of `fresh` that it stands on; `nil` in the table of blocks.
  private var place: Int?

  @_lifetime(copy blocks, copy inbox)
  fileprivate init(of address: ShardAddress, blocks: consuming Cursor, inbox: consuming Cursor) {
    self.address = address
    self.blocks = blocks
    self.inbox = inbox
  }

  @_lifetime(self: copy self)
  fileprivate mutating func findFresh() throws(LMDBError) {
    while try inbox.next() {
      let key = try inbox.inboxKey
      if key.inboxAddress == address { fresh.append(key) }
    }
  }

  /// The block that the cursor stands on: a view of the file that ends with the next move.
  var value: RawSpan {
    @_lifetime(borrow self) get { place == nil ? blocks.value : inbox.value }
  }

  /// The head of the block that the cursor stands on; `nil` if it is damaged.
  var header: BlockHeader? {
    let first = firstIndex
    return unsafe value.withUnsafeBytes { unsafe BlockHeader(reading: $0, firstIndex: first) }
  }

  /// To the last block that begins at `index` or before it.
  @_lifetime(self: copy self)
  mutating func seek(atOrBefore index: RecordIndex) throws(LMDBError) -> Bool {
    if let last = fresh.lastIndex(where: { $0.inboxIndex <= index }) { return try stand(onFresh: last) }
    return try arrive(blocks.seek(atOrBefore: Key(block: address, index)))
  }

  /// To the first block that begins at `index` or behind it.
  @_lifetime(self: copy self)
  mutating func seek(atOrAfter index: RecordIndex) throws(LMDBError) -> Bool {
    if try arrive(blocks.seek(atOrAfter: Key(block: address, index))) { return true }
    guard let first = fresh.firstIndex(where: { $0.inboxIndex >= index }) else { return false }
    return try stand(onFresh: first)
  }

  /// To the block that holds `index`, or the first one behind it. `false` if there is none.
  @_lifetime(self: copy self)
  mutating func seek(holding index: RecordIndex) throws(LMDBError) -> Bool {
    guard try seek(atOrBefore: index) else { return try seek(atOrAfter: index) }
    // A damaged head is for the caller to find, unless nothing of the block can stand there.
    guard (header?.endIndex ?? end.index) <= index else { return true }
    return try next()
  }

  /// From a block to the one behind it.
  @_lifetime(self: copy self)
  mutating func next() throws(LMDBError) -> Bool {
    if let place { return try stand(onFresh: place + 1) }
    if try arrive(blocks.next()) { return true }
    return try stand(onFresh: 0)
  }

  /// From a block to the one before it.
  @_lifetime(self: copy self)
  mutating func previous() throws(LMDBError) -> Bool {
    switch place {
    case nil: try arrive(blocks.previous())
    case 0: try arrive(blocks.seek(atOrBefore: Key(block: address, RecordIndex(.max))))
    case let place?: try stand(onFresh: place - 1)
    }
  }

  @_lifetime(self: copy self)
  private mutating func stand(onFresh position: Int) throws(LMDBError) -> Bool {
    guard position < fresh.count, try inbox.seek(atOrAfter: fresh[position]) else { return false }
    place = position
    firstIndex = fresh[position].inboxIndex
    return true
  }

  /// The cursor of the table of blocks has moved.
  @_lifetime(self: copy self)
  private mutating func arrive(_ isThere: Bool) -> Bool {
    guard isThere, blocks.key.isBlock(of: address) else { return false }
    place = nil
    firstIndex = blocks.key.blockIndex
    return true
  }
}

extension ReadTransaction {
  /// A cursor over the blocks of a shard that stands nowhere yet.
  @_lifetime(borrow self)
  func blocks(of address: ShardAddress, _ layout: StoreLayout) throws(LMDBError) -> BlockCursor {
    var cursor = BlockCursor(
      of: address, blocks: try cursor(in: layout.blocks), inbox: try self.cursor(in: layout.inbox))
    try cursor.findFresh()
    return cursor
  }
}
