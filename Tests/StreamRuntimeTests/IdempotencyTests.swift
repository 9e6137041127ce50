import Locks
import Logging
import ShardCore
import StreamModel
@testable import StreamRuntime
import StreamStore
import Testing

/// Records are named by their text. Handlers fail those that begin with "bad".
@Suite("Stream poller: what is done is remembered", .timeLimit(.minutes(10)))
struct IdempotencyTests {
  /// Names every record that is bad, and no other.
  private static let naming: Stage.Body = { delivered, batch in
    .failedRecords(
      (0..<batch.count).filter { delivered.data[$0].hasPrefix("bad") }.map { batch.sequenceNumber(at: $0) })
  }

  private static func change(_ id: String, _ text: String = "x") -> String { #"{"id":"\#(id)","text":"\#(text)"}"# }

  @Test("only the records that failed are delivered again, as a new batch at once")
  func named() async throws {
    let stage = try Stage()
    try await stage.put(["a", "bad 1", "b", "bad 2", "c"])
    let poller = try await stage.poller(
      .quick.with { $0.maximumRetryAttempts = 1 }, idempotency: Idempotency(), Self.naming)
    // The second attempt of the rest makes no progress, and with it the batch leaves.
    #expect(
      await stage.next(3) == [
        Delivered(shard: 0, data: ["a", "bad 1", "b", "bad 2", "c"], attempt: 1),
        Delivered(shard: 0, data: ["bad 1", "bad 2"], attempt: 1),
        Delivered(shard: 0, data: ["bad 1", "bad 2"], attempt: 2),
      ])
    try await until { try stage.stored()?.progress.next == RecordIndex(5) }
    await poller.end()
    let entry = try stage.store.failure(1).unwrapped
    #expect(entry.summary.count == 2 && entry.records.count == 2)
    #expect(entry.records.index(at: 0) == RecordIndex(1) && entry.records.index(at: 1) == RecordIndex(3))
  }

  @Test("what is done behind a record that failed is remembered by the next worker, also with other lanes")
  func restart() async throws {
    let stage = try Stage()
    try await stage.put(["a", "bad", "b", "c"])
    let first = try await stage.poller(.patient, idempotency: Idempotency(), Self.naming)
    #expect(await stage.next(2).map(\.data) == [["a", "bad", "b", "c"], ["bad"]])
    await first.end()
    #expect(try stage.stored()?.progress.next == RecordIndex(1))
    let second = try await stage.poller(.patient, factor: 3, idempotency: Idempotency())
    #expect(await stage.next()?.data == ["bad"])
    await second.end()
    #expect(stage.all.count == 3)
  }

  @Test("a redrive delivers only what of its entry is not done, and what it does is remembered")
  func redrive() async throws {
    let stage = try Stage()
    try await stage.put(["bad 1", "x", "bad 2"])
    let policy = LanePolicy.quick.with { $0.maximumRetryAttempts = 0 }
    // AWS's way to name a failure: nothing is known of those behind it.
    let first = try await stage.poller(policy, idempotency: Idempotency()) { _, _ in throw Refused() }
    #expect(await stage.next()?.data == ["bad 1", "x", "bad 2"])
    try await until { try stage.store.failureCount() == 1 }
    await first.end()
    let poller = try await stage.poller(policy, idempotency: Idempotency()) { delivered, batch in
      delivered.data.first == "bad 1" ? .failedRecords([batch.sequenceNumber(at: batch.count - 1)]) : .succeeded
    }
    let entry = try stage.store.failure(1).unwrapped.summary
    #expect(poller.redrive(entry))
    #expect(await stage.next()?.data == ["bad 1", "x", "bad 2"])
    #expect(poller.redrive(entry))
    #expect(await stage.next()?.data == ["bad 2"])
    try await until { try stage.store.failureCount() == 0 }
    await poller.end()
    #expect(stage.all.count == 3)
  }

