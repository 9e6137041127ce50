import EventPattern
import Foundation
import Locks
import Logging
import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// A delivery as the handler saw it.
struct Delivered: Hashable, Sendable {
  var shard: UInt32
  var data: [String]
  var attempt: Int
}

/// A folder with a store, a clock that can be set, and a handler that announces what it gets. Pollers come and go.
final class Stage: Sendable {
  typealias Body = @Sendable (Delivered, RecordBatch) async throws -> HandlerOutcome
  typealias WritingBody = @Sendable (Delivered, RecordBatch, inout TableScope) async throws -> HandlerOutcome

  let path: String
  let store: StreamStore
  let clock = JumpingClock()
  let deliveries: AsyncStream<Delivered>
  private let announced: AsyncStream<Delivered>.Continuation
  private let seen = Mutex<[Delivered]>([])
  private let logger: Logger

  init(
    shards: Int = 1, mapBytes: Int = 1 << 30, logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
    _ change: (inout StoreOptions) -> Void = { _ in }
  ) throws {
    self.logger = logger
    path = FileManager.default.temporaryDirectory.appending(path: "sluice-runtime-\(UUID())").path
    var options = StoreOptions()
    options.durability = .system
    options.mapBytes = mapBytes
    let clock = clock
    options.now = { clock.now().wall }
    change(&options)
    store = try StreamStore.open(at: path, options: options)
    (deliveries, announced) = AsyncStream.makeStream()
    _ = try store.performBlocking(.createStream(NewStream(name: "orders", shardCount: shards)))
  }

  deinit {
    store.close()
    try? FileManager.default.removeItem(atPath: path)
  }

  /// Every delivery so far, over all pollers.
  var all: [Delivered] { seen.withLock { $0 } }

  var stream: StreamInfo {
    get throws { try store.catalog().stream(named: "orders").unwrapped }
  }

  func address(_ shard: UInt32) throws -> ShardAddress {
    ShardAddress(stream: try stream.number, shard: ShardNumber(shard))
  }

  /// Puts one record for each text, into the shard that `shard` of `shards` equal parts of the key space is.
  func put(_ texts: [String], into stream: String = "orders", shard: Int = 0, of shards: Int = 1) async throws {
    var request = AppendRequest(to: try store.routing(of: stream))
    let key = HashKeyRange.evenly(shards)[shard].first
    for text in texts { try request.add(partitionKey: "key", data: Array(text.utf8), explicitHashKey: key) }
    _ = try await store.append(request)
  }

  /// Puts `count` records for each partition key in turn, each with `KEY NUMBER` as its text.
  func put(keys: [String], _ numbers: Range<Int>) async throws {
    var request = AppendRequest(to: try store.routing(of: "orders"))
    for number in numbers {
      for key in keys { try request.add(partitionKey: key, data: Array("\(key) \(number)".utf8)) }
    }
    _ = try await store.append(request)
  }

  /// Another stream of one shard, beside the one that the mapping reads.
  func create(_ stream: String) throws {
    _ = try store.performBlocking(.createStream(NewStream(name: stream, shardCount: 1)))
  }

  /// Retention takes every record of a stream of one shard.
  func empty(_ stream: String) async throws {
    let number = try store.catalog().stream(named: stream).unwrapped.number
    let address = ShardAddress(stream: number, shard: ShardNumber(0))
    _ = try await store.trim(
      TrimOrder(cutoffs: [.init(address: address, arrivedBefore: .distantFuture)], blockLimit: 1_000))
  }

