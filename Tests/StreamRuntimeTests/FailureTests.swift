import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Stream poller: failures", .timeLimit(.minutes(1)))
struct FailureTests {
  /// Fails batches that hold "bad".
  private static let picky: Stage.Body = { delivered, _ in
    if delivered.data.contains("bad") { throw Refused() }
    return .succeeded
  }

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

  @Test("the waits between retries double")
  func backoff() async throws {
    let stage = try Stage()
    try await stage.put(["bad"])
    let begun = SystemClock.monotonic()
    let slow = Backoff(firstMilliseconds: 10, capMilliseconds: 1_000, jitterPercent: 0)
    let poller = try await stage.poller(.quick.with { $0.retryBackoff = slow }) { delivered, _ in
      if delivered.attempt < 4 { throw Refused() }
      return .succeeded
    }
    _ = await stage.next(4)
    let elapsed = SystemClock.monotonic().nanoseconds - begun.nanoseconds
    #expect(elapsed >= (10 + 20 + 40) * 1_000_000)
    await poller.end()
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
    let poller = try await stage.poller(.patient.with { $0.maximumRecordAgeMilliseconds = 60_000 }) { delivered, _ in
      guard delivered.data == ["bad"] else { return .succeeded }
      clock.advance(milliseconds: 61_000)
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
    let poller = try await stage.poller(.quick.with { $0.maximumRecordAgeMilliseconds = 60_000 }) { delivered, _ in
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
    let gate = Gate()
    try await stage.put(["a"], shard: 0, of: 2)
    let poller = try await stage.poller { delivered, _ in
      if delivered.data == ["a"], delivered.attempt == 1 { await gate.pass() }
      return .succeeded
    }
    _ = await stage.next()
    stage.clock.advance(milliseconds: 3_600_000)
    try await stage.put(["other shard"], shard: 1, of: 2)
    #expect(await stage.next()?.data == ["other shard"])
    #expect(stage.all.count == 2)
    gate.open()
    #expect(await stage.next() == Delivered(shard: 0, data: ["a"], attempt: 2))
    await poller.end()
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

  @Test("a store that is full loses nothing: what could not be stored is delivered again")
  func fullStore() async throws {
    let stage = try Stage(mapBytes: 1 << 20)
    await (try stage.poller()).end()
    let block = String(repeating: "x", count: 20_000)
    var expected = 0
    do {
      while true {
        try await stage.put([block])
        expected += 1
      }
    } catch let error as StoreError {
      guard case .mapFull = error else { throw error }
    }
    let poller: StreamPoller
    do {
      poller = try await stage.poller(
        .quick.with { $0.batchSize = 1 }, limits: PollerLimits(storeRetryMilliseconds: 1))
    } catch let error as StoreError {
      // Not even the mapping's settings fit: an honest refusal, and nothing was delivered.
      guard case .mapFull = error else { throw error }
      #expect(stage.all.isEmpty)
      return
    }
    #expect(await stage.next(expected).allSatisfy { $0.data == [block] })
    // Room again: retention takes what is read.
    _ = try await stage.store.trim(
      TrimOrder(cutoffs: [.init(address: try stage.address(0), arrivedBefore: .distantFuture)]))
    await poller.end()
    #expect(try stage.stored()?.progress.next == RecordIndex(UInt64(expected)))
    #expect(stage.all.count == expected)
  }
}
