import LMDB
import StreamModel
@testable import StreamStore
import Testing

@Suite("StreamStore: damage outside of the blocks", .timeLimit(.minutes(10)))
struct SmallTableTests {
  let folder = TemporaryStore()

  /// Makes a store with an entry in each table.
  private func fill() throws {
    let store = try folder.open()
    let stream = try store.create()
    try store.append(0..<5, to: stream.number)
    guard case .mapping(let mapping) = try store.performBlocking(.storeMapping(name: "m", settings: [1])) else {
      return
    }
    let key = LaneKey(mapping: mapping.number, address: .first(of: stream))
    try store.performBlocking(
      .storeLanes([
        LaneUpdate(
          key: key, record: LaneRecord(next: RecordIndex(3), payload: [7]),
          parked: [
            ParkedUpdate(
              key: PartitionKeyHash(7), change: .changed(payload: [1], settledBefore: RecordIndex(1)))
          ], parkedRecords: [ParkedRecord(key: PartitionKeyHash(7), index: RecordIndex(1))])
      ]))
    try store.performBlocking(.storeFailure(try failure(in: store)))
    try store.performBlocking(
      .appendAudit(AuditEntry(time: folder.now, actor: "ada", action: "pause", subject: "m", detail: "")))
  }

  /// The first two records of the shard as a failure entry.
  private func failure(in store: StreamStore) throws -> NewFailure {
    let stream = try #require(try store.catalog().stream(named: "orders"))
    let read = try store.read(
      .first(of: stream), from: .zero, countLimit: 2, payloadByteLimit: 1 << 20, recordOverheadBytes: 0)
    guard case .records(let found) = read else { throw StoreError.failed("the records are missing") }
    var summary = FailureSummary(
      mapping: MappingNumber(1), mappingName: "m", streamName: "orders", address: .first(of: stream),
      shardCreatedAtSeconds: 9, firstIndex: .zero, lastIndex: RecordIndex(1), firstArrival: folder.now,
      lastArrival: folder.now, condition: .skipped, attempts: 0, history: [], createdAt: folder.now)
    summary.delivery = .pending(since: folder.now)
    return NewFailure(summary: summary, run: found.run, range: 0..<2)
  }

  private func change(
    _ kind: SmallTable.Kind, _ key: Key? = nil, to newKey: Key? = nil, _ change: (inout [UInt8]) -> Void
  ) throws {
    try folder.change(kind.name, key, to: newKey, change)
  }

  private static let places: [SmallTable.Kind: String] = [
    .meta: "table meta, nextFailure", .streams: "table streams, stream 1", .shards: "table shards, stream 1, shard 0",
    .lanes: "table lanes, mapping 1, stream 1, shard 0", .mappings: "table mappings, mapping 1",
    .failures: "table failures, failure entry 1", .failurePayloads: "table failurePayloads, failure entry 1",
    .failureKeys: "table failureKeys, mapping 1, stream 1, shard 0, first record 0, last record 1",
    .failureTimes: "table failureTimes, mapping 1, time 1700000000000, failure entry 1",
    .audit: "table audit, audit entry 1", .outbox: "table outbox, mapping 1, failure entry 1",
    .parked: "table parked, mapping 1, stream 1, shard 0, lane 0, key 7",
    .parkedLog: "table parkedLog, mapping 1, stream 1, shard 0, lane 0, row 0",
  ]

  /// Does what needs the entry.
  private func use(_ kind: SmallTable.Kind) throws {
    switch kind {
    case .meta: _ = try folder.open()
    case .streams, .shards, .mappings: _ = try folder.open(role: .looker).catalog()
    case .lanes:
      let address = ShardAddress(stream: StreamNumber(1), shard: ShardNumber(0))
      _ = try folder.open(role: .looker).lane(LaneKey(mapping: MappingNumber(1), address: address))
    case .failures: _ = try folder.open(role: .looker).failures(limit: 1)
    case .failurePayloads: _ = try folder.open(role: .looker).failure(1)
    case .audit: _ = try folder.open(role: .looker).audit(limit: 1)
    case .parked, .parkedLog:
      let address = ShardAddress(stream: StreamNumber(1), shard: ShardNumber(0))
      _ = try folder.open(role: .looker).parkedKeys(of: LaneKey(mapping: MappingNumber(1), address: address))
    case .outbox: _ = try folder.open(role: .looker).pendingDeliveries(of: MappingNumber(1), limit: 1)
    case .failureTimes: _ = try folder.open(role: .looker).oldestFailureTimes()
    case .failureKeys:
      let store = try folder.open()
      _ = try store.performBlocking(.storeFailure(try failure(in: store)))
    }
  }

