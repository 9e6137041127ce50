import LMDB
import StreamModel
@testable import StreamStore
import Testing

@Suite("StreamStore: the inbox", .timeLimit(.minutes(10)))
struct InboxTests {
  let folder = TemporaryStore()

  /// The blocks in a table, by shard.
  private func blocks(_ table: String) throws -> [ShardAddress: [RecordIndex]] {
    let store = try folder.open(role: .looker)
    let database = table == "inbox" ? store.layout.inbox : store.layout.blocks
    return try store.environment.read { transaction throws(LMDBError) in
      var found: [ShardAddress: [RecordIndex]] = [:]
      var cursor = try transaction.cursor(in: database)
      while try cursor.next() {
        let key = cursor.key
        let (address, first) =
          table == "inbox" ? (key.inboxAddress, key.inboxIndex) : (key.shardAddress, key.blockIndex)
        found[address, default: []].append(first)
      }
      return found
    }
  }

  /// Puts 8 records at a time, 30 ms apart, until each of four shards has something in the inbox.
  private func fill(_ change: (inout StoreOptions) -> Void = { _ in }) throws -> [ShardAddress] {
    let store = try folder.open(change)
    let stream = try store.create(shards: 4)
    for round in 0..<5 {
      folder.now = folder.now.adding(milliseconds: 30)
      try store.append((round * 8)..<(round * 8 + 8), to: stream.number)
    }
    return try store.catalog().shards(of: stream.number).map(\.address)
  }

  @Test("small transactions for several shards go there, and for one shard in place")
  func small() throws {
    let addresses = try fill()
    #expect(try Set(blocks("inbox").keys) == Set(addresses))
    #expect(try blocks("blocks").isEmpty)
    do {
      let store = try folder.open()
      let other = try store.create("other")
      // Behind what is there already, lest the order of a shard depend on which table it stands in.
      try store.append(0..<3, to: other.number)
      #expect(try store.marks(.first(of: other)) == [0, 1, 2])
    }
    #expect(try blocks("inbox").count == 5)
    #expect(try blocks("blocks").isEmpty)
  }

  @Test("it never holds more than its limits, and what leaves it is one block for each shard")
  func bounded() throws {
    do {
      let store = try folder.open()
      let stream = try store.create(shards: 8)
      for round in 0..<200 {
        try store.append((round * 20)..<(round * 20 + 20), to: stream.number, byteCount: round % 3 == 0 ? 400 : 10)
        let report = try store.check()
        #expect(report.problems.isEmpty && report.records == UInt64(round * 20 + 20))
        let inside = try store.environment.read { transaction throws(LMDBError) in
          try transaction.inbox(store.layout).inbox
        }
        #expect(inside.blockCount <= Inbox.blockLimit && inside.byteCount <= Inbox.byteLimit)
      }
    }
    // One block of each shard for each time that it was emptied; where the writer had nothing else to do, that was early.
    let left = try blocks("blocks").values.map(\.count).max() ?? 0
    #expect(left > 0 && left <= 200 * 8 / Inbox.idleBlockCount)
  }

  @Test("a large transaction empties it first, and so does a trim")
  func emptied() throws {
    let addresses = try fill()
    do {
      let store = try folder.open()
      let stream = try #require(try store.catalog().stream(named: "orders"))
      try store.append(40..<80, to: stream.number, byteCount: 2_000)
      for address in addresses { #expect(try store.marks(address).count > 10) }
      #expect(try store.check().problems.isEmpty)
    }
    #expect(try blocks("inbox").isEmpty)
    do {
      let store = try folder.open()
      let stream = try #require(try store.catalog().stream(named: "orders"))
      try store.append(80..<88, to: stream.number)
      let cutoff = TrimOrder.Cutoff(address: addresses[0], arrivedBefore: .distantFuture)
      try store.performBlocking(.trim(TrimOrder(cutoffs: [cutoff], blockLimit: 1_000)))
      #expect(try store.marks(addresses[0]).isEmpty)
      #expect(try store.marks(addresses[1]).count > 10)
    }
    #expect(try blocks("inbox").isEmpty)
  }

  @Test("it empties when the writer has nothing to do, with every arrival as before")
  func idle() async throws {
    let (steps, continuation) = AsyncStream.makeStream(of: Void.self)
    let store = try folder.open { $0.afterBackgroundStep = { continuation.yield() } }
    let stream = try store.create(shards: 4)
    for round in 0..<12 {
      folder.now = folder.now.adding(milliseconds: 30)
      try store.append((round * 8)..<(round * 8 + 8), to: stream.number)
    }
    let addresses = try store.catalog().shards(of: stream.number).map(\.address)
    func arrivals() throws -> [[WallTime?]] {
      try addresses.map { address in
        try (0..<(try store.shardBounds(address).end.rawValue)).map {
          try store.arrival(of: RecordIndex($0), in: address)
        }
      }
    }
    let before = (try arrivals(), try addresses.map { try store.marks($0) })
    #expect(before.0.joined().count == 96 && before.0.joined().allSatisfy { $0 != nil })
    for await _ in steps where try store.check().blocks == 4 { break }
    #expect(try arrivals() == before.0)
    #expect(try addresses.map { try store.marks($0) } == before.1)
    for (address, moments) in zip(addresses, before.0) {
      let moment = try #require(moments[moments.count / 2])
      let first = try #require(moments.firstIndex { $0 == moment })
      #expect(try store.index(for: .atTimestamp(moment), in: address) == RecordIndex(UInt64(first)))
    }
    #expect(try store.check().problems.isEmpty)
  }

  @Test("positions and bounds are the same inside and behind it")
  func positions() throws {
    let addresses = try fill()
    let store = try folder.open()
    for address in addresses {
      let bounds = try store.shardBounds(address)
      let moments = try (0..<bounds.end.rawValue).map {
        try #require(try store.arrival(of: RecordIndex($0), in: address))
      }
      #expect(bounds.firstArrival == moments.first && bounds.lastArrival == moments.last)
      for (position, moment) in moments.enumerated() {
        let first = try #require(moments.firstIndex { $0 >= moment })
        #expect(try store.index(for: .atTimestamp(moment), in: address) == RecordIndex(UInt64(first)))
        #expect(try store.marks(address, from: UInt64(position)).count == moments.count - position)
      }
      #expect(try store.index(for: .latest, in: address) == bounds.end)
    }
  }

  @Test(
    "a damaged block is found in it, is damage still when it has moved, and costs no other", arguments: [true, false])
  func damaged(merges: Bool) throws {
    let addresses = try fill()
    let inbox = try blocks("inbox")
    let address = addresses[2]
    let first = try #require(inbox[address])[1]
    let end = try #require(inbox[address])[2]
    let place = try self.key(address, first)
    try folder.change("inbox", place) { $0[$0.count - 1] ^= 1 }
    func check(_ store: StreamStore) throws {
      #expect(throws: StoreError.corruptedBlock(address, firstIndex: first)) {
        try store.marks(address, from: first.rawValue)
      }
      #expect(try store.marks(address).count == Int(first.rawValue))
      let damage = try store.damagedBlock(holding: first, in: address)
      #expect(damage == DamagedBlock(address: address, firstIndex: first, endIndex: end, isEndExact: true))
      #expect(try store.marks(address, from: end.rawValue).count > 0)
      #expect(try store.check().problems.map(\.block) == [first])
      for other in addresses where other != address {
        #expect(try store.marks(other).count == Int(try store.shardBounds(other).end.rawValue))
      }
    }
    try check(try folder.open(role: .looker))
    do {
      let store = try folder.open { $0.mergesSmallBlocks = merges }
      let stream = try #require(try store.catalog().stream(named: "orders"))
      try store.append(40..<80, to: stream.number, byteCount: 2_000)
      try check(store)
    }
    #expect(try blocks("inbox").isEmpty)
  }

