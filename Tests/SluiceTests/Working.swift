import Logging
import ShardCore
import Sluice
import StreamModel
import StreamRuntime
import StreamStore
import Synchronization

/// A poller on a test store, whose handler announces the records it gets, one a batch, and then does `body`.
struct Working {
  let poller: StreamPoller
  private let announced: AsyncStream<String>

  /// The wait for a retry never ends by itself. `retries` is `MaximumRetryAttempts`.
  init(
    on store: StreamStore, retries: Int? = nil, parking: ParkingPolicy? = nil,
    _ body: @escaping @Sendable (String) async throws -> HandlerOutcome = { _ in .succeeded }
  ) async throws {
    let (announced, announce) = AsyncStream<String>.makeStream()
    self.announced = announced
    poller = StreamPoller(store: store, seed: 1, logger: .silent)
    var mapping = EventSourceMapping(stream: "orders", from: .trimHorizon)
    mapping.batch.limit = 1
    mapping.retry = .init(
      attempts: retries,
      backoff: .init(firstMilliseconds: 3_600_000, capMilliseconds: 3_600_000, jitterPercent: 0))
    let handler = Announcing { text in
      announce.yield(text)
      return try await body(text)
    }
    var policy = mapping.policy
    policy.parking = parking
    try await poller.add(
      MappingPlan(
        name: "orders", stream: "orders", start: .trimHorizon, policy: policy, handler: handler,
        recordOverhead: 700))
  }

  /// The next records that the handler got.
  func next(_ count: Int) async -> [String] {
    var texts: [String] = []
    for await text in announced {
      texts.append(text)
      if texts.count == count { break }
    }
    return texts
  }

  func end() async {
    await poller.drain()
    poller.close()
  }
}

private struct Announcing: BatchHandler {
  let body: @Sendable (String) async throws -> HandlerOutcome

  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    try await body(String(decoding: batch[0].dataBytes, as: UTF8.self))
  }
}

struct Unexpected: Error {}
