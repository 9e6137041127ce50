import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@testable import StreamRuntime

@Suite("Stream poller: the story of failing records", .timeLimit(.minutes(10)))
struct BiographyTests {
  private static let isolating = LanePolicy.patient.with {
    $0.bisectsBatchOnError = true
    $0.maximumRetryAttempts = 1
  }

  /// Fails batches that hold "bad".
  private static let picky: Stage.Body = { delivered, _ in
    if delivered.data.contains("bad") { throw Refused() }
    return .succeeded
  }

  /// `FIRST-LAST of COUNT at POSITION` for each attempt.
  private func batches(_ attempts: [AttemptRecord]) -> [String] {
    attempts.map { attempt in
      guard let batch = attempt.batch else { return "-" }
      let place = batch.position.map { "\($0)" } ?? "?"
      return "\(batch.first.rawValue)-\(batch.last.rawValue) of \(batch.count) at \(place)"
    }
  }

  private func onlyEntry(_ stage: Stage) throws -> FailureSummary {
    let summaries = try stage.store.failures(limit: 10)
    #expect(summaries.count == 1)
    return try summaries.first.unwrapped
  }

  @Test("the attempts of the batches that a record was split from are told with its own, over a restart too")
  func bisect() async throws {
    let stage = try Stage()
    try await stage.put(["a", "b", "bad", "d"])
    let first = try await stage.poller(Self.isolating, Self.picky)
    #expect(await stage.next(4).map(\.data.count) == [4, 2, 2, 1])
    await first.end()
    let whole = ["0-3 of 4 at 2", "2-3 of 2 at 0", "2-2 of 1 at 0"]
    let stored = try #require(try stage.stored())
    #expect(stored.progress.pieces == [1])
    #expect(batches(stored.history.attempts) == whole)
    let second = try await stage.poller(Self.isolating, Self.picky)
    #expect(second.order({ .retryRequested($0) }, mapping: "test", shard: ShardNumber(0)))
    #expect(await stage.next(2).map(\.data) == [["bad"], ["d"]])
    await second.end()
    let entry = try onlyEntry(stage)
    #expect(entry.attempts == 2)
    #expect(batches(entry.history) == whole + ["2-2 of 1 at 0"])
    let ids = entry.history.map(\.requestID)
    #expect(Set(ids).count == 3 && ids[2] == ids[3])
    // What is left of the batch succeeded: there is nothing more to tell.
    #expect(try stage.stored()?.history.isEmpty == true)
  }

  @Test("a restart between two halves keeps what their batch has been through")
  func betweenHalves() async throws {
    let stage = try Stage()
    try await stage.put(["bad", "b", "bad", "d"])
    let gate = Gate()
    let first = try await stage.poller(Self.isolating) { delivered, _ in
      if delivered.data.count == 1 { await gate.pass() }
      throw Refused()
    }
    #expect(await stage.next(3).map(\.data.count) == [4, 2, 1])
    let lane = try #require(first.look(at: "test")?[ShardNumber(0)]?.first)
    #expect(lane.progress.failing == nil && lane.progress.pieces == [1, 1, 2])
    #expect(batches(lane.history.attempts) == ["0-3 of 4 at 0", "0-1 of 2 at 0"])
    try await until { try stage.stored()?.progress.pieces == [1, 1, 2] }
    #expect(try stage.stored()?.history == lane.history)
    gate.open()
    await first.end(isStopping: true)
  }

  @Test("a record that the handler names is told with its place, and those before it are done")
  func named() async throws {
    let stage = try Stage()
    try await stage.put(["a", "bad", "c"])
    let poller = try await stage.poller(.quick.with { $0.maximumRetryAttempts = 1 }) { delivered, batch in
      guard let place = delivered.data.firstIndex(of: "bad") else { return .succeeded }
      return .failed(at: batch.sequenceNumber(at: place))
    }
    #expect(await stage.next(3).map(\.data) == [["a", "bad", "c"], ["bad", "c"], ["bad", "c"]])
    await poller.end()
    let entry = try onlyEntry(stage)
    #expect(entry.attempts == 2)
    #expect(batches(entry.history) == ["0-2 of 3 at 1", "1-2 of 2 at 0", "1-2 of 2 at 0"])
    #expect(entry.history.allSatisfy { $0.kind == .reportedNoProgress && !$0.requestID.isEmpty })
    #expect(entry.history[0].requestID != entry.history[1].requestID)
  }

