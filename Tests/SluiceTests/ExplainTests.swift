import ShardCore
import Sluice
import StreamModel
import StreamRuntime
import StreamStore
import Testing

@Suite("Store operator: explain", .timeLimit(.minutes(10)))
struct ExplainTests {
  private let store: TestStore

  init() throws {
    store = try TestStore()
  }

  private struct Failing: BatchHandler {
    let announce: AsyncStream<Int>.Continuation

    func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
      announce.yield(batch.count)
      if (0..<batch.count).contains(where: { batch[$0].dataBytes == Array("bad".utf8) }) { throw Unexpected() }
      return .succeeded
    }
  }

  /// Delivers until a batch has failed alone, and ends. Every wait is an hour.
  private func work(
    bisecting: Bool, rules: [RetryRule] = [], deliveries count: Int
  ) async throws -> LaneReport {
    let (announced, announce) = AsyncStream<Int>.makeStream()
    let poller = StreamPoller(store: store.store, seed: 1, logger: .silent)
    let hour = Backoff(firstMilliseconds: 3_600_000, capMilliseconds: 3_600_000, jitterPercent: 0)
    let policy = LanePolicy(
      batchSize: 10, maximumRetryAttempts: 2, bisectsBatchOnError: bisecting, retryBackoff: hour)
    try await poller.add(
      MappingPlan(
        name: "orders", stream: "orders", start: .trimHorizon, policy: policy, handler: Failing(announce: announce),
        recordOverhead: 700, retryRules: rules))
    var seen = 0
    for await _ in announced {
      seen += 1
      if seen == count { break }
    }
    await poller.drain()
    poller.close()
    guard
      case .lanes(let lanes) = await StoreOperator(store: store.store).perform(
        .explain(mapping: "orders", shard: nil)), let lane = lanes.first
    else { throw Unexpected() }
    return lane
  }

  @Test("behind a piece of a split batch stand the others, in their order")
  func pieces() async throws {
    for text in ["bad", "b", "c", "d", "e", "f", "g"] { try await store.put(text) }
    let lane = try await work(bisecting: true, deliveries: 3)
    // 7 are split into 3 and 4, 3 into 1 and 2.
    #expect(lane.batch?.records == 1)
    #expect(lane.pieces == [2, 4])
    #expect(lane.attempts.map(\.batch?.records) == [7, 3, 1])
  }

  @Test("without a worker, what comes next follows the stored retry rules", arguments: [true, false])
  func storedRules(counts: Bool) async throws {
    try await store.put("bad")
    let rule = RetryRule(
      "mine", errorTypes: ["Unexpected"],
      then: .retry(
        usesAttempt: counts, Backoff(firstMilliseconds: 600_000, capMilliseconds: 600_000, jitterPercent: 0)))
    let other = RetryRule("other", errorTypes: ["Nothing"], then: .giveUp)
    let lane = try await work(bisecting: false, rules: [other, rule], deliveries: 1)
    #expect(lane.attempts.last?.rule == "mine")
    let outlook = try #require(lane.outlook)
    if counts {
      #expect(outlook.deliveries == 2 && outlook.condition == "RetryAttemptsExhausted")
      let wait = try #require(outlook.leavesAt) - (lane.attempts.last?.startedAt ?? 0)
      #expect((1_199_000...1_300_000).contains(wait))
    } else {
      // With what the last delivery took, which on a busy machine is more than nothing.
      let every = try #require(outlook.everyMilliseconds)
      #expect((600_000...700_000).contains(every) && outlook.deliveries == nil)
    }
  }
}