  @Test(
    "a bit that flips in any table, in the value or its checksum, is found by a check and by whoever reads it",
    arguments: SmallTable.Kind.allCases, [true, false])
  func flipped(kind: SmallTable.Kind, inChecksum: Bool) throws {
    let place = try #require(Self.places[kind])
    try fill()
    #expect(throws: Never.self) { try use(kind) }
    try change(kind, kind == .meta ? MetaName.nextFailure : nil) { bytes in
      bytes[inChecksum ? bytes.count - 1 : 0] ^= 4
    }
    let error = #expect(throws: StoreError.self) { try use(kind) }
    #expect(error == .corrupted("\(place): its checksum does not match"))
    let report = try folder.open(role: .looker).check()
    #expect(report.problems.map(\.what) == ["\(place): its checksum does not match"])
    // A shard whose entry is damaged does not say where its blocks begin and end.
    #expect(report.records == (kind == .shards ? 0 : 5))
  }

  @Test("a sound entry in the place of another is found", arguments: [SmallTable.Kind.failures, .failurePayloads])
  func misplaced(kind: SmallTable.Kind) throws {
    try fill()
    try change(kind, to: Key(UInt64(2))) { _ in }
    let problems = try folder.open(role: .looker).check().problems
    #expect(problems.map(\.what) == ["table \(kind.name), failure entry 2: its checksum does not match"])
  }

  @Test("a value cut short is found")
  func cut() throws {
    try fill()
    try change(.audit) { $0 = Array($0.prefix(3)) }
    #expect(throws: StoreError.self) { try use(.audit) }
    #expect(try folder.open(role: .looker).check().problems.count == 1)
  }

  @Test("failure entries without their records are found")
  func missingPayload() throws {
    try fill()
    try folder.remove("failurePayloads", Key(UInt64(1)))
    #expect(
      try folder.open(role: .looker).check().problems.map(\.what) == ["failure entry 1: its records are missing"])
  }

  @Test("an entry that waits for its delivery and is gone is found")
  func missingEntry() throws {
    try fill()
    for table in ["failures", "failurePayloads"] { try folder.remove(table, Key(UInt64(1))) }
    #expect(
      try folder.open(role: .looker).check().problems.map(\.what)
        == ["failure entry 1 waits for its delivery and is not there"])
  }

  @Test("a bit that flips in the number of the format opens nothing")
  func format() throws {
    try fill()
    try change(.meta, MetaName.format) { $0[0] ^= 4 }
    let error = StoreError.corrupted("table meta, format: its checksum does not match")
    #expect(throws: error) { try folder.open() }
    #expect(throws: error) { try folder.open(role: .looker) }
  }

  @Test("a damaged entry refuses the command that needs it, and no other of its transaction")
  func company() async throws {
    try fill()
    try change(.failureKeys) { $0[0] ^= 4 }
    let store = try folder.open()
    let entry = try failure(in: store)
    let stream = try #require(try store.catalog().stream(named: "orders"))
    let address = ShardAddress.first(of: stream)
    let lane = LaneUpdate(
      key: LaneKey(mapping: MappingNumber(1), address: address), record: LaneRecord(next: RecordIndex(4), payload: []))
    // Given on the writer's thread, both are waiting when it takes the next transaction's entries.
    let (answers, answer) = AsyncStream.makeStream(of: (String, Bool).self)
    store.submit(.appendAudit(AuditEntry(time: folder.now, actor: "", action: "", subject: "", detail: ""))) { _ in
      store.submit(.storeLanes([lane])) { answer.yield(("lane", (try? $0.get()) != nil)) }
      store.submit(.storeFailure(entry)) { answer.yield(("entry", (try? $0.get()) != nil)) }
    }
    var isStored: [String: Bool] = [:]
    for await (name, result) in answers {
      isStored[name] = result
      if isStored.count == 2 { break }
    }
    #expect(isStored == ["lane": true, "entry": false])
    #expect(try store.lane(lane.key)?.next == RecordIndex(4))
  }
}