  @Test("with a field as the key each value is done once, however often it is put")
  func field() async throws {
    let stage = try Stage()
    try await stage.put([Self.change("1"), Self.change("2"), Self.change("1", "again"), "no JSON", "no JSON"])
    let idempotency = Idempotency(key: .field(["id"]))
    let first = try await stage.poller(idempotency: idempotency)
    // Two records with one key are never in one batch: the second waits for the first.
    #expect(
      await stage.next(2).map(\.data) == [[Self.change("1"), Self.change("2")], ["no JSON", "no JSON"]])
    try await until { try stage.stored()?.progress.next == RecordIndex(5) }
    await first.end()
    try await stage.put([Self.change("2", "later"), Self.change("3")])
    let second = try await stage.poller(idempotency: idempotency)
    #expect(await stage.next()?.data == [Self.change("3")])
    await second.end()
    #expect(stage.all.count == 3)
  }

  @Test("a record whose twin failed is not taken for done")
  func twin() async throws {
    let stage = try Stage()
    try await stage.put([Self.change("1", "first"), Self.change("1", "second")])
    let poller = try await stage.poller(
      .quick.with { $0.maximumRetryAttempts = 0 }, idempotency: Idempotency(key: .field(["id"]))
    ) { delivered, _ in
      if delivered.data == [Self.change("1", "first")] { throw Refused() }
      return .succeeded
    }
    #expect(await stage.next(2).map(\.data) == [[Self.change("1", "first")], [Self.change("1", "second")]])
    try await until { try stage.stored()?.progress.next == RecordIndex(2) }
    await poller.end()
    #expect(try stage.store.failureCount() == 1)
  }

  @Test("a key counts among the records of its partition key")
  func partitions() async throws {
    let stage = try Stage()
    var request = AppendRequest(to: try stage.store.routing(of: "orders"))
    for key in ["a", "b", "a"] { try request.add(partitionKey: key, data: Array(Self.change("1", key).utf8)) }
    _ = try await stage.store.append(request)
    let poller = try await stage.poller(idempotency: Idempotency(key: .field(["id"])))
    #expect(await stage.next()?.data == [Self.change("1", "a"), Self.change("1", "b")])
    try await until { try stage.stored()?.progress.next == RecordIndex(3) }
    await poller.end()
    #expect(stage.all.count == 1)
  }

  @Test("a key is forgotten when it has expired, and its place is free")
  func expiry() async throws {
    let stage = try Stage()
    let idempotency = Idempotency(key: .field(["id"]), expiryMilliseconds: 60_000, keyLimit: 2)
    let poller = try await stage.poller(.patient, idempotency: idempotency)
    try await stage.put([Self.change("1"), Self.change("2")])
    #expect(await stage.next()?.data.count == 2)
    try await until { try stage.stored()?.progress.next == RecordIndex(2) }
    stage.clock.advance(milliseconds: 60_001)
    try await stage.put([Self.change("1", "again")])
    #expect(await stage.next()?.data == [Self.change("1", "again")])
    try await until { try stage.stored()?.progress.next == RecordIndex(3) }
    await poller.end()
    let mapping = try stage.store.catalog().mapping(named: "test").unwrapped.number
    var keys = 0
    try stage.store.forEachTableEntry(of: mapping, from: SettledKey.timePrefix) { place, _ in
      keys += place.bytes.starts(with: SettledKey.timePrefix) ? 1 : 0
      return true
    }
    #expect(keys == 1)
  }

  @Test("at the limit of keys the lane waits, and says why")
  func limit() async throws {
    let stage = try Stage()
    let poller = try await stage.poller(
      .patient.with { $0.batchSize = 2 }, idempotency: Idempotency(key: .field(["id"]), keyLimit: 2))
    try await stage.put([Self.change("1"), Self.change("2"), Self.change("3")])
    #expect(await stage.next()?.data.count == 2)
    try await until {
      poller.look(at: "test")?[ShardNumber(0)]?.first?.history.last?.type == "IdempotencyKeysFull"
    }
    #expect(poller.look(at: "test")?[ShardNumber(0)]?.first?.snapshot.failing?.attempts == 0)
    await poller.end()
    #expect(stage.all.count == 1)
    #expect(try stage.stored()?.progress.next == RecordIndex(2))
  }

  @Test("it does not go with handlers that write to tables, with blocking by key, or with windows")
  func refused() async throws {
    let stage = try Stage()
    for policy in [
      LanePolicy.quick.with { $0.parking = ParkingPolicy(keyLimit: 1, recordLimit: 1, deliveryLimit: 1) },
      .quick.with { $0.tumblingWindowMilliseconds = 1_000 },
    ] {
      await #expect(throws: PollerError.idempotencyAlone(mapping: "test")) {
        try await stage.poller(policy, idempotency: Idempotency())
      }
    }
    #expect(
      Idempotency(key: .field([]), expiryMilliseconds: 0, keyLimit: 0).problems.count == 3)
    #expect(Idempotency().problems.isEmpty)
  }
}

