import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Stream poller: operators", .timeLimit(.minutes(10)))
struct OperatingTests {
  private let shard = ShardNumber(0)

  /// Asks for all entries, in order.
  private func redriveAll(_ poller: StreamPoller, _ stage: Stage) throws {
    for entry in try stage.store.failures(limit: 10) { #expect(poller.redrive(entry)) }
  }

  /// A stage whose failures hold one entry for each of `texts`.
  private func stage(withFailed texts: [String]) async throws -> Stage {
    let stage = try Stage()
    try await stage.put(texts)
    let poller = try await stage.poller(
      .quick.with {
        $0.batchSize = 1
        $0.maximumRetryAttempts = 0
      }
    ) { _, _ in throw Refused() }
    _ = await stage.next(texts.count)
    await poller.end()
    #expect(try stage.store.failures(limit: 10).count == texts.count)
    return stage
  }

  @Test("a paused lane delivers nothing, also after a restart, until it is resumed")
  func pause() async throws {
    let stage = try Stage()
    let first = try await stage.poller()
    #expect(first.order({ .pauseRequested($0) }, mapping: "test", shard: shard))
    try await stage.put(["a"])
    await first.end()
    #expect(stage.all.isEmpty)
    let second = try await stage.poller()
    #expect(second.look(at: "test")?[shard]?.first?.snapshot.state == .paused)
    #expect(second.order({ .resumeRequested($0) }, mapping: "test", shard: shard))
    #expect(await stage.next()?.data == ["a"])
    await second.end()
  }

  @Test("a retry on request does not wait")
  func retry() async throws {
    let stage = try Stage()
    try await stage.put(["a"])
    let first = try await stage.poller(.patient) { _, _ in throw Refused() }
    _ = await stage.next()
    await first.end()
    let second = try await stage.poller(.patient)
    #expect(second.order({ .retryRequested($0) }, mapping: "test", shard: shard))
    #expect(await stage.next()?.attempt == 2)
    await second.end()
  }

  @Test("a skip cancels the handler; the records leave as skipped and the shard goes on")
  func skip() async throws {
    let stage = try Stage()
    try await stage.put(["bad", "b"])
    let poller = try await stage.poller(.quick.with { $0.batchSize = 1 }) { delivered, _ in
      if delivered.data == ["bad"] { try await Gate.untilCancelled() }
      return .succeeded
    }
    _ = await stage.next()
    #expect(poller.order({ .skipRequested($0, through: .zero) }, mapping: "test", shard: shard))
    #expect(await stage.next()?.data == ["b"])
    await poller.end()
    let entry = try stage.store.failures(limit: 10).first.unwrapped
    #expect(entry.condition == .skipped)
    #expect(entry.history.map(\.type) == [HandlerFailure.stoppedType])
  }

  @Test("a handler that succeeds although its records were given up has succeeded")
  func skipAfterSuccess() async throws {
    let stage = try Stage()
    try await stage.put(["a"])
    let poller = try await stage.poller { _, _ in
      try? await Gate.untilCancelled()
      return .succeeded
    }
    _ = await stage.next()
    #expect(poller.order({ .skipRequested($0, through: .zero) }, mapping: "test", shard: shard))
    await poller.end()
    #expect(try stage.store.failures(limit: 10).isEmpty)
    #expect(try stage.stored()?.progress.next == RecordIndex(1))
  }

  @Test("a lane that stopped at a damaged block goes on behind it when the block is given up")
  func skipDamage() async throws {
    let stage = try Stage()
    for text in ["a", "needle in a haystack", "b"] { try await stage.put([text]) }
    try stage.damage("needle in a haystack")
    let poller = try await stage.poller()
    #expect(await stage.next()?.data == ["a"])
    // The lane tells nobody that it stopped: an operator finds it so.
    let stopped = LaneSnapshot.State.stopped(block: RecordIndex(1))
    while poller.look(at: "test")?[shard]?.first?.snapshot.state != stopped {
      try Task.checkCancellation()
      await Task.yield()
    }
    #expect(
      poller.order(
        { .damageSkipRequested($0, block: RecordIndex(1), end: RecordIndex(2)) }, mapping: "test", shard: shard))
    #expect(await stage.next()?.data == ["b"])
    await poller.end()
    #expect(try stage.stored()?.progress == LaneProgress(next: RecordIndex(3), lostToDamage: 1))
    #expect(try stage.store.failures(limit: 10).isEmpty)
  }

  @Test("redriven entries come in the order of the requests and leave the list")
  func redrive() async throws {
    let stage = try await stage(withFailed: ["a", "b", "c"])
    let poller = try await stage.poller()
    try redriveAll(poller, stage)
    #expect(await stage.next(3).flatMap(\.data) == ["a", "b", "c"])
    // The store hears of it beside the lane, which may have drained by then.
    try await until { try stage.store.failures(limit: 10).isEmpty }
    await poller.end()
    #expect(stage.all.count == 6)
  }

  @Test("an entry that fails again stays with its new attempt, and so do those behind it, undelivered")
  func failedRedrive() async throws {
    let stage = try await stage(withFailed: ["a", "b", "c"])
    let gate = Gate()
    let poller = try await stage.poller { _, _ in
      await gate.pass()
      throw Refused()
    }
    try redriveAll(poller, stage)
    #expect(await stage.next()?.data == ["a"])
    gate.open()
    try await until { try stage.store.failures(limit: 1).first?.redrives == 1 }
    await poller.end()
    let entries = try stage.store.failures(limit: 10)
    #expect(entries.map(\.redrives) == [1, 0, 0])
    #expect(entries.first?.history.count == 2)
    #expect(stage.all.map(\.data) == [["a"], ["b"], ["c"], ["a"]])
  }

  @Test("an entry is stamped with the time of the poller's clock, when it is made and when it is redriven")
  func stamps() async throws {
    let (made, redriven) = (WallTime(milliseconds: 1_000_000), WallTime(milliseconds: 2_000_000))
    let stage = try Stage()
    try await stage.put(["a"])
    let first = try await stage.poller(.quick.with { $0.maximumRetryAttempts = 0 }, at: made) {
      _, _ in throw Refused()
    }
    _ = await stage.next()
    await first.end()
    #expect(try stage.store.failures(limit: 10).map(\.createdAt) == [made])
    let second = try await stage.poller(at: redriven) { _, _ in throw Refused() }
    try redriveAll(second, stage)
    _ = await stage.next()
    try await until { try stage.store.failures(limit: 10).map(\.lastRedrive?.endedAt) == [redriven] }
    await second.end()
    #expect(try stage.store.failures(limit: 10).map(\.lastRedrive?.endedAt) == [redriven])
  }

  @Test("an entry of which only a part is done stays on the list")
  func partialRedrive() async throws {
    let stage = try await stage(withFailed: ["a"])
    let poller = try await stage.poller { _, batch in .failed(at: batch.sequenceNumber(at: 0)) }
    try redriveAll(poller, stage)
    #expect(await stage.next()?.data == ["a"])
    // The store hears of it beside the lane, which may have drained by then.
    try await until { try stage.store.failures(limit: 10).map(\.redrives) == [1] }
    await poller.end()
    #expect(try stage.store.failures(limit: 10).count == 1)
  }

  @Test("orders for what does not run here are turned down")
  func unknown() async throws {
    let stage = try Stage()
    let poller = try await stage.poller()
    #expect(!poller.order({ .pauseRequested($0) }, mapping: "none", shard: shard))
    #expect(!poller.order({ .pauseRequested($0) }, mapping: "test", shard: ShardNumber(9)))
    #expect(poller.look(at: "none") == nil)
    await poller.end()
  }
}
