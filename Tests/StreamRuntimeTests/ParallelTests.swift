import Locks
import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

/// Several lanes of a mapping share a shard.
@Suite("Stream poller: ParallelizationFactor", .timeLimit(.minutes(10)))
struct ParallelTests {
  private static let keys = (0..<24).map { "key-\($0)" }

  /// What each key must have been delivered: its records in order, each once.
  private static func expectEachOnce(
    _ deliveries: [Delivered], keys: [String], _ numbers: Range<Int>, _ location: SourceLocation = #_sourceLocation
  ) {
    var numbersOfKey: [String: [Int]] = [:]
    for text in deliveries.flatMap(\.data) {
      let parts = text.split(separator: " ")
      numbersOfKey[String(parts[0]), default: []].append(Int(parts[1]) ?? -1)
    }
    for key in keys { #expect(numbersOfKey[key] == Array(numbers), "\(key)", sourceLocation: location) }
    #expect(numbersOfKey.count == keys.count, sourceLocation: location)
  }

  /// Waits for so many records of the stage's deliveries.
  private static func take(_ count: Int, from stage: Stage) async -> [Delivered] {
    var deliveries: [Delivered] = []
    var taken = 0
    while taken < count, let delivered = await stage.next() {
      deliveries.append(delivered)
      taken += delivered.data.count
    }
    return deliveries
  }

  private static func isPoisoned(_ delivered: Delivered) -> Bool {
    delivered.data.contains { $0.hasPrefix("poison ") }
  }

  @Test("each key's records come in order, each once, and every lane ends at the end", arguments: [2, 4, 10])
  func orderPerKey(factor: Int) async throws {
    let stage = try Stage()
    try await stage.put(keys: Self.keys, 0..<10)
    let poller = try await stage.poller(.quick.with { $0.batchSize = 7 }, factor: factor)
    try await stage.put(keys: Self.keys, 10..<20)
    Self.expectEachOnce(await Self.take(Self.keys.count * 20, from: stage), keys: Self.keys, 0..<20)
    await poller.end()
    let again = try await stage.poller(factor: factor)
    try await stage.put(keys: Self.keys, 20..<21)
    Self.expectEachOnce(await Self.take(Self.keys.count, from: stage), keys: Self.keys, 20..<21)
    await again.end()
    for slot in 0..<factor { #expect(try stage.stored(slot: UInt8(slot))?.sharing.factor == factor) }
  }

  @Test("as many batches of a shard are in flight as it has lanes")
  func inFlightTogether() async throws {
    let stage = try Stage()
    try await stage.put(keys: Self.keys, 0..<1)
    let gate = Gate()
    let poller = try await stage.poller(factor: 4) { _, _ in
      await gate.pass()
      return .succeeded
    }
    #expect(await stage.next(4).count == 4)
    gate.open()
    await poller.end()
    Self.expectEachOnce(stage.all, keys: Self.keys, 0..<1)
  }

  @Test("a poisoned key holds up its lane alone; what is behind it comes when it is healed")
  func poison() async throws {
    let stage = try Stage()
    let keys = Self.keys + ["poison"]
    try await stage.put(keys: keys, 0..<5)
    let policy = LanePolicy.patient.with { $0.batchSize = 1 }
    let poller = try await stage.poller(policy, factor: 4) { delivered, _ in
      if Self.isPoisoned(delivered) { throw Refused() }
      return .succeeded
    }
    let look = { try #require(poller.look(at: "test")?[ShardNumber(0)]) }
    while try look().count(where: { $0.snapshot.state == .idle }) < 3 {
      try Task.checkCancellation()
      await Task.yield()
    }
    let blocked = try look().enumerated().filter { $0.element.snapshot.state != .idle }
    #expect(blocked.map(\.element.snapshot.state) == [.backingOff])
    await poller.end()
    // The other lanes are at the end, and this one is at the poisoned record.
    let slot = try #require(blocked.first?.offset)
    #expect(try stage.stored(slot: UInt8(slot))?.progress.next == RecordIndex(24))
    for other in 0..<4 where other != slot {
      #expect(try stage.stored(slot: UInt8(other))?.progress.next == RecordIndex(125))
    }
    stage.clock.advance(milliseconds: 4_000_000)
    let healed = try await stage.poller(policy, factor: 4)
    while try #require(healed.look(at: "test")?[ShardNumber(0)]).contains(where: { $0.snapshot.state != .idle }) {
      try Task.checkCancellation()
      await Task.yield()
    }
    await healed.end()
    let failed = stage.all.filter { Self.isPoisoned($0) && $0.attempt == 1 }
    Self.expectEachOnce(stage.all.filter { !failed.contains($0) || $0.data != ["poison 0"] }, keys: keys, 0..<5)
  }

  @Test("a batch that gives up takes its lane's records along and no others, and is redriven to that lane")
  func givesUp() async throws {
    let stage = try Stage()
    let keys = Self.keys + ["poison"]
    try await stage.put(keys: keys, 0..<3)
    let policy = LanePolicy.quick.with { $0.maximumRetryAttempts = 0 }
    let poller = try await stage.poller(policy, factor: 4) { delivered, _ in
      if Self.isPoisoned(delivered) { throw Refused() }
      return .succeeded
    }
    Self.expectEachOnce(await Self.take(keys.count * 3, from: stage), keys: keys, 0..<3)
    await poller.end()
    let entry = try #require(try stage.store.failures(limit: 10).first)
    let failed = try #require(stage.all.first(where: Self.isPoisoned))
    #expect(entry.count == failed.data.count)
    #expect(entry.count < keys.count * 3)
    let second = try await stage.poller(policy, factor: 4)
    #expect(second.redrive(entry, slot: 3))
    #expect(await stage.next()?.data == failed.data)
    await second.end()
  }

  @Test("children of a shard wait for all lanes of their parent")
  func family() async throws {
    let stage = try Stage()
    let keys = Self.keys + ["poison"]
    try await stage.put(keys: keys, 0..<2)
    _ = try await stage.store.perform(.split(try stage.address(0), at: HashKey(.max / 2 + 1)))
    try await stage.put(keys: keys, 2..<4)
    let isHealed = Mutex(false)
    let policy = LanePolicy.patient.with { $0.batchSize = 1 }
    let poller = try await stage.poller(policy, factor: 3) { delivered, _ in
      if delivered.data == ["poison 0"], !isHealed.withLock({ $0 }) { throw Refused() }
      return .succeeded
    }
    let look = { try #require(poller.look(at: "test")) }
    while try #require(try look()[ShardNumber(0)]).count(where: { $0.snapshot.state == .finished }) < 2 {
      try Task.checkCancellation()
      await Task.yield()
    }
    for child in 1...2 {
      let lanes = try #require(try look()[ShardNumber(UInt32(child))])
      #expect(lanes.map(\.snapshot.state) == [.waitingForParents, .waitingForParents, .waitingForParents])
    }
    isHealed.withLock { $0 = true }
    let lanes = try #require(try look()[ShardNumber(0)])
    let blocked = try #require(lanes.firstIndex { $0.snapshot.state == .backingOff })
    #expect(poller.order({ .retryRequested($0) }, mapping: "test", shard: ShardNumber(0), slot: blocked))
    _ = await Self.take(keys.count * 4 + 1, from: stage)
    await poller.end()
    let failed = stage.all.firstIndex { $0.data == ["poison 0"] }
    Self.expectEachOnce(
      stage.all.enumerated().filter { $0.offset != failed }.map(\.element), keys: keys, 0..<4)
  }

  /// Runs with each factor in turn, ending each time with the poisoned key in the way, and then healed: nothing is
  /// skipped, nothing that was done comes again, and each key stays in order.
  @Test(
    "the factor changes while a key is poisoned",
    arguments: [[4, 10], [10, 3], [1, 4], [4, 1], [2, 3, 2, 5, 3, 1, 7]])
  func changes(factors: [Int]) async throws {
    let stage = try Stage()
    let keys = Self.keys + ["poison"]
    let policy = LanePolicy.patient.with { $0.batchSize = 2 }
    for (round, factor) in factors.enumerated() {
      try await stage.put(keys: keys, round * 3..<round * 3 + 3)
      let poller = try await stage.poller(policy, factor: factor) { delivered, _ in
        if Self.isPoisoned(delivered) { throw Refused() }
        return .succeeded
      }
      while try #require(poller.look(at: "test")?[ShardNumber(0)]).contains(where: { !$0.isAtRest }) {
        try Task.checkCancellation()
        await Task.yield()
      }
      await poller.end()
    }
    stage.clock.advance(milliseconds: 4_000_000)
    let last = try #require(factors.last)
    let healed = try await stage.poller(policy, factor: last)
    while try #require(healed.look(at: "test")?[ShardNumber(0)]).contains(where: { $0.snapshot.state != .idle }) {
      try Task.checkCancellation()
      await Task.yield()
    }
    await healed.end()
    let succeeded = stage.all.enumerated().filter { place, delivered in
      !Self.isPoisoned(delivered) || place > (stage.all.lastIndex { $0.data.contains("poison 0") } ?? 0) - 1
    }
    Self.expectEachOnce(succeeded.map(\.element), keys: keys, 0..<factors.count * 3)
    // The lanes are beyond what the former ones had done, and have forgotten it.
    for slot in 0..<last {
      #expect(try stage.stored(slot: UInt8(slot))?.sharing == LaneSharing(factor: last))
    }
    #expect(try stage.stored(slot: UInt8(last)) == nil)
  }

