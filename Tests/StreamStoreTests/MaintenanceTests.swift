import StreamModel
@testable import StreamStore
import Testing

@Suite("StreamStore: trimming, deleting, merging", .timeLimit(.minutes(10)))
struct MaintenanceTests {
  let folder = TemporaryStore()

  @Test("a trim stops at its limit and says that more remain")
  func trimLimit() throws {
    let store = try folder.open { $0.mergesSmallBlocks = false }
    let stream = try store.create()
    for number in 0..<10 { try store.append(number..<(number + 1), to: stream.number) }
    let cutoff = TrimOrder.Cutoff(address: .first(of: stream), arrivedBefore: .distantFuture)
    func trim(_ limit: Int) throws -> TrimAnswer? {
      guard
        case .trimmed(let answer) = try store.performBlocking(.trim(TrimOrder(cutoffs: [cutoff], blockLimit: limit)))
      else { return nil }
      return answer
    }
    #expect(try trim(4) == TrimAnswer(removedRecords: 4, removedBlocks: 4, moreRemain: true))
    #expect(try trim(6) == TrimAnswer(removedRecords: 6, removedBlocks: 6, moreRemain: false))
    #expect(try store.shardBounds(.first(of: stream)).firstAvailable == RecordIndex(10))
  }

  @Test("small neighbours become one block, with every record and arrival as before")
  func merging() async throws {
    let (steps, continuation) = AsyncStream.makeStream(of: Void.self)
    let store = try folder.open { $0.afterBackgroundStep = { continuation.yield() } }
    let stream = try store.create()
    let address = ShardAddress.first(of: stream)
    for number in 0..<100 {
      folder.now = folder.now.adding(milliseconds: 7)
      try store.append(number..<(number + 1), to: stream.number)
    }
    let arrivals = try (0..<100 as Range<UInt64>).map { try store.arrival(of: RecordIndex($0), in: address) }
    for await _ in steps where try store.check().blocks < 40 { break }
    #expect(try store.marks(address) == Array(0..<100))
    #expect(try (0..<100 as Range<UInt64>).map { try store.arrival(of: RecordIndex($0), in: address) } == arrivals)
    #expect(try store.marks(address, from: 37) == Array(37..<100))
    #expect(try store.check().problems.isEmpty)
  }

  @Test("small blocks that an earlier run left become larger ones, shard by shard, and large ones stay as they are")
  func mergingOld() async throws {
    let streams: [StreamInfo]
    do {
      let store = try folder.open { $0.mergesSmallBlocks = false }
      streams = [try store.create("first"), try store.create("second"), try store.create("third")]
      // The pile of the first lies around a large block; that of the third is too small to be worth it.
      for number in 0..<60 { try store.append(number..<(number + 1), to: streams[0].number) }
      try store.append(60..<61, to: streams[0].number, byteCount: 100_000)
      for number in 61..<101 { try store.append(number..<(number + 1), to: streams[0].number) }
      for number in 0..<700 { try store.append(number..<(number + 1), to: streams[1].number) }
      for number in 0..<20 { try store.append(number..<(number + 1), to: streams[2].number) }
    }
    let (steps, continuation) = AsyncStream.makeStream(of: Void.self)
    let store = try folder.open { $0.afterBackgroundStep = { continuation.yield() } }
    // Three blocks of the first, one of the second that grew, and the third's.
    for await _ in steps where try store.check().blocks <= 3 + 20 + 31 { break }
    #expect(try store.marks(.first(of: streams[0])) == Array(0...100))
    #expect(try store.marks(.first(of: streams[1])) == (0..<700).map { UInt8(truncatingIfNeeded: $0) })
    #expect(try store.marks(.first(of: streams[2])) == Array(0..<20))
    let report = try store.check()
    #expect(report.problems.isEmpty && report.records == 101 + 700 + 20)
  }

  @Test("what came while the walk was under way is kept, and a store without small blocks is left alone")
  func mergingBeside() async throws {
    let stream: StreamInfo
    do {
      let store = try folder.open { $0.mergesSmallBlocks = false }
      stream = try store.create()
      for number in 0..<100 { try store.append(number..<(number + 1), to: stream.number) }
    }
    let (steps, continuation) = AsyncStream.makeStream(of: Void.self)
    let store = try folder.open { $0.afterBackgroundStep = { continuation.yield() } }
    for number in 100..<250 { try store.append(number..<(number + 1), to: stream.number) }
    for await _ in steps where try store.check().blocks < 64 { break }
    #expect(try store.marks(.first(of: stream)) == (0..<250).map { UInt8($0) })
    #expect(try store.check().problems.isEmpty)
  }

