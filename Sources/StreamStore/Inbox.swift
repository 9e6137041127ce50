internal import LMDB
internal import StreamModel

/// Where the blocks of small transactions go first.
///
/// A commit costs what the pages cost that it changes, and a few records for each of eight shards change the last page of
/// eight shards. In the inbox they stand behind each other, in the order they came, on one page. When enough of them
/// have come they move to the table of blocks, those of a shard as one.
///
/// For each shard, what stands in the inbox comes behind what stands in the table of blocks: whoever is about to put a
/// block there empties the inbox first. Readers see both as one: ``BlockCursor``.
struct Inbox: Hashable {
  /// The packed bytes up to which a transaction counts as small.
  static let transactionByteLimit = 16 << 10
  /// The inbox is emptied before it holds more: every reader looks at each key in it.
  static let blockLimit = 128
  static let byteLimit = 128 << 10
  /// With this many blocks in it, it is emptied when the writer has nothing else to do.
  static let idleBlockCount = 32

  private(set) var blockCount = 0
  private(set) var byteCount = 0
  /// The number of the next transaction that puts blocks there.
  private(set) var nextGroup: UInt64 = 0

  var isEmpty: Bool { blockCount == 0 }
  var isWorthEmptying: Bool { blockCount >= Self.idleBlockCount }

  func hasRoom(forBlocks count: Int, byteCount: Int) -> Bool {
    blockCount + count <= Self.blockLimit && self.byteCount + byteCount <= Self.byteLimit
  }

  mutating func add(byteCount: Int, group: UInt64) {
    blockCount += 1
    self.byteCount += byteCount
    nextGroup = group + 1
  }

  mutating func wasEmptied() {
    blockCount = 0
    byteCount = 0
  }
}

extension StoreWriter {
  /// Moves every block of the inbox to the table of blocks. The small ones of those, for ``SmallBlocks``.
  @_lifetime(transaction: copy transaction)
  func emptyInbox(in transaction: inout WriteTransaction) throws(LMDBError) -> [(ShardAddress, RecordIndex)] {
    var small: [(ShardAddress, RecordIndex)] = []
    for block in try inboxBlocks(in: &transaction) {
      switch block {
      case .merged(let merged):
        if merged.isSmall { small.append((merged.address, merged.firstIndex)) }
        try put(merged, in: &transaction)
      case .asItIs(let address, let first, let bytes):
        try transaction.put(Key(block: address, first), bytes, in: layout.blocks)
      }
    }
    try transaction.removeAll(in: layout.inbox)
    return small
  }

  /// Empties the inbox in the draft's transaction, unless it is empty.
  @_lifetime(transaction: copy transaction)
  func emptyInbox(of draft: inout WriterDraft, in transaction: inout WriteTransaction) throws(LMDBError) {
    guard !draft.inbox.isEmpty else { return }
    draft.smallBlocks += try emptyInbox(in: &transaction)
    draft.inbox.wasEmptied()
  }

  /// A block on its way from the inbox to the table of blocks.
  private enum MovingBlock {
    case merged(BlockMerger)
    /// One that is damaged, or that is not to be merged: what is wrong with it remains to be found.
    case asItIs(ShardAddress, RecordIndex, [UInt8])

    var key: Key {
      switch self {
      case .merged(let merged): Key(block: merged.address, merged.firstIndex)
      case .asItIs(let address, let first, _): Key(block: address, first)
      }
    }
  }

  /// What the inbox holds, neighbours of a shard as one, in the order of keys.
  @_lifetime(transaction: copy transaction)
  private func inboxBlocks(in transaction: inout WriteTransaction) throws(LMDBError) -> [MovingBlock] {
    var finished: [MovingBlock] = []
    var growing: [ShardAddress: BlockMerger] = [:]
    var cursor = try transaction.cursor(in: layout.inbox)
    while try cursor.next() {
      let key = try cursor.inboxKey
      let (address, first) = (key.inboxAddress, key.inboxIndex)
      var merger = growing.removeValue(forKey: address) ?? BlockMerger(address: address)
      if append(cursor.value, first, to: &merger) {
        growing[address] = merger
        continue
      }
      if !merger.isEmpty { finished.append(.merged(merger)) }
      merger = BlockMerger(address: address)
      if append(cursor.value, first, to: &merger) {
        growing[address] = merger
      } else {
        finished.append(.asItIs(address, first, unsafe cursor.value.withUnsafeBytes { unsafe Array($0) }))
      }
    }
    finished += growing.values.map { .merged($0) }
    return finished.sorted { $0.key < $1.key }
  }

  private func append(_ block: RawSpan, _ first: RecordIndex, to merger: inout BlockMerger) -> Bool {
    guard options.mergesSmallBlocks else { return false }
    return unsafe block.withUnsafeBytes {
      unsafe merger.append($0, firstIndex: first, limit: options.blockByteLimit)
    }
  }
}

extension ReadTransaction {
  /// What stands in the inbox, and how far it brings the shards that have something there: `nil` for one whose last block
  /// is damaged.
  func inbox(_ layout: StoreLayout) throws(LMDBError) -> (inbox: Inbox, tails: [ShardAddress: ShardTail?]) {
    var inbox = Inbox()
    var tails: [ShardAddress: ShardTail?] = [:]
    var cursor = try cursor(in: layout.inbox)
    while try cursor.next() {
      let key = try cursor.inboxKey
      let first = key.inboxIndex
      inbox.add(byteCount: cursor.value.byteCount, group: key.inboxGroup)
      let header = unsafe cursor.value.withUnsafeBytes {
        unsafe BlockHeader(verifying: $0, address: key.inboxAddress, firstIndex: first)
      }
      let tail = header.map { ShardTail(next: $0.endIndex, lastArrival: $0.lastArrival) }
      tails.updateValue(tail, forKey: key.inboxAddress)
    }
    return (inbox, tails)
  }
}

extension Key {
  init(inbox group: UInt64, _ address: ShardAddress, _ first: RecordIndex) {
    self.init(group)
    append(address.stream.rawValue)
    append(address.shard.rawValue)
    append(first.rawValue)
  }

  var isOfInbox: Bool { count == 24 }
  var inboxGroup: UInt64 { number(at: 0) }
  var inboxAddress: ShardAddress {
    ShardAddress(stream: StreamNumber(number(at: 8)), shard: ShardNumber(number(at: 12)))
  }
  var inboxIndex: RecordIndex { RecordIndex(number(at: 16)) }
}

extension Cursor {
  /// The key of the inbox that the cursor stands on.
  var inboxKey: Key {
    get throws(LMDBError) {
      let key = key
      guard key.isOfInbox else { throw .corrupted("table inbox: a key has \(key.count) bytes and should have 24") }
      return key
    }
  }
}
