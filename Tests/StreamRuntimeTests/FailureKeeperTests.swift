import Locks
import Logging
import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Failure entries expire", .timeLimit(.minutes(10)))
struct FailureKeeperTests {
  private static let day: Int64 = 86_400_000
  private let stage: Stage
  private let clock = DayClock()
  private let keeper: FailureKeeper

  init() throws {
    stage = try Stage()
    let clock = clock
    keeper = FailureKeeper(
      store: stage.store, clock: { clock.now }, entryLimit: 2,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// A mapping whose entries are kept for so long.
  @discardableResult
  private func mapping(_ name: String, keeps retention: FailureRetention = .ofStore) throws -> MappingInfo {
    var settings = MappingSettings(stream: try stage.stream.number, policy: LanePolicy())
    settings.failureRetention = retention
    let answer = try stage.store.performBlocking(.storeMapping(name: name, settings: settings.encoded()))
    guard case .mapping(let mapping) = answer else { throw Refused() }
    return mapping
  }

  /// Stores an entry of one new record that was made on the day; its number.
  @discardableResult
  private func give(up mapping: MappingInfo, on day: Int64) async throws -> UInt64 {
    try await stage.put(["text"])
    let address = try stage.address(0)
    let index = try RecordIndex(stage.store.shardBounds(address).end.rawValue - 1)
    guard
      case .records(let found) = try stage.store.read(
        address, from: index, countLimit: 1, payloadByteLimit: 1 << 20, recordOverheadBytes: 0)
    else { throw Refused() }
    let entry = FailureSummary(
      mapping: mapping.number, mappingName: mapping.name, streamName: "orders", address: address,
      shardCreatedAtSeconds: 0, firstIndex: index, lastIndex: index, firstArrival: .zero, lastArrival: .zero,
      condition: .skipped, attempts: 0, history: [], createdAt: DayClock.wall(day))
    let answer = try stage.store.performBlocking(
      .storeFailure(NewFailure(summary: entry, run: found.run, range: 0..<1)))
    guard case .number(let number) = answer else { throw Refused() }
    return number
  }

  /// The numbers of the entries that are there.
  private var entries: [UInt64] {
    get throws { try stage.store.failures(limit: 100).map(\.number) }
  }

  /// The audit, oldest first.
  private var audit: [String] {
    get throws {
      try stage.store.audit(limit: 100).reversed().map {
        "\($0.1.actor) \($0.1.action) \($0.1.subject): \($0.1.detail)"
      }
    }
  }

  private func keep(for days: Int64?) throws {
    try stage.store.performBlocking(.setFailureRetention(milliseconds: days.map { $0 * Self.day }))
  }

  @Test("as long as nobody says for how long, entries stay for ever")
  func forever() async throws {
    try await give(up: mapping("orders"), on: 0)
    clock.pass(days: 40_000)
    await keeper.removeExpired()
    #expect(try entries == [1])
    #expect(try audit.isEmpty)
  }

  @Test("what is older goes in steps, each with its audit entry; what is as old stays until it is older")
  func inSteps() async throws {
    let mapping = try mapping("orders")
    for day in [0, 1, 2, 5] as [Int64] { try await give(up: mapping, on: day) }
    try keep(for: 14)
    clock.pass(days: 14)
    await keeper.removeExpired()
    #expect(try entries == [1, 2, 3, 4])
    clock.pass(days: 3)
    await keeper.removeExpired()
    #expect(try entries == [4])
    #expect(
      try audit == [
        "retention expire orders: 2 entries, 1 to 2: older than 14d (failures.keepFor)",
        "retention expire orders: entry 3: older than 14d (failures.keepFor)",
      ])
    #expect(try stage.store.failureCounts() == [mapping.number: 1])
    #expect(try stage.store.oldestFailureTimes() == [mapping.number: DayClock.wall(5)])
    #expect(try stage.store.check().problems.isEmpty)
  }

  @Test("what a mapping says counts more than what the store says, in both directions, and ends with the mapping")
  func ofMapping() async throws {
    let quick = try mapping("quick", keeps: .milliseconds(2 * Self.day))
    let never = try mapping("never", keeps: .forever)
    let usual = try mapping("usual")
    for mapping in [quick, never, usual] { try await give(up: mapping, on: 0) }
    clock.pass(days: 3)
    await keeper.removeExpired()
    #expect(try entries == [2, 3])
    #expect(try audit == ["retention expire quick: entry 1: older than 2d (onFailure.keepFor)"])
    try keep(for: 1)
    await keeper.removeExpired()
    #expect(try entries == [2])
    // The entries of a mapping outlive it, and then only the store can say for how long.
    try stage.store.performBlocking(.deleteMapping(never.number))
    await keeper.removeExpired()
    #expect(try entries.isEmpty)
    #expect(try audit.last == "retention expire never: entry 2: older than 1d (failures.keepFor)")
  }

  @Test("the setting changes while entries wait, and a keeper that begins finds what is due")
  func changes() async throws {
    let orders = try mapping("orders")
    for day in [0, 5] as [Int64] { try await give(up: orders, on: day) }
    clock.pass(days: 10)
    try keep(for: 7)
    await keeper.removeExpired()
    #expect(try entries == [2])
    try keep(for: nil)
    clock.pass(days: 10)
    await keeper.removeExpired()
    #expect(try entries == [2])
    try mapping("orders", keeps: .milliseconds(Self.day))
    await keeper.removeExpired()
    #expect(try entries.isEmpty)
  }

  @Test(
    "a clock that is set ahead removes nothing for an hour, then what it says; one that is set back removes nothing")
  func stepsAhead() async throws {
    let orders = try mapping("orders")
    for day in [0, 3] as [Int64] { try await give(up: orders, on: day) }
    try keep(for: 14)
    await keeper.removeExpired()
    clock.step(days: 300)
    await keeper.removeExpired()
    clock.pass(milliseconds: 3_599_999)
    await keeper.removeExpired()
    #expect(try entries == [1, 2])
    // Somebody saw it.
    clock.step(days: -300)
    await keeper.removeExpired()
    clock.step(days: 15)
    await keeper.removeExpired()
    clock.pass(milliseconds: 3_600_000)
    await keeper.removeExpired()
    #expect(try entries == [2])
  }

  @Test("a redrive keeps its entry, but not one that was asked for before the worker began: it ended with that one")
  func redriven() async throws {
    let orders = try mapping("orders")
    for _ in 0..<2 { try await give(up: orders, on: 0) }
    try keep(for: 1)
    clock.pass(days: 2)
    for (number, day) in [(1, -1), (2, 1)] as [(UInt64, Int64)] {
      var summary = try stage.store.failureSummary(number).unwrapped
      summary.add(RecordEvent(.redriven, at: DayClock.wall(day), actor: "test"))
      try stage.store.performBlocking(.updateFailure(summary))
    }
    await keeper.removeExpired()
    #expect(try entries == [2])
  }

  @Test(
    "what is stored of a mapping says how long its entries are kept",
    arguments: [.ofStore, .forever, .milliseconds(60_000)] as [FailureRetention])
  func stored(retention: FailureRetention) throws {
    var settings = MappingSettings(stream: StreamNumber(1), policy: LanePolicy())
    settings.failureRetention = retention
    #expect(MappingSettings(decoding: settings.encoded()) == settings)
  }
}

/// Two clocks that stand still until a test says something else. Day 0 is when the keeper begins.
private final class DayClock: Sendable {
  private let state = Mutex((monotonic: Int64(0), wall: DayClock.wall(0).milliseconds))

  static func wall(_ day: Int64) -> WallTime { WallTime(milliseconds: 1_700_000_000_000 + day * 86_400_000) }

  var now: Now {
    state.withLock {
      Now(monotonic: MonotonicTime(nanoseconds: $0.monotonic * 1_000_000), wall: WallTime(milliseconds: $0.wall))
    }
  }

  func pass(milliseconds: Int64) {
    state.withLock {
      $0.monotonic += milliseconds
      $0.wall += milliseconds
    }
  }

  func pass(days: Int64) { pass(milliseconds: days * 86_400_000) }

  /// Somebody sets the wall clock.
  func step(days: Int64) { state.withLock { $0.wall += days * 86_400_000 } }
}