  /// A poller whose handler announces a delivery and then does `body`. It has the clock of the stage, or one
  /// whose wall time stands at a moment.
  func poller(
    _ policy: LanePolicy = .quick, start: StartingPosition = .trimHorizon, limits: PollerLimits = .init(),
    at standing: WallTime? = nil, filters: [String] = [], rules: [RetryRule] = [], factor: Int = 1,
    idempotency: Idempotency? = nil, marksRedeliveries: Bool = false, _ body: @escaping Body = { _, _ in .succeeded }
  ) async throws -> StreamPoller {
    let handler = AnnouncingHandler(body: body, announce: announce)
    return try await poller(
      policy, start: start, limits: limits, at: standing, filters: filters, rules: rules, factor: factor,
      idempotency: idempotency, marksRedeliveries: marksRedeliveries, handler: handler)
  }

  /// A poller whose handler writes to tables.
  func poller(
    _ policy: LanePolicy, factor: Int = 1, writing body: @escaping WritingBody
  ) async throws -> StreamPoller {
    try await poller(policy, factor: factor, handler: AnnouncingWriter(body: body, announce: announce))
  }

  private func announce(_ delivered: Delivered) {
    seen.withLock { $0.append(delivered) }
    announced.yield(delivered)
  }

  private func poller(
    _ policy: LanePolicy, start: StartingPosition = .trimHorizon, limits: PollerLimits = .init(),
    at standing: WallTime? = nil, filters: [String] = [], rules: [RetryRule] = [], factor: Int = 1,
    idempotency: Idempotency? = nil, marksRedeliveries: Bool = false, handler: any BatchHandler
  ) async throws -> StreamPoller {
    let clock = clock
    let poller = StreamPoller(
      store: store, limits: limits, seed: 1,
      clock: { Now(monotonic: clock.now().monotonic, wall: standing ?? clock.now().wall) },
      logger: logger)
    clock.observe { [weak poller] in poller?.clockWasSet() }
    var plan = MappingPlan(
      name: "test", stream: "orders", start: start, policy: policy, handler: handler, recordOverhead: 700,
      retryRules: rules)
    plan.parallelizationFactor = factor
    plan.idempotency = idempotency
    if idempotency != nil { plan.policy.unstoredBatchLimit = 1 }
    plan.marksRedeliveries = marksRedeliveries
    if !filters.isEmpty {
      let filter = try EventFilter(filters, source: .kinesis)
      plan.makeSelection = { FilterSelection(EventMatcher(filter)) }
    }
    try await poller.add(plan)
    return poller
  }

  /// The next delivery that was not waited for yet.
  func next() async -> Delivered? {
    for await delivered in deliveries { return delivered }
    return nil
  }

  func next(_ count: Int) async -> [Delivered] {
    var result: [Delivered] = []
    while result.count < count, let delivered = await next() { result.append(delivered) }
    return result
  }

  /// Flips a bit of each place in the data file where this text stands.
  func damage(_ text: String) throws {
    let file = URL(filePath: path).appending(path: "data.mdb")
    let bytes = try Data(contentsOf: file)
    let handle = try FileHandle(forUpdating: file)
    var start = bytes.startIndex
    while let found = bytes.range(of: Data(text.utf8), in: start..<bytes.endIndex) {
      try handle.seek(toOffset: UInt64(found.lowerBound))
      try handle.write(contentsOf: Data([bytes[found.lowerBound] ^ 1]))
      start = found.upperBound
    }
    try handle.close()
    guard start != bytes.startIndex else { throw Refused() }
  }

  /// What the store keeps of the lane.
  func stored(_ shard: UInt32 = 0, slot: UInt8 = 0) throws -> StoredLane? {
    let mapping = try store.catalog().mapping(named: "test").unwrapped
    let record = try store.lane(LaneKey(mapping: mapping.number, address: try address(shard), slot: slot))
    return try record.map { try StoredLane(decoding: $0.payload) }
  }
}

extension Optional {
  struct Missing: Error {}

  var unwrapped: Wrapped {
    get throws {
      guard let self else { throw Missing() }
      return self
    }
  }
}

extension StreamPoller {
  /// Drained, and its threads ended.
  func end(isStopping: Bool = false) async {
    await drain(isStopping: isStopping)
    close()
  }