  @Test("a deleted stream leaves nothing behind")
  func deleting() async throws {
    let (steps, continuation) = AsyncStream.makeStream(of: Void.self)
    let store = try folder.open {
      $0.mergesSmallBlocks = false
      $0.afterBackgroundStep = { continuation.yield() }
    }
    let stream = try store.create(shards: 2)
    let other = try store.create("other")
    try store.append(0..<5, to: other.number)
    for number in 0..<400 { try store.append(number..<(number + 1), to: stream.number) }
    try store.performBlocking(.deleteStream(stream.number))
    #expect(try store.catalog().stream(named: "orders") == nil)
    for await _ in steps where try store.catalog().streams[stream.number] == nil { break }
    #expect(throws: StoreError.noSuchShard(.first(of: stream))) { try store.shard(.first(of: stream)) }
    #expect(try store.marks(.first(of: other)) == [0, 1, 2, 3, 4])
    #expect(try store.check().blocks == 1)
  }

  @Test("deleting a stream goes on after it was interrupted")
  func deletingAgain() async throws {
    let stream: StreamInfo
    do {
      let store = try folder.open { $0.mergesSmallBlocks = false }
      stream = try store.create()
      for number in 0..<600 { try store.append(number..<(number + 1), to: stream.number) }
      try store.performBlocking(.deleteStream(stream.number))
    }
    let (steps, continuation) = AsyncStream.makeStream(of: Void.self)
    let store = try folder.open { $0.afterBackgroundStep = { continuation.yield() } }
    // The first writer may have come to the end of it before it was closed.
    if try store.catalog().streams[stream.number] != nil {
      for await _ in steps where try store.catalog().streams[stream.number] == nil { break }
    }
    #expect(try store.create().number > stream.number)
  }
}

@Suite("StreamStore: positions")
struct PositionTests {
  let folder = TemporaryStore()

  @Test("a timestamp finds the first record that arrived then or later", arguments: [true, false])
  func timestamps(merges: Bool) throws {
    let store = try folder.open { $0.mergesSmallBlocks = merges }
    let stream = try store.create()
    let address = ShardAddress.first(of: stream)
    let start = folder.now
    var arrivals: [Int64] = []
    var random = SystemRandomNumberGenerator()
    for number in 0..<80 {
      folder.now = folder.now.adding(milliseconds: Int64(random.next(upperBound: UInt64(4))))
      let count = 1 + Int(random.next(upperBound: UInt64(3)))
      try store.append(number..<(number + count), to: stream.number)
      arrivals += Array(repeating: folder.now.milliseconds - start.milliseconds, count: count)
    }
    for moment in -1...(arrivals.last! + 1) {
      let expected = arrivals.firstIndex { $0 >= moment } ?? arrivals.count
      let found = try store.index(for: .atTimestamp(start.adding(milliseconds: moment)), in: address)
      #expect(found.rawValue == UInt64(expected))
    }
  }

  @Test("sequence numbers, the horizon and the end give their indexes")
  func others() throws {
    let store = try folder.open { $0.mergesSmallBlocks = false }
    let stream = try store.create()
    let address = ShardAddress.first(of: stream)
    for number in 0..<10 {
      folder.now = folder.now.adding(milliseconds: 10)
      try store.append(number..<(number + 1), to: stream.number)
    }
    let cutoff = TrimOrder.Cutoff(address: address, arrivedBefore: folder.now.adding(milliseconds: -45))
    try store.performBlocking(.trim(TrimOrder(cutoffs: [cutoff])))
    let shard = try store.shard(address)
    #expect(shard.firstAvailable == RecordIndex(5))
    let number = shard.sequenceNumber(of: RecordIndex(7))
    let gone = shard.sequenceNumber(of: RecordIndex(2))
    #expect(try store.index(for: .trimHorizon, in: address) == RecordIndex(5))
    #expect(try store.index(for: .latest, in: address) == RecordIndex(10))
    #expect(try store.index(at: number, in: address) == RecordIndex(7))
    #expect(try store.index(after: number, in: address) == RecordIndex(8))
    #expect(try store.index(after: gone, in: address) == RecordIndex(5))
    let foreign = SequenceNumber(shardCreatedAtSeconds: 1, shard: ShardNumber(0), index: RecordIndex(7))
    #expect(throws: StoreError.self) { try store.index(at: foreign, in: address) }
    #expect(try store.arrival(of: RecordIndex(9), in: address) == folder.now)
    #expect(try store.arrival(of: RecordIndex(2), in: address) == nil)
    #expect(try store.arrival(of: RecordIndex(10), in: address) == nil)
  }
}

