import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Stream poller: failures", .timeLimit(.minutes(10)))
struct FailureTests {
  /// Fails batches that hold "bad".
  private static let picky: Stage.Body = { delivered, _ in
    if delivered.data.contains("bad") { throw Refused() }
    return .succeeded
  }

  /// A record age that no machine is so busy as to reach.
  private static let tenHours: Int64 = 36_000_000

  private func onlyEntry(_ stage: Stage) throws -> FailureEntry {
    let summaries = try stage.store.failures(limit: 10)
    #expect(summaries.count == 1)
    return try stage.store.failure(summaries.first.unwrapped.number).unwrapped
  }

  @Test("a failing batch blocks its shard while the others go on")
  func blocks() async throws {
    let stage = try Stage(shards: 2)
    let poller = try await stage.poller(.patient.with { $0.batchSize = 1 }, Self.picky)
    try await stage.put(["bad", "behind"], shard: 0, of: 2)
    try await stage.put(["a", "b"], shard: 1, of: 2)
    #expect(Set(await stage.next(3).flatMap(\.data)) == ["bad", "a", "b"])
    await poller.end()
    #expect(try stage.stored(0)?.progress.next == .zero)
    #expect(try stage.stored(1)?.progress.next == RecordIndex(2))
  }

  @Test("after its attempts a batch becomes a failure entry with its records and history, and the shard goes on")
  func givesUp() async throws {
    let stage = try Stage()
    let poller = try await stage.poller(
      .quick.with {
        $0.maximumRetryAttempts = 2
        $0.batchSize = 2
      }, Self.picky)
    try await stage.put(["bad", "with it", "behind"])
    #expect(await stage.next(4).map(\.attempt) == [1, 2, 3, 1])
    await poller.end()
    let entry = try onlyEntry(stage)
    #expect(entry.summary.condition == .retryAttemptsExhausted)
    #expect(entry.summary.attempts == 3)
    #expect(entry.summary.history.map(\.message) == ["refused", "refused", "refused"])
    #expect(Set(entry.summary.history.map(\.requestID)).count == 1)
    #expect(entry.summary.history[0].requestID.utf8.count == 36)
    #expect(entry.records.count == 2)
    #expect(try stage.stored()?.progress.next == RecordIndex(3))
  }

  @Test("the waits between retries double, and each is waited for to its end")
  func backoff() async throws {
    let stage = try Stage()
    try await stage.put(["bad"])
    let hour: Int64 = 3_600_000
    let slow = Backoff(firstMilliseconds: hour, capMilliseconds: 100 * hour, jitterPercent: 0)
    for (attempt, wait) in [(1, 1), (2, 2), (3, 4), (4, 8)] as [(Int, Int64)] {
      // A poller for each attempt: its end is the moment at which the failure is known.
      let poller = try await stage.poller(.quick.with { $0.retryBackoff = slow }, Self.picky)
      if attempt > 1 {
        let rest = wait / 2 * hour
        stage.clock.advance(milliseconds: rest - 600_000)
        #expect(poller.look(at: "test")?[ShardNumber(0)]?.first?.snapshot.state == .backingOff)
        stage.clock.advance(milliseconds: 600_000)
      }
      #expect(await stage.next()?.attempt == attempt)
      await poller.end()
      let failing = try stage.stored()?.progress.failing
      #expect(failing.map { $0.retryAt.milliseconds - $0.lastFailedAt.milliseconds } == wait * hour)
    }
  }

  @Test("attempts survive a restart")
  func attemptsSurvive() async throws {
    let stage = try Stage()
    try await stage.put(["bad"])
    let first = try await stage.poller(.patient, Self.picky)
    _ = await stage.next()
    await first.end()
    #expect(try stage.stored()?.history.attempts.count == 1)
    let second = try await stage.poller(.patient.with { $0.maximumRetryAttempts = 1 }, Self.picky)
    #expect(second.order({ .retryRequested($0) }, mapping: "test", shard: ShardNumber(0)))
    #expect(await stage.next()?.attempt == 2)
    await second.end()
    let entry = try onlyEntry(stage)
    #expect(entry.summary.attempts == 2)
    #expect(Set(entry.summary.history.map(\.requestID)).count == 1)
  }

  @Test("records that grow too old during their retries leave, and younger ones go on")
  func expiry() async throws {
    let stage = try Stage()
    let clock = stage.clock
    try await stage.put(["bad"])
    let poller = try await stage.poller(.patient.with { $0.maximumRecordAgeMilliseconds = Self.tenHours }) {
      delivered, _ in
      guard delivered.data == ["bad"] else { return .succeeded }
      clock.advance(milliseconds: Self.tenHours + 1_000)
      throw Refused()
    }
    #expect(await stage.next()?.data == ["bad"])
    try await stage.put(["young"])
    #expect(await stage.next()?.data == ["young"])
    await poller.end()
    let entry = try onlyEntry(stage)
    #expect(entry.summary.condition == .recordAgeExceeded)
    #expect(entry.summary.attempts == 1)
  }

  @Test("a wall clock that steps back an hour delays no retry")
  func wallClockStepsBack() async throws {
    let stage = try Stage()
    let clock = stage.clock
    try await stage.put(["a"])
    let poller = try await stage.poller(.quick.with { $0.maximumRecordAgeMilliseconds = Self.tenHours }) {
      delivered, _ in
      if delivered.attempt > 1 { return .succeeded }
      clock.stepBack(milliseconds: 3_600_000)
      throw Refused()
    }
    #expect(await stage.next(2).map(\.attempt) == [1, 2])
    await poller.end()
    #expect(try stage.stored()?.progress.next == RecordIndex(1))
  }