@Suite("Stream poller: what was delivered again", .timeLimit(.minutes(10)))
struct RedeliveryTests {
  private func entries(_ stage: Stage) throws -> [RedeliveryEntry] {
    let mapping = try stage.store.catalog().mapping(named: "test").unwrapped.number
    return try RedeliveryLog.entries(of: mapping, in: stage.store).reversed()
  }

  private func causes(_ stage: Stage) throws -> [Redelivery.Cause] { try entries(stage).map(\.redelivery.cause) }

  @Test("nothing is written while nothing comes again")
  func nothing() async throws {
    let stage = try Stage()
    let poller = try await stage.poller()
    try await stage.put(["a", "b"])
    _ = await stage.next()
    await poller.end()
    #expect(try entries(stage).isEmpty)
  }

  @Test("a retry, the rest of a partial failure and the halves of a batch are told apart")
  func causes() async throws {
    let stage = try Stage()
    try await stage.put(["a", "b", "c", "bad"])
    let poller = try await stage.poller(
      .quick.with {
        $0.maximumRetryAttempts = 1
        $0.bisectsBatchOnError = true
      }
    ) { delivered, batch in
      if delivered.data.count == 4 { return .failed(at: batch.sequenceNumber(at: 1)) }
      if delivered.data.contains("bad") { throw Refused() }
      return .succeeded
    }
    // abcd; bcd; b; c bad; c; bad; bad
    #expect(await stage.next(7).map(\.data.count) == [4, 3, 1, 2, 1, 1, 1])
    try await until { try stage.stored()?.progress.next == RecordIndex(4) }
    await poller.end()
    let all = try entries(stage)
    #expect(
      all.map(\.redelivery) == [
        Redelivery(count: 3, cause: .partialFailure), Redelivery(count: 1, cause: .bisect),
        Redelivery(count: 2, cause: .bisect), Redelivery(count: 1, cause: .bisect),
        Redelivery(count: 1, cause: .bisect), Redelivery(count: 1, cause: .retry),
      ])
    #expect(all.last?.first == RecordIndex(3) && all.last?.attempt == 2)
    // The retry of a batch is the same invocation as far as its id goes; the one before has the id of its failure.
    #expect(all[5].requestID == all[4].requestID && Set(all.map(\.requestID)).count == 5)
    let mapping = try stage.store.catalog().mapping(named: "test").unwrapped.number
    #expect(
      try RedeliveryLog.sums(of: mapping, in: stage.store).records == [.partialFailure: 3, .bisect: 5, .retry: 1])
  }

  @Test("a redrive is told, with the id of its failure")
  func redrive() async throws {
    let stage = try Stage()
    try await stage.put(["bad"])
    let poller = try await stage.poller(.quick.with { $0.maximumRetryAttempts = 0 }) { _, _ in throw Refused() }
    _ = await stage.next()
    try await until { try stage.store.failureCount() == 1 }
    #expect(poller.redrive(try stage.store.failure(1).unwrapped.summary))
    _ = await stage.next()
    try await until { try stage.store.failure(1).unwrapped.summary.redrives == 1 }
    await poller.end()
    #expect(try causes(stage) == [.redrive])
    let history = try stage.store.failure(1).unwrapped.summary.history
    #expect(try entries(stage)[0].requestID == history.last?.requestID)
  }

  @Test("after a worker that did not end well what may have been in flight is told; records that came later are not")
  func restart() async throws {
    let stage = try Stage()
    try await stage.put(["a", "b", "c"])
    let gate = Gate()
    let first = try await stage.poller(.quick.with { $0.batchSize = 2 }) { _, _ in
      try await Gate.untilCancelled()
      return .succeeded
    }
    _ = await stage.next()
    await first.end(isStopping: true)
    gate.open()
    let second = try await stage.poller(.quick.with { $0.batchSize = 2 })
    #expect(await stage.next(2).map(\.data) == [["a", "b"], ["c"]])
    try await until { try stage.stored()?.progress.next == RecordIndex(3) }
    try await stage.put(["d"])
    #expect(await stage.next()?.data == ["d"])
    await second.end()
    #expect(
      try entries(stage).map(\.redelivery) == [
        Redelivery(count: 2, cause: .restart), Redelivery(count: 1, cause: .restart),
      ])
    // The second one ended well.
    try await stage.put(["e"])
    let third = try await stage.poller()
    #expect(await stage.next()?.data == ["e"])
    await third.end()
    #expect(try entries(stage).count == 2)
  }

  @Test("an invocation that did not come about is no redelivery")
  func throttled() async throws {
    let stage = try Stage()
    try await stage.put(["bad"])
    let calls = Mutex(0)
    let poller = try await stage.poller(.quick.with { $0.maximumRetryAttempts = 3 }) { _, _ in
      let call = calls.withLock { calls in
        calls += 1
        return calls
      }
      switch call {
      case 1: throw Refused()
      case 2, 3: throw HandlerFailure(kind: .throttled, type: "Full", message: "no capacity")
      default: return .succeeded
      }
    }
    try await until { try stage.stored()?.progress.next == RecordIndex(1) }
    await poller.end()
    #expect(calls.withLock { $0 } == 4)
    #expect(try entries(stage).map(\.redelivery) == [Redelivery(count: 1, cause: .retry)])
    let mapping = try stage.store.catalog().mapping(named: "test").unwrapped.number
    let sums = try RedeliveryLog.sums(of: mapping, in: stage.store)
    #expect(sums.records == [.retry: 1] && sums.deliveries == 1)
  }

  @Test("of workers that did not end well the greatest bound counts, until one ends well")
  func bounds() async throws {
    let stage = try Stage()
    await (try await stage.poller()).end()
    let mapping = try stage.store.catalog().mapping(named: "test").unwrapped.number
    func log(_ suspects: Int, hasOtherLanes: Bool = false) async throws -> RedeliveryLog {
      let clock = stage.clock
      return try await RedeliveryLog(
        of: mapping, in: stage.store, suspects: suspects, hasOtherLanes: hasOtherLanes, clock: { clock.now() },
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
    let first = try await log(10)
    #expect(first.formerSuspects == 0)
    await first.widen(to: 50)
    await first.widen(to: 20)
    #expect(try await log(5).formerSuspects == 50)
    #expect(try await log(60).formerSuspects == 50)
    let last = try await log(5, hasOtherLanes: true)
    #expect(last.formerSuspects == .max)
    await last.close()
    #expect(try await log(5, hasOtherLanes: true).formerSuspects == 0)
  }

  @Test(
    "a batch says which of its records came again if the mapping wants it, and only then", arguments: [true, false])
  func marks(isWanted: Bool) async throws {
    let stage = try Stage()
    try await stage.put(["a", "b"])
    let marks = AsyncStream<Redelivery?>.makeStream()
    let poller = try await stage.poller(.quick, marksRedeliveries: isWanted) { delivered, batch in
      marks.continuation.yield(batch.origin.redelivery)
      return delivered.data.count == 2 ? .failed(at: batch.sequenceNumber(at: 1)) : .succeeded
    }
    var seen: [Redelivery?] = []
    for await mark in marks.stream {
      seen.append(mark)
      if seen.count == 2 { break }
    }
    await poller.end()
    #expect(seen == [nil, isWanted ? Redelivery(count: 1, cause: .partialFailure) : nil])
  }

  @Test("only so many deliveries are kept, the sums are of all")
  func ring() async throws {
    let stage = try Stage()
    try await stage.put(["bad"])
    let count = RedeliveryLog.limit + 20
    let poller = try await stage.poller(
      .quick.with {
        $0.maximumRetryAttempts = count
        $0.retryBackoff = Backoff(firstMilliseconds: 0, capMilliseconds: 0, jitterPercent: 0)
      }
    ) { _, _ in throw Refused() }
    try await until { try stage.store.failureCount() == 1 }
    await poller.end()
    #expect(try entries(stage).count == RedeliveryLog.limit)
    #expect(try entries(stage).last?.attempt == count + 1)
    let mapping = try stage.store.catalog().mapping(named: "test").unwrapped.number
    #expect(try RedeliveryLog.sums(of: mapping, in: stage.store).records == [.retry: UInt64(count)])
  }
}
