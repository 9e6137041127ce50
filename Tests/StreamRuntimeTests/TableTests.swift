import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Stream poller: transactional handlers", .timeLimit(.minutes(10)))
struct TableTests {
  /// Counts the records of each text, each begun.
  private static func count(_ batch: RecordBatch, _ scope: inout TableScope, upTo end: Int? = nil) throws {
    for position in 0..<(end ?? batch.count) {
      try scope.begin(at: position)
      try scope.count(batch[position].dataBytes)
    }
  }

  @Test("what a failed delivery wrote is forgotten, and the retry counts once")
  func retries() async throws {
    let stage = try Stage()
    let poller = try await stage.poller(
      .quick,
      writing: { delivered, batch, scope in
        try Self.count(batch, &scope)
        if delivered.attempt < 3 { throw Refused() }
        return .succeeded
      })
    try await stage.put(["a", "b", "a"])
    #expect(await stage.next(3).map(\.attempt) == [1, 2, 3])
    await poller.end()
    #expect(try stage.counts() == ["a": 2, "b": 1])
    #expect(try stage.stored()?.progress.next == RecordIndex(3))
  }

  @Test("of a batch that is done in part the writes of that part count")
  func parts() async throws {
    let stage = try Stage()
    let poller = try await stage.poller(
      .quick,
      writing: { delivered, batch, scope in
        try Self.count(batch, &scope)
        guard delivered.data.first == "a" else { return .succeeded }
        return .failed(at: batch.sequenceNumber(at: 2))
      })
    try await stage.put(["a", "b", "c", "d"])
    #expect(await stage.next(2).map(\.data) == [["a", "b", "c", "d"], ["c", "d"]])
    await poller.end()
    #expect(try stage.counts() == ["a": 1, "b": 1, "c": 1, "d": 1])
  }

  @Test("a handler that names a record it has not begun has failed, and nothing of it counts")
  func unmarked() async throws {
    let stage = try Stage()
    let poller = try await stage.poller(
      .patient,
      writing: { _, batch, scope in
        try scope.count(batch[0].dataBytes)
        return .failed(at: batch.sequenceNumber(at: 1))
      })
    try await stage.put(["a", "b"])
    _ = await stage.next()
    await poller.end()
    let stored = try stage.stored().unwrapped
    #expect(stored.progress.next == .zero)
    #expect(stored.history.attempts.map(\.type) == ["UnmarkedWrites"])
    #expect(try stage.counts() == [:])
  }

  @Test("a handler that was too late has written nothing")
  func late() async throws {
    let stage = try Stage()
    let gate = Gate()
    let poller = try await stage.poller(
      .quick,
      writing: { delivered, batch, scope in
        try Self.count(batch, &scope)
        if delivered.attempt == 1 { await gate.pass() }
        return .succeeded
      })
    try await stage.put(["a"])
    _ = await stage.next()
    stage.clock.advance(milliseconds: 60_001)
    gate.open()
    #expect(await stage.next()?.attempt == 2)
    await poller.end()
    #expect(try stage.counts() == ["a": 1])
  }