  @Test("at the deadline the handler is cancelled and the attempt has timed out")
  func deadline() async throws {
    let stage = try Stage()
    try await stage.put(["a"])
    let poller = try await stage.poller(.quick.with { $0.maximumRetryAttempts = 1 }) { delivered, _ in
      if delivered.attempt == 1 { try await Gate.untilCancelled() }
      throw Refused()
    }
    _ = await stage.next()
    stage.clock.advance(milliseconds: 60_000)
    #expect(await stage.next()?.attempt == 2)
    await poller.end()
    #expect(try onlyEntry(stage).summary.history.map(\.kind) == [.timedOut, .error])
  }

  @Test("a handler that ignores cancellation keeps its shard to itself until it ends, and has timed out")
  func stubbornHandler() async throws {
    let stage = try Stage(shards: 2)
    let (isTold, mayEnd) = (Gate(), Gate())
    try await stage.put(["stubborn", "behind"], shard: 0, of: 2)
    let poller = try await stage.poller(
      .quick.with {
        $0.batchSize = 1
        $0.maximumRetryAttempts = 1
      }
    ) { delivered, _ in
      guard delivered.data == ["stubborn"] else { return .succeeded }
      if delivered.attempt > 1 { throw Refused() }
      await withTaskCancellationHandler {
        await mayEnd.pass()
      } onCancel: {
        isTold.open()
      }
      return .succeeded
    }
    _ = await stage.next()
    stage.clock.advance(milliseconds: 60_000)
    await isTold.pass()
    try await stage.put(["other shard"], shard: 1, of: 2)
    #expect(await stage.next()?.data == ["other shard"])
    #expect(poller.look(at: "test")?[ShardNumber(0)]?.first?.snapshot.state == .cancelling)
    #expect(stage.all.count == 2)
    mayEnd.open()
    #expect(await stage.next() == Delivered(shard: 0, data: ["stubborn"], attempt: 2))
    #expect(await stage.next() == Delivered(shard: 0, data: ["behind"], attempt: 1))
    await poller.end()
    #expect(try onlyEntry(stage).summary.history.map(\.kind) == [.timedOut, .error])
  }

  @Test("a delivery after a cancelled one is not cancelled with it")
  func cancellationIsOver() async throws {
    let stage = try Stage()
    try await stage.put(["a"])
    let poller = try await stage.poller { delivered, _ in
      if delivered.attempt == 1 { try await Gate.untilCancelled() }
      try Task.checkCancellation()
      return .succeeded
    }
    _ = await stage.next()
    stage.clock.advance(milliseconds: 60_000)
    #expect(await stage.next()?.attempt == 2)
    await poller.end()
    #expect(try stage.stored()?.progress == LaneProgress(next: RecordIndex(1)))
  }

  /// Puts records into a stream until the map is full; how many it took.
  private func fill(_ stage: Stage, _ stream: String) async throws -> Int {
    let block = String(repeating: "x", count: 20_000)
    for taken in 0..<1_000 {
      do {
        try await stage.put([block], into: stream)
      } catch StoreError.mapFull {
        return taken
      }
    }
    Issue.record("the store was never full")
    return 0
  }

  @Test("a full store delivers all that it took, once, and stores the progress; then retention makes room")
  func fullStore() async throws {
    let stage = try Stage(mapBytes: 1 << 20)
    let taken = try await fill(stage, "orders")
    #expect(taken > 5)
    let first = try await stage.poller(.quick.with { $0.batchSize = 1 })
    #expect(await stage.next(taken).map(\.data.count) == Array(repeating: 1, count: taken))
    await first.end()
    #expect(try stage.stored()?.progress == LaneProgress(next: RecordIndex(UInt64(taken))))
    try await stage.empty("orders")
    let second = try await stage.poller()
    try await stage.put(["more"])
    #expect(await stage.next()?.data == ["more"])
    await second.end()
    #expect(stage.all.count == taken + 1)
  }

  @Test("a failure entry that a full store refuses is not lost: its batch stays, and leaves when there is room")
  func noRoomForFailure() async throws {
    let stage = try Stage(mapBytes: 4 << 20)
    try stage.create("ballast")
    // More than the room that a full store keeps for checkpoints and failures.
    let large = String(repeating: "y", count: 100_000)
    try await stage.put(["bad"] + Array(repeating: large, count: 9))
    try await stage.put(["behind"])
    let taken = try await fill(stage, "ballast")
    #expect(taken > 5)
    let policy = LanePolicy.quick.with {
      $0.batchSize = 10
      $0.maximumRetryAttempts = 0
    }
    let first = try await stage.poller(policy, Self.picky)
    #expect(await stage.next()?.data.first == "bad")
    await first.end()
    #expect(try stage.store.failures(limit: 10).isEmpty)
    #expect(try stage.stored()?.progress.next == .zero)
    #expect(try stage.stored()?.progress.failing?.attempts == 1)
    try await stage.empty("ballast")
    let second = try await stage.poller(policy, Self.picky)
    #expect(await stage.next()?.data == ["behind"])
    await second.end()
    #expect(try onlyEntry(stage).records.count == 10)
    #expect(stage.all.count == 2)
  }
}
