import ShardCore
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Stream poller: delivery", .timeLimit(.minutes(10)))
struct DeliveryTests {
  @Test("a put wakes its lane, with nothing due and nobody asking")
  func wakes() async throws {
    let stage = try Stage()
    let poller = try await stage.poller()
    for text in ["a", "b", "c"] {
      try await stage.put([text])
      #expect(await stage.next() == Delivered(shard: 0, data: [text], attempt: 1))
    }
    await poller.end()
    #expect(try stage.stored()?.progress == LaneProgress(next: RecordIndex(3)))
  }

  @Test("every shard is delivered completely and in its order")
  func order() async throws {
    let stage = try Stage(shards: 4)
    let poller = try await stage.poller(.quick.with { $0.batchSize = 7 })
    for round in 0..<25 {
      for shard in 0..<4 { try await stage.put((0..<4).map { "\(round * 4 + $0)" }, shard: shard, of: 4) }
    }
    var found: [UInt32: [String]] = [:]
    while found.values.reduce(0, { $0 + $1.count }) < 400, let delivered = await stage.next() {
      found[delivered.shard, default: []] += delivered.data
    }
    await poller.end()
    for shard in 0..<4 { #expect(found[UInt32(shard)] == (0..<100).map { "\($0)" }) }
    #expect(stage.all.allSatisfy { $0.data.count <= 7 })
  }

  @Test("a partial failure delivers the rest again at once, as a batch of its own")
  func partial() async throws {
    let stage = try Stage()
    try await stage.put(["a", "b", "c", "d"])
    // With an hour between retries the rest comes only if it does not wait.
    let poller = try await stage.poller(.patient) { delivered, batch in
      delivered.data.first == "a" ? .failed(at: batch.sequenceNumber(at: 2)) : .succeeded
    }
    #expect(await stage.next()?.data == ["a", "b", "c", "d"])
    #expect(await stage.next() == Delivered(shard: 0, data: ["c", "d"], attempt: 1))
    await poller.end()
    #expect(try stage.stored()?.progress.next == RecordIndex(4))
  }

  @Test("a sequence number that is not in the batch is an invalid response", arguments: [9, 1 << 62])
  func unknownNumber(index: UInt64) async throws {
    let stage = try Stage()
    try await stage.put(["a"])
    let gate = Gate()
    let poller = try await stage.poller { delivered, batch in
      var number = batch.sequenceNumber(at: 0)
      number.index = RecordIndex(index)
      if delivered.attempt == 1 { return .failed(at: number) }
      await gate.pass()
      return .succeeded
    }
    #expect(await stage.next(2).map(\.attempt) == [1, 2])
    #expect(poller.look(at: "test")?[ShardNumber(0)]?.first?.history.last?.kind == .invalidResponse)
    gate.open()
    await poller.end()
  }

  @Test("LATEST begins at the next record, and closed shards are finished")
  func latest() async throws {
    let stage = try Stage()
    try await stage.put(["old"])
    _ = try await stage.store.perform(.split(stage.address(0), at: HashKeyRange.evenly(2)[1].first))
    try await stage.put(["older child"], shard: 0, of: 2)
    let poller = try await stage.poller(start: .latest)
    try await stage.put(["new"], shard: 0, of: 2)
    #expect(await stage.next() == Delivered(shard: 1, data: ["new"], attempt: 1))
    await poller.end()
    #expect(try stage.stored(0)?.progress.isFinished == true)
  }

  @Test("LATEST is fixed once: what was put while no poller ran is delivered")
  func latestIsFixed() async throws {
    let stage = try Stage()
    try await stage.put(["old"])
    await (try stage.poller(start: .latest)).end()
    try await stage.put(["new"])
    let poller = try await stage.poller(start: .latest)
    #expect(await stage.next()?.data == ["new"])
    await poller.end()
  }

  @Test("children of a split come after their parent, and the child of a merge after both")
  func family() async throws {
    let stage = try Stage()
    let gate = Gate()
    let poller = try await stage.poller(.quick.with { $0.batchSize = 1 }) { delivered, _ in
      if delivered.shard == 0 { await gate.pass() }
      return .succeeded
    }
    try await stage.put(["0a", "0b", "0c"])
    _ = try await stage.store.perform(.split(stage.address(0), at: HashKeyRange.evenly(2)[1].first))
    try await stage.put(["1a"], shard: 0, of: 2)
    try await stage.put(["2a"], shard: 1, of: 2)
    _ = try await stage.store.perform(.merge(stage.address(1), with: ShardNumber(2)))
    try await stage.put(["3a", "3b"])
    gate.open()
    let data = await stage.next(7).flatMap(\.data)
    await poller.end()
    #expect(data.prefix(3) == ["0a", "0b", "0c"])
    #expect(Set(data[3..<5]) == ["1a", "2a"])
    #expect(data.suffix(2) == ["3a", "3b"])
  }

  @Test("a new poller begins behind the checkpoint")
  func reopening() async throws {
    let stage = try Stage()
    try await stage.put(["a", "b"])
    let first = try await stage.poller()
    _ = await stage.next()
    await first.end()
    try await stage.put(["c"])
    let second = try await stage.poller()
    #expect(await stage.next()?.data == ["c"])
    await second.end()
    #expect(stage.all.map(\.data) == [["a", "b"], ["c"]])
  }

  @Test("a drain lets the handler end and stores what it did")
  func drain() async throws {
    let stage = try Stage()
    let gate = Gate()
    let poller = try await stage.poller { _, _ in
      await gate.pass()
      return .succeeded
    }
    try await stage.put(["a"])
    _ = await stage.next()
    async let end: Void = poller.end()
    gate.open()
    await end
    #expect(try stage.stored()?.progress.next == RecordIndex(1))
  }

  @Test("a stop cancels the handler, and its records are delivered again next time as if for the first")
  func stop() async throws {
    let stage = try Stage()
    let first = try await stage.poller { _, _ in
      try await Gate.untilCancelled()
      return .succeeded
    }
    try await stage.put(["a"])
    _ = await stage.next()
    await first.end(isStopping: true)
    let second = try await stage.poller()
    #expect(await stage.next() == Delivered(shard: 0, data: ["a"], attempt: 1))
    await second.end()
  }

  @Test("a handler that succeeds although it was told to stop has succeeded")
  func stopAfterSuccess() async throws {
    let stage = try Stage()
    let poller = try await stage.poller { _, _ in
      try? await Gate.untilCancelled()
      return .succeeded
    }
    try await stage.put(["a"])
    _ = await stage.next()
    await poller.end(isStopping: true)
    #expect(try stage.stored()?.progress.next == RecordIndex(1))
  }

  @Test("mappings that cannot run are refused: no stream, another stream's mapping, a drained poller")
  func refusals() async throws {
    let stage = try Stage()
    let poller = try await stage.poller()
    let plan = { (name: String, stream: String) in
      MappingPlan(
        name: name, stream: stream, start: .trimHorizon, policy: .quick, handler: Deaf(), recordOverhead: 0)
    }
    await #expect(throws: PollerError.noSuchStream(mapping: "x", stream: "none")) {
      try await poller.add(plan("x", "none"))
    }
    _ = try await stage.store.createStream(NewStream(name: "other"))
    await #expect(throws: PollerError.mappingMoved(mapping: "test", from: try stage.stream.number)) {
      try await poller.add(plan("test", "other"))
    }
    await poller.end()
    await #expect(throws: PollerError.draining) { try await poller.add(plan("x", "orders")) }
  }
}

private struct Deaf: BatchHandler {
  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome { .succeeded }
}