  @Test("a batch that gives up has no effect, and its redrive has it once and takes the entry off the list")
  func redrives() async throws {
    let stage = try Stage()
    let policy = LanePolicy.quick.with { $0.maximumRetryAttempts = 0 }
    let failing = try await stage.poller(
      policy,
      writing: { _, batch, scope in
        try Self.count(batch, &scope)
        throw Refused()
      })
    try await stage.put(["a", "b"])
    _ = await stage.next()
    try await stage.put(["c"])
    _ = await stage.next()
    await failing.end()
    #expect(try stage.counts() == [:])
    let poller = try await stage.poller(
      policy,
      writing: { _, batch, scope in
        try Self.count(batch, &scope)
        return .succeeded
      })
    for entry in try stage.store.failures(limit: 10) { #expect(poller.redrive(entry)) }
    #expect(await stage.next(2).flatMap(\.data) == ["a", "b", "c"])
    await poller.end()
    #expect(try stage.counts() == ["a": 1, "b": 1, "c": 1])
    #expect(try stage.store.failureCount() == 0)
  }

  @Test("a batch reads what those before it wrote, whether or not that is durable")
  func pipelining() async throws {
    let stage = try Stage()
    try await stage.put((0..<2_000).map { "\($0 % 3)" })
    let poller = try await stage.poller(
      .quick.with { $0.batchSize = 1 },
      writing: { _, batch, scope in
        try Self.count(batch, &scope)
        return .succeeded
      })
    _ = await stage.next(2_000)
    await poller.end()
    #expect(try stage.counts() == ["0": 667, "1": 667, "2": 666])
  }

  @Test("entries of a partition key are found whatever the ParallelizationFactor is, and once each")
  func factors() async throws {
    let stage = try Stage()
    for (round, factor) in [1, 4, 3, 1].enumerated() {
      var request = AppendRequest(to: try stage.store.routing(of: "orders"))
      for number in 0..<60 { try request.add(partitionKey: "key \(number % 20)", data: [1]) }
      _ = try await stage.store.append(request)
      let policy = LanePolicy.quick.with { $0.batchSize = 4 }
      let poller = try await stage.poller(
        policy, factor: factor,
        writing: { _, batch, scope in
          for position in 0..<batch.count {
            let owner = TableOwner.partitionKey(of: batch[position])
            try scope.count([1], of: owner)
          }
          return .succeeded
        })
      var delivered = 0
      while delivered < 60, let next = await stage.next() { delivered += next.data.count }
      await poller.end()
      #expect(try stage.entries().map(\.value) == [UInt16](repeating: UInt16(3 * (round + 1)), count: 20))
    }
  }

  @Test("entries of a partition key are found by the shard's children, those of a lane are not")
  func children() async throws {
    let stage = try Stage()
    let policy = LanePolicy.quick.with { $0.batchSize = 1 }
    let poller = try await stage.poller(
      policy,
      writing: { _, batch, scope in
        let owner = TableOwner.partitionKey(of: batch[0])
        try scope.count([1], of: owner)
        try scope.count([2], of: .lane)
        return .succeeded
      })
    func put() async throws {
      var request = AppendRequest(to: try stage.store.routing(of: "orders"))
      for number in 0..<10 { try request.add(partitionKey: "key \(number)", data: [1]) }
      _ = try await stage.store.append(request)
    }
    try await put()
    _ = await stage.next(10)
    try await stage.store.perform(.split(try stage.address(0), at: HashKeyRange.evenly(2)[1].first))
    try await put()
    _ = await stage.next(10)
    await poller.end()
    var (keyed, lanes): ([Int], [Int]) = ([], [])
    for (key, value) in try stage.entries() {
      if case .partitionKey = key.parts?.owner { keyed.append(Int(value)) } else { lanes.append(Int(value)) }
    }
    #expect(keyed == [Int](repeating: 2, count: 10))
    #expect(lanes.count == 3 && lanes.reduce(0, +) == 20)
  }
}

extension TableScope {
  fileprivate mutating func count(_ key: [UInt8], of owner: TableOwner = .lane) throws {
    let former = try get(key, from: "counts", of: owner) ?? [0, 0]
    let count = UInt16(former[0]) << 8 | UInt16(former[1]) + 1
    try put(key, [UInt8(count >> 8), UInt8(count & 255)], into: "counts", of: owner)
  }
}

extension Stage {
  /// The durable entries of all tables of the mapping.
  func entries() throws -> [(key: TableEntryKey, value: UInt16)] {
    let mapping = try store.catalog().mapping(named: "test").unwrapped
    var entries: [(TableEntryKey, UInt16)] = []
    try store.forEachTableEntry(of: mapping.number) { key, value in
      // The mapping's own.
      if key.parts?.table.hasPrefix("#") ?? false { return true }
      entries.append((key, UInt16(value[0]) << 8 | UInt16(value[1])))
      return true
    }
    return entries
  }

  /// What was counted under each text.
  func counts() throws -> [String: UInt16] {
    var counts: [String: UInt16] = [:]
    for (key, value) in try entries() { counts[String(decoding: try key.parts.unwrapped.key, as: UTF8.self)] = value }
    return counts
  }
}
