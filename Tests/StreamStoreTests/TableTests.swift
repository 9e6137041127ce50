import StreamModel
@testable import StreamStore
import Testing

@Suite("StreamStore: tables of handlers")
struct TableTests {
  let folder = TemporaryStore()

  private func entry(_ table: String, _ key: [UInt8]) throws -> TableEntryKey {
    TableEntryKey(bytes: try TableEntryKey.prefix(table, .lane, in: TableLane(shard: ShardNumber(0))) + key)
  }

  private func update(_ mapping: MappingInfo, _ stream: StreamInfo, next: UInt64) -> LaneUpdate {
    LaneUpdate(
      key: LaneKey(mapping: mapping.number, address: .first(of: stream)),
      record: LaneRecord(next: RecordIndex(next), payload: []))
  }

  private func mapping(_ name: String, _ store: StreamStore) throws -> MappingInfo {
    guard case .mapping(let info) = try store.performBlocking(.storeMapping(name: name, settings: [])) else {
      throw StoreError.noSuchMapping(name)
    }
    return info
  }

  @Test("writes and progress are there together, also for who opens the store next")
  func together() throws {
    let key = try entry("counts", [1])
    let (long, empty) = (try entry("counts", [UInt8](repeating: 9, count: 256)), try entry("other", [1]))
    var number = MappingNumber(0)
    do {
      let store = try folder.open()
      let stream = try store.create()
      let mapping = try mapping("m", store)
      number = mapping.number
      try store.performBlocking(
        .storeLane(
          update(mapping, stream, next: 3), LaneEffects(tableWrites: [key: [7], long: [8, 9], empty: [UInt8]()])))
      try store.performBlocking(
        .storeLane(update(mapping, stream, next: 4), LaneEffects(tableWrites: [long: nil])))
      #expect(try store.check().problems.isEmpty)
    }
    let store = try folder.open(role: .looker)
    #expect(try store.tableValue(of: key, number) == [7])
    #expect(try store.tableValue(of: long, number) == nil)
    #expect(try store.tableValue(of: empty, number) == [])
    #expect(try store.tableValue(of: key, MappingNumber(number.rawValue + 1)) == nil)
    #expect(try store.tableNames(of: number) == ["counts", "other"])
    let stream = try #require(try store.catalog().streams.values.first)
    #expect(try store.lane(LaneKey(mapping: number, address: .first(of: stream)))?.next == RecordIndex(4))
  }

  @Test("what the store refuses is not there, neither the writes nor the progress")
  func refused() throws {
    let store = try folder.open { $0.mapBytes = 2 << 20 }
    let stream = try store.create()
    let mapping = try mapping("m", store)
    try store.performBlocking(.storeLanes([update(mapping, stream, next: 1)]))
    var writes: TableWrites = [:]
    for number in 0..<4 as Range<UInt8> { writes[try entry("t", [number])] = [UInt8](repeating: 1, count: 1 << 20) }
    #expect(throws: StoreError.mapFull) {
      try store.performBlocking(.storeLane(update(mapping, stream, next: 2), LaneEffects(tableWrites: writes)))
    }
    #expect(try store.lane(LaneKey(mapping: mapping.number, address: .first(of: stream)))?.next == RecordIndex(1))
    #expect(try store.tableNames(of: mapping.number) == [])
    let gone = try self.mapping("gone", store)
    try store.performBlocking(.deleteMapping(gone.number))
    #expect(throws: StoreError.self) {
      try store.performBlocking(
        .storeLane(update(gone, stream, next: 2), LaneEffects(tableWrites: [try entry("t", [1]): [1]])))
    }
    #expect(try store.tableNames(of: gone.number) == [])
  }

  @Test("the tables of a deleted mapping go in small steps, also those that were left when the writer ended")
  func deleted() async throws {
    var (kept, gone) = (MappingNumber(0), MappingNumber(0))
    do {
      let (steps, announce) = AsyncStream<Void>.makeStream()
      let store = try folder.open { $0.afterBackgroundStep = { announce.yield() } }
      let stream = try store.create()
      var writes: TableWrites = [:]
      for number in 0..<1_000 as Range<UInt16> {
        writes[try entry("t", [UInt8(number >> 8), UInt8(number & 255)])] = [1]
      }
      let (first, second) = (try mapping("first", store), try mapping("second", store))
      (gone, kept) = (first.number, second.number)
      for mapping in [first, second] {
        try await store.perform(.storeLane(update(mapping, stream, next: 1), LaneEffects(tableWrites: writes)))
      }
      try await store.perform(.deleteMapping(gone))
      // One step of several: the rest is for the next writer.
      for await _ in steps { break }
      // Who has just been answered may hold it for a moment longer than this scope.
      store.close()
    }
    let (steps, announce) = AsyncStream<Void>.makeStream()
    let store = try folder.open { $0.afterBackgroundStep = { announce.yield() } }
    for await _ in steps where try store.tableNames(of: gone).isEmpty { break }
    var count = 0
    try store.forEachTableEntry(of: kept) { _, _ in
      count += 1
      return true
    }
    #expect(count == 1_000)
  }

  @Test("a damaged entry is found when it is read, and by the check")
  func damaged() throws {
    let mark = Array("a mark that stands once".utf8)
    var number = MappingNumber(0)
    let key = try entry("t", mark)
    do {
      let store = try folder.open()
      let stream = try store.create()
      let mapping = try mapping("m", store)
      number = mapping.number
      try store.performBlocking(
        .storeLane(update(mapping, stream, next: 1), LaneEffects(tableWrites: [key: [1, 2, 3]])))
    }
    try folder.damage(behind: mark)
    let store = try folder.open()
    #expect(throws: StoreError.self) { try store.tableValue(of: key, number) }
    #expect(try store.check().problems.map(\.what) == ["table t of mapping 1: its checksum does not match"])
  }
}