@Suite("StreamStore: small entries")
struct EntryTests {
  let folder = TemporaryStore()

  @Test("a failure entry keeps its history and its redrives")
  func failures() throws {
    let store = try folder.open()
    let stream = try store.create()
    let address = ShardAddress.first(of: stream)
    try store.append(0..<5, to: stream.number)
    guard
      case .records(let found) = try store.read(
        address, from: .zero, countLimit: 5, payloadByteLimit: 1 << 20, recordOverheadBytes: 0)
    else {
      Issue.record("the records cannot be read")
      return
    }
    let attempt = AttemptRecord(
      startedAt: WallTime(milliseconds: 1), durationMilliseconds: 2, kind: .timedOut, type: "Sandbox.Timedout",
      message: "after 3 s", trace: ["a", "b"], requestID: "id")
    var summary = FailureSummary(
      mapping: MappingNumber(1), mappingName: "m", streamName: "orders", address: address, shardCreatedAtSeconds: 9,
      firstIndex: RecordIndex(1), lastIndex: RecordIndex(3), firstArrival: folder.now, lastArrival: folder.now,
      condition: .retryAttemptsExhausted, attempts: 3, history: [attempt, attempt], createdAt: folder.now)
    guard
      case .number(let number) = try store.performBlocking(
        .storeFailure(NewFailure(summary: summary, run: found.run, range: 1..<4)))
    else {
      Issue.record("a failure entry has no number")
      return
    }
    summary.number = number
    #expect(try store.failures(limit: 10) == [summary])
    summary.redrives = 2
    summary.lastRedrive = RedriveOutcome(endedAt: folder.now, succeeded: false, message: "again")
    var redrive = attempt
    redrive.batch = AttemptedBatch(first: RecordIndex(1), last: RecordIndex(3), count: 3, position: nil)
    redrive.redriver = "ada"
    redrive.rule = "rule"
    var larger = attempt
    larger.batch = AttemptedBatch(first: .zero, last: RecordIndex(9), count: 10, position: 1)
    summary.history = [larger, attempt, redrive]
    summary.attemptsOmitted = 4
    for number in 0..<30 {
      summary.add(
        RecordEvent(
          RecordEvent.Kind.allCases[number % 3], at: WallTime(milliseconds: Int64(number)),
          actor: number % 2 == 0 ? nil : "ada"))
    }
    #expect(summary.events.map(\.at.milliseconds) == [0] + Array(11..<30))
    try store.performBlocking(.updateFailure(summary))
    let entry = try #require(try store.failure(number))
    #expect(entry.summary == summary)
    #expect(entry.records.count == 3)
    #expect(entry.records.arrival(at: 2) == folder.now)
    #expect(try store.check().problems.isEmpty)
    try store.performBlocking(.deleteFailure(number))
    #expect(try store.failureCount() == 0)
  }

  @Test("audit entries come newest first")
  func audit() throws {
    let store = try folder.open()
    let entries = (0..<5).map { number in
      AuditEntry(
        time: WallTime(milliseconds: Int64(number)), actor: "console", action: "pause", subject: "m/\(number)",
        detail: "")
    }
    for entry in entries { try store.performBlocking(.appendAudit(entry)) }
    let newest = try store.audit(limit: 2)
    #expect(newest.map(\.1) == [entries[4], entries[3]])
    #expect(try store.audit(before: newest[1].number, limit: 10).map(\.1) == [entries[2], entries[1], entries[0]])
  }

  @Test("a mapping keeps its number, and deleting it removes its lanes")
  func mappings() async throws {
    let store = try folder.open()
    let stream = try store.create()
    let first = try await store.storeMapping(name: "m", settings: [1])
    let again = try await store.storeMapping(name: "m", settings: [2])
    #expect(again.number == first.number)
    let key = LaneKey(mapping: first.number, address: .first(of: stream))
    try await store.perform(.storeLanes([LaneUpdate(key: key, record: LaneRecord(next: .zero, payload: [7]))]))
    #expect(try store.lanes(of: first.number) == [key: LaneRecord(next: .zero, payload: [7])])
    try await store.perform(.deleteMapping(first.number))
    #expect(try store.lanes(of: first.number).isEmpty)
    #expect(try await store.storeMapping(name: "m", settings: []).number > first.number)
  }
}
