import Locks
import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Stream poller: blocking by key", .timeLimit(.minutes(10)))
struct BlockingByKeyTests {
  /// Retries come almost at once; batches of ten.
  private static func byKey(records: Int = 100_000, attempts: Int? = nil) -> LanePolicy {
    LanePolicy.quick.with {
      $0.batchSize = 10
      $0.maximumRetryAttempts = attempts
      $0.parking = ParkingPolicy(keyLimit: 10, recordLimit: records, deliveryLimit: 2)
    }
  }

  /// What a handler has done, by key, and the keys that fail.
  private final class Ledger: Sendable {
    private struct State {
      var failing: Set<String>
      var done: [String: [Int]] = [:]
    }
    private let state: Mutex<State>

    init(failing: Set<String>) { state = Mutex(State(failing: failing)) }

    func heal() { state.withLock { $0.failing = [] } }
    func done(_ key: String) -> [Int] { state.withLock { $0.done[key] ?? [] } }

    /// Does the records in order, up to the first whose key fails.
    func work(_ delivered: Delivered, _ batch: RecordBatch, names: Bool) throws -> HandlerOutcome {
      try state.withLock { state in
        for (position, text) in delivered.data.enumerated() {
          let parts = text.split(separator: " ")
          let key = String(parts[0])
          if state.failing.contains(key) {
            if names { return .failed(at: batch.sequenceNumber(at: position)) }
            throw Refused()
          }
          // A batch that fails as a whole has done nothing.
          if names { state.done[key, default: []].append(Int(parts[1]) ?? -1) }
        }
        if !names {
          for text in delivered.data {
            let parts = text.split(separator: " ")
            state.done[String(parts[0]), default: []].append(Int(parts[1]) ?? -1)
          }
        }
        return .succeeded
      }
    }
  }

  @Test("other keys go on while one fails, and its records follow in order", arguments: [true, false])
  func otherKeysGoOn(names: Bool) async throws {
    let stage = try Stage()
    let ledger = Ledger(failing: ["b"])
    let poller = try await stage.poller(Self.byKey()) { try ledger.work($0, $1, names: names) }
    try await stage.put(keys: ["a", "b", "c"], 0..<100)
    try await until { ledger.done("a").count == 100 && ledger.done("c").count == 100 }
    #expect(ledger.done("b").isEmpty)
    ledger.heal()
    try await until { ledger.done("b").count == 100 }
    // With the key settled, batches are what they are where nothing is parked.
    try await stage.put(keys: ["a", "b", "c"], 100..<120)
    try await until { ["a", "b", "c"].allSatisfy { ledger.done($0).count == 120 } }
    #expect(["a", "b", "c"].allSatisfy { ledger.done($0) == Array(0..<120) })
    await poller.end()
    let stored = try #require(try stage.stored())
    #expect(stored.progress.next == RecordIndex(360) && !stored.progress.parksKeys)
  }

  @Test("checkpoint and parked records are durable together: the next process goes on with both")
  func restart() async throws {
    let stage = try Stage()
    let ledger = Ledger(failing: ["b"])
    let first = try await stage.poller(Self.byKey()) { try ledger.work($0, $1, names: true) }
    try await stage.put(keys: ["a", "b"], 0..<50)
    try await until { ledger.done("a").count == 50 }
    await first.end()
    let stored = try #require(try stage.stored())
    #expect(stored.progress.next == RecordIndex(100) && stored.progress.parksKeys)
    let mapping = try stage.store.catalog().mapping(named: "test").unwrapped
    let parked = try stage.store.parkedKeys(of: LaneKey(mapping: mapping.number, address: try stage.address(0)))
    #expect(parked.count == 1 && parked[0].ranges.reduce(0) { $0 + $1.count } == 50)
    ledger.heal()
    let second = try await stage.poller(Self.byKey()) { try ledger.work($0, $1, names: true) }
    try await until { ledger.done("b").count == 50 }
    await second.end()
    #expect(ledger.done("a") == Array(0..<50) && ledger.done("b") == Array(0..<50))
    #expect(try stage.store.parkedKeys(of: LaneKey(mapping: mapping.number, address: try stage.address(0))).isEmpty)
    #expect(try stage.store.check().problems == [])
  }

  @Test("a key whose attempts are used up leaves record after record, each with its attempts")
  func exhausted() async throws {
    let stage = try Stage()
    let ledger = Ledger(failing: ["b"])
    let poller = try await stage.poller(Self.byKey(attempts: 1)) { try ledger.work($0, $1, names: true) }
    try await stage.put(keys: ["a", "b"], 0..<3)
    try await until { try stage.store.failureCount() == 3 }
    await poller.end()
    let entries = try stage.store.failures(limit: 10)
    #expect(entries.map(\.firstIndex) == [RecordIndex(1), RecordIndex(3), RecordIndex(5)])
    #expect(entries.allSatisfy { $0.count == 1 && $0.attempts == 2 })
    // The first was named in a batch with others, and then failed alone.
    #expect(entries.map { entry in entry.history.last?.batch?.count } == [1, 1, 1])
    #expect(entries[0].history.map(\.batch?.count) == [6, 1])
    #expect(entries.allSatisfy { $0.events.first?.kind == .parked })
    #expect(ledger.done("a") == [0, 1, 2])
  }

  @Test("at the limit of parked records the lane waits, and goes on when the key does")
  func recordLimit() async throws {
    let stage = try Stage()
    let ledger = Ledger(failing: ["b"])
    let poller = try await stage.poller(Self.byKey(records: 5)) { try ledger.work($0, $1, names: true) }
    try await stage.put(keys: ["a", "b"], 0..<50)
    try await until {
      poller.look(at: "test")?[ShardNumber(0)]?.first?.snapshot.state == .holdingForKeys
    }
    #expect(poller.look(at: "test")?[ShardNumber(0)]?.first?.snapshot.parkedRecordCount == 5)
    #expect(ledger.done("a").count <= 7)
    ledger.heal()
    try await until { ledger.done("b").count == 50 && ledger.done("a").count == 50 }
    #expect(ledger.done("b") == Array(0..<50))
    await poller.end()
  }

  @Test("parked records that retention removes are counted as lost, and the key goes on behind them")
  func trimmed() async throws {
    let stage = try Stage()
    let ledger = Ledger(failing: ["b"])
    let policy = Self.byKey().with { $0.retryBackoff = LanePolicy.patient.retryBackoff }
    let poller = try await stage.poller(policy) { try ledger.work($0, $1, names: true) }
    try await stage.put(keys: ["a", "b"], 0..<10)
    try await until { ledger.done("a").count == 10 }
    try await stage.empty("orders")
    ledger.heal()
    try await stage.put(keys: ["a", "b"], 10..<20)
    #expect(poller.order({ .retryRequested($0) }, mapping: "test", shard: ShardNumber(0)))
    try await until { ledger.done("b").count == 10 && ledger.done("a").count == 20 }
    #expect(ledger.done("b") == Array(10..<20))
    await poller.end()
    #expect(try stage.stored()?.progress.lostToRetention == 10)
  }
}