  @Test("where one lane was paused, all lanes of another factor are")
  func pausedThenChanged() async throws {
    let stage = try Stage()
    let first = try await stage.poller(factor: 3)
    #expect(first.order({ .pauseRequested($0) }, mapping: "test", shard: ShardNumber(0), slot: 1))
    await first.end()
    let second = try await stage.poller(factor: 2)
    let lanes = try #require(second.look(at: "test")?[ShardNumber(0)])
    #expect(lanes.map(\.snapshot.state) == [.paused, .paused])
    await second.end()
  }

  @Test("LATEST begins at the next record in every lane")
  func latest() async throws {
    let stage = try Stage()
    try await stage.put(keys: Self.keys, 0..<1)
    let poller = try await stage.poller(start: .latest, factor: 5)
    try await stage.put(keys: Self.keys, 1..<2)
    Self.expectEachOnce(await Self.take(Self.keys.count, from: stage), keys: Self.keys, 1..<2)
    await poller.end()
  }

  @Test("the lane that has a record is found by its partition key")
  func owner() async throws {
    let stage = try Stage()
    let poller = try await stage.poller(factor: 4)
    try await stage.put(keys: ["a"], 0..<1)
    _ = await stage.next()
    // Those that do not have it pass it.
    try await until {
      try !(0..<4).contains(where: { try stage.stored(slot: UInt8($0))?.progress.next != RecordIndex(1) })
    }
    await poller.end()
    #expect(poller.slot(ofPartitionKey: 7, mapping: "test", shard: ShardNumber(0)) == 3)
    #expect(poller.slot(ofPartitionKey: 7, mapping: "test", shard: ShardNumber(1)) == nil)
  }
}

extension LaneLook {
  /// The lane has done what it can: it is caught up, or waits for a retry that does not come.
  fileprivate var isAtRest: Bool { snapshot.state == .idle || snapshot.state == .backingOff }
}