  private func key(_ address: ShardAddress, _ first: RecordIndex) throws -> Key {
    let store = try folder.open(role: .looker)
    let key = try store.environment.read { transaction throws(LMDBError) -> Key? in
      var cursor = try transaction.cursor(in: store.layout.inbox)
      while try cursor.next() {
        if cursor.key.inboxAddress == address, cursor.key.inboxIndex == first { return cursor.key }
      }
      return nil
    }
    return try #require(key)
  }

  @Test("a block for a shard that does not exist is a problem")
  func foreign() throws {
    let addresses = try fill()
    let nowhere = ShardAddress(stream: StreamNumber(9), shard: ShardNumber(9))
    try folder.change("inbox", to: Key(inbox: 1_000, nowhere, .zero)) { _ in }
    let problems = try folder.open(role: .looker).check().problems
    #expect(problems.map(\.address) == [nowhere])
    #expect(addresses.count == 4)
  }

  @Test("a deleted stream leaves nothing in it")
  func deleted() async throws {
    let (steps, continuation) = AsyncStream.makeStream(of: Void.self)
    _ = try fill()
    do {
      let store = try folder.open { $0.afterBackgroundStep = { continuation.yield() } }
      let stream = try #require(try store.catalog().stream(named: "orders"))
      let other = try store.create("other", shards: 2)
      try store.append(0..<8, to: other.number)
      try store.performBlocking(.deleteStream(stream.number))
      for await _ in steps where try store.catalog().streams[stream.number] == nil { break }
      #expect(try store.check().records == 8)
      #expect(try store.check().problems.isEmpty)
    }
    #expect(try blocks("inbox").isEmpty)
    #expect(try blocks("blocks").count == 2)
  }

  @Test("a writer makes a store of the format before the present one, and loses nothing; to look is refused until then")
  func updated() throws {
    let addresses: [ShardAddress]
    do {
      // Large puts stand in the table of blocks, as everything did in that format.
      let store = try folder.open()
      let stream = try store.create(shards: 2)
      try store.append(0..<40, to: stream.number, byteCount: 1_000)
      addresses = try store.catalog().shards(of: stream.number).map(\.address)
    }
    try folder.drop("inbox")
    try setFormat(2)
    let refusal = StoreError.olderFormat(found: 2, supported: 4)
    #expect(throws: refusal) { try folder.open(role: .looker) }
    #expect(refusal.description.contains("start a writer of this version once"))
    do {
      let store = try folder.open()
      #expect(try addresses.map { try store.marks($0).count }.reduce(0, +) == 40)
      let stream = try #require(try store.catalog().stream(named: "orders"))
      try store.append(40..<48, to: stream.number)
    }
    let store = try folder.open(role: .looker)
    #expect(try addresses.map { try store.marks($0).count }.reduce(0, +) == 48)
    #expect(try store.check().problems.isEmpty)
  }

  private func setFormat(_ number: UInt64) throws {
    let environment = try Environment(path: folder.path, options: EnvironmentOptions(mapBytes: 1 << 30))
    let meta = SmallTable(kind: .meta, database: try #require(try environment.openTables(["meta"])[0]))
    try environment.write { transaction throws(LMDBError) in
      var format = ByteWriter()
      format.write(number)
      try transaction.put(MetaName.format, format.bytes, in: meta)
    }
  }
}