  func redrive(_ entry: FailureSummary, slot: Int = 0) -> Bool {
    let extent = BatchExtent(
      first: entry.firstIndex, last: entry.lastIndex, count: entry.count, firstArrival: entry.firstArrival,
      lastArrival: entry.lastArrival,
      payloadBytes: 0)
    return order(
      { .redriveRequested($0, Redrive(entry: entry.number, extent: extent)) }, mapping: "test",
      shard: entry.address.shard, slot: slot)
  }
}

extension LanePolicy {
  /// Retries come almost at once.
  static let quick = LanePolicy(retryBackoff: Backoff(firstMilliseconds: 1, capMilliseconds: 2, jitterPercent: 0))

  /// Retries come only when someone asks for them.
  static let patient = LanePolicy(
    retryBackoff: Backoff(firstMilliseconds: 3_600_000, capMilliseconds: 3_600_000, jitterPercent: 0))

  func with(_ change: (inout LanePolicy) -> Void) -> LanePolicy {
    var policy = self
    change(&policy)
    return policy
  }
}

struct Refused: Error, CustomStringConvertible {
  var description: String { "refused" }
}

private struct AnnouncingHandler: BatchHandler {
  let body: Stage.Body
  let announce: @Sendable (Delivered) -> Void

  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    let delivered = Delivered(batch)
    announce(delivered)
    return try await body(delivered, batch)
  }
}

private struct AnnouncingWriter: TransactionalBatchHandler {
  let body: Stage.WritingBody
  let announce: @Sendable (Delivered) -> Void

  func handle(_ batch: RecordBatch, in scope: inout TableScope) async throws -> HandlerOutcome {
    let delivered = Delivered(batch)
    announce(delivered)
    return try await body(delivered, batch, &scope)
  }
}

extension Delivered {
  fileprivate init(_ batch: RecordBatch) {
    self.init(
      shard: batch.origin.shard.rawValue,
      data: (0..<batch.count).map { String(decoding: batch[$0].dataBytes, as: UTF8.self) },
      attempt: batch.origin.attempt)
  }
}

/// The machine's clocks, which can be made to jump.
final class JumpingClock: Sendable {
  private struct State {
    var monotonic: Int64 = 0
    var wall: Int64 = 0
    var observers: [@Sendable () -> Void] = []
  }

  private let state = Mutex(State())

  func now() -> Now {
    let now = SystemClock.now()
    return state.withLock {
      Now(
        monotonic: MonotonicTime(nanoseconds: now.monotonic.nanoseconds + $0.monotonic),
        wall: now.wall.adding(milliseconds: $0.wall))
    }
  }

  /// Both clocks move on.
  func advance(milliseconds: Int64) {
    let observers = state.withLock { state in
      state.monotonic += milliseconds * 1_000_000
      state.wall += milliseconds
      return state.observers
    }
    for observer in observers { observer() }
  }

  /// The wall clock alone is set back.
  func stepBack(milliseconds: Int64) {
    state.withLock { $0.wall -= milliseconds }
  }

  func observe(_ observer: @escaping @Sendable () -> Void) {
    state.withLock { $0.observers.append(observer) }
  }
}

/// Waits until something holds that nobody announces.
func until(_ holds: () throws -> Bool) async throws {
  while try !holds() {
    try Task.checkCancellation()
    await Task.yield()
  }
}

/// A door that handlers wait at, whether or not they are cancelled, until it is opened.
final class Gate: Sendable {
  private struct State {
    var isOpen = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())

  func pass() async {
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        if !state.isOpen { state.waiting.append(continuation) }
        return state.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }

  func open() {
    let waiting = state.withLock { state in
      state.isOpen = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Waits until the task is cancelled.
  static func untilCancelled() async throws {
    for await _ in AsyncStream<Never>.makeStream().stream {}
    try Task.checkCancellation()
  }
}