  @Test("where records between are filtered out, places are those in the batches")
  func sparse() async throws {
    let stage = try Stage()
    let records = (0..<8).flatMap { [#"{"n":\#($0)}"#, #"{"other":\#($0)}"#] }
    try await stage.put(records)
    let bad = #"{"n":5}"#
    let poller = try await stage.poller(
      .quick.with {
        $0.bisectsBatchOnError = true
        $0.maximumRetryAttempts = 0
      }, filters: [#"{"data":{"n":[{"exists":true}]}}"#]
    ) { delivered, _ in
      if delivered.data.contains(bad) { throw Refused() }
      return .succeeded
    }
    try await until { try stage.stored()?.progress.next ?? .zero >= RecordIndex(15) }
    await poller.end()
    let entry = try onlyEntry(stage)
    #expect(entry.firstIndex == RecordIndex(10))
    #expect(
      batches(entry.history) == ["0-14 of 8 at 5", "8-14 of 4 at 1", "8-10 of 2 at 1", "10-10 of 1 at 0"])
  }

  @Test("a skip is told with who did it, and a redrive with its attempt")
  func interventions() async throws {
    let stage = try Stage()
    try await stage.put(["bad"])
    let poller = try await stage.poller(.patient, Self.picky)
    _ = await stage.next()
    let skip = RecordEvent(.skipped, at: WallTime(milliseconds: 7), actor: "ada")
    #expect(
      poller.order(
        { .skipRequested($0, through: .zero) }, mapping: "test", shard: ShardNumber(0), noting: skip))
    try await until { try stage.store.failureCount() == 1 }
    var entry = try onlyEntry(stage)
    #expect(entry.events == [skip] && entry.history.count == 1)
    entry.add(RecordEvent(.redriven, at: WallTime(milliseconds: 8), actor: "bob"))
    try stage.store.performBlocking(.updateFailure(entry))
    #expect(poller.redrive(entry))
    _ = await stage.next()
    try await until { try stage.store.failure(1)?.summary.redrives == 1 }
    entry = try onlyEntry(stage)
    #expect(entry.history.map(\.redriver) == [nil, "bob"])
    #expect(entry.events.map(\.kind) == [.skipped, .redriven])
    await poller.end()
  }

  @Test("a key that was parked: when, and the batch in which its record was named")
  func parked() async throws {
    let stage = try Stage()
    let policy = LanePolicy.quick.with {
      $0.maximumRetryAttempts = 1
      $0.parking = ParkingPolicy(keyLimit: 10, recordLimit: 100, deliveryLimit: 1)
    }
    try await stage.put(keys: ["a", "b", "c"], 0..<1)
    let poller = try await stage.poller(policy) { delivered, batch in
      guard let place = delivered.data.firstIndex(of: "b 0") else { return .succeeded }
      return .failed(at: batch.sequenceNumber(at: place))
    }
    try await until { try stage.store.failureCount() == 1 }
    await poller.end()
    let entry = try onlyEntry(stage)
    #expect(batches(entry.history) == ["0-2 of 3 at 1", "1-1 of 1 at 0"])
    #expect(entry.events.map(\.kind) == [.parked])
    #expect(entry.events.first.map { $0.at >= entry.history[0].startedAt } == true)
  }

  @Test("a record that is too large is told with its attempts, also where its key is parked", arguments: [false, true])
  func tooLarge(parks: Bool) async throws {
    let stage = try Stage()
    let policy = LanePolicy.quick.with {
      $0.maximumRetryAttempts = 2
      $0.payloadByteLimit = 2_000
      if parks { $0.parking = ParkingPolicy(keyLimit: 10, recordLimit: 100, deliveryLimit: 1) }
    }
    try await stage.put(["a", String(repeating: "b", count: 4_000), "c"])
    let poller = try await stage.poller(policy) { _, _ in .succeeded }
    try await until { try stage.store.failureCount() == 1 }
    await poller.end()
    let entry = try onlyEntry(stage)
    #expect(entry.attempts == 3)
    #expect(entry.history.map(\.kind) == [.payloadTooLarge, .payloadTooLarge, .payloadTooLarge])
    #expect(batches(entry.history) == Array(repeating: "1-1 of 1 at 0", count: 3))
    #expect(entry.history.allSatisfy { $0.message.contains("bytes") } && Set(entry.history.map(\.requestID)).count == 1)
  }

  @Test("a story forgets batches that are behind it, and keeps places where they are known")
  func story() {
    var history = AttemptHistory()
    func attempt(_ first: UInt64, _ last: UInt64, _ count: Int) -> AttemptRecord {
      AttemptRecord(
        startedAt: .zero, durationMilliseconds: 0, kind: .error, type: "E", message: "", trace: [], requestID: "",
        batch: AttemptedBatch(first: RecordIndex(first), last: RecordIndex(last), count: count))
    }
    history.append(attempt(0, 9, 10))
    history.append(attempt(0, 18, 10))
    history.append(attempt(0, 3, 4))
    history.settle(4)
    #expect(batches(history.attempts) == ["0-9 of 10 at 4", "0-18 of 10 at 4"])
    history.begin(at: RecordIndex(5))
    #expect(batches(history.attempts) == ["0-9 of 10 at 5", "0-18 of 10 at 4"])
    history.forgetPositions()
    #expect(batches(history.attempts) == ["0-9 of 10 at 5", "0-18 of 10 at ?"])
    #expect(history.attempts(of: RecordIndex(12)).count == 1)
    history.begin(at: RecordIndex(19))
    #expect(history.isEmpty)
  }

  @Test("the attempts of a failing final invocation are its story until it is over, and no record's")
  func finalInvocation() {
    var history = AttemptHistory()
    let extent = BatchExtent.empty(at: .zero, arrival: .zero)
    history.begin(at: extent.first)
    history.append(
      AttemptRecord(
        startedAt: .zero, durationMilliseconds: 0, kind: .error, type: "E", message: "", trace: [], requestID: "A",
        batch: AttemptedBatch(first: extent.first, last: extent.last, count: 0)))
    #expect(history.story(from: .zero).attempts.map(\.requestID) == ["A"])
    #expect(history.attempts(of: .zero).isEmpty)
    history.settle(0)
    #expect(history.isEmpty)
  }
}
