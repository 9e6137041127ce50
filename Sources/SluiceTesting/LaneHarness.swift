import ShardCore
public import Sluice
public import StreamModel
import StreamRuntime

/// Exercises a handler as a lane would, without a store and without waiting: time stands still until it is advanced.
///
/// ```swift
/// let lane = LaneHarness(orders, handler: bookOrders)
/// try lane.append(3)
/// await lane.advance(by: .milliseconds(200))
/// #expect(lane.deliveries == [.batch(1...3, attempt: 1)])
/// ```
///
/// The decisions are those of the real core. What differs: every write succeeds at once, and since the harness waits for
/// the handler, the handler's timeout never fires; throw a `HandlerFailure(kind: .timedOut, …)` to see what it leads to.
public final class LaneHarness {
  /// A batch that the handler got, or the end of a tumbling window. Records count from 1.
  public struct Delivered: Hashable, Sendable, CustomStringConvertible {
    /// `nil` at the end of a window: there are none.
    public var records: ClosedRange<Int>?
    public var attempt: Int

    public static func batch(_ records: ClosedRange<Int>, attempt: Int) -> Delivered {
      Delivered(records: records, attempt: attempt)
    }

    public static func windowEnd(attempt: Int) -> Delivered { Delivered(records: nil, attempt: attempt) }

    public var description: String {
      records.map { "batch(\($0), attempt: \(attempt))" } ?? "windowEnd(attempt: \(attempt))"
    }
  }

  /// A batch that left the lane without success, or the end of a tumbling window. Records count from 1.
  public struct GivenUp: Hashable, Sendable {
    /// `nil` for the end of a window: its state left.
    public var records: ClosedRange<Int>?
    public var condition: FailureCondition

    public static func batch(_ records: ClosedRange<Int>, _ condition: FailureCondition) -> GivenUp {
      GivenUp(records: records, condition: condition)
    }

    public static func windowEnd(_ condition: FailureCondition) -> GivenUp {
      GivenUp(records: nil, condition: condition)
    }
  }

  /// Every delivery so far, in order.
  public private(set) var deliveries: [Delivered] = []
  /// Every batch that was given up so far, in order.
  public private(set) var givenUp: [GivenUp] = []
  /// How many records are settled: everything up to this one, counted from 1.
  public var checkpoint: Int { Int(progress.next.rawValue) }
  /// The tumbling window that has begun and is not over.
  public var window: TimeWindow? { progress.window?.bounds }
  /// What the next invocation of that window is given. Empty if none has begun.
  public var windowState: WindowState { progress.window?.state ?? .empty }
  /// When the next thing happens by itself, counted from now. `nil` if nothing will.
  public var nextMoment: Duration? {
    armed.map { .nanoseconds(max(0, $0.nanoseconds - now.monotonic.nanoseconds)) }
  }

  private let mapping: EventSourceMapping
  private let retryRules: RetryRuleMatcher?
  private let handler: Handler
  private var poller = Poller(limits: PollerLimits())
  private var random: SplitMix64
  private var now = Now(monotonic: .zero, wall: beginning)
  private var armed: MonotonicTime?
  private var progress = LaneProgress()
  private var records: [Stored] = []
  private var isClosed = false
  private var pending: [PollerEvent] = []
  private var delivering: Range<Int> = 0..<0

  private enum Handler {
    case plain(@Sendable (RecordBatch) async throws -> HandlerOutcome)
    case windowed(@Sendable (WindowedBatch) async throws -> WindowedOutcome)
  }

  private struct Stored {
    var packed: [UInt8]
    var payloadBytes: Int
    var arrival: WallTime
  }

  private static let lane = LaneID(0)
  private static let beginning = WallTime(milliseconds: 1_700_000_000_000)

  /// A lane at the beginning of an empty shard. `seed` decides the jitter of the waits.
  public convenience init(
    _ mapping: EventSourceMapping, seed: UInt64 = 1,
    handler: @escaping @Sendable (RecordBatch) async throws -> HandlerOutcome
  ) {
    precondition(mapping.tumblingWindow == .zero, "a mapping with tumbling windows is shown by LaneHarness.windowed")
    self.init(mapping, seed: seed, .plain(handler))
  }

  /// The same with a handler for tumbling windows. Windows stand at the multiples of their length after the beginning,
  /// which is one of all lengths that divide 100 seconds; records arrive when they are appended.
  ///
  /// ```swift
  /// let lane = LaneHarness.windowed(sums, handler: sum)
  /// lane.append(3)
  /// await lane.advance(by: .seconds(11))
  /// #expect(lane.deliveries == [.batch(1...3, attempt: 1), .windowEnd(attempt: 1)])
  /// ```
  public static func windowed(
    _ mapping: EventSourceMapping, seed: UInt64 = 1,
    handler: @escaping @Sendable (WindowedBatch) async throws -> WindowedOutcome
  ) -> LaneHarness {
    precondition(mapping.tumblingWindow > .zero, "a mapping without tumbling windows has a handler for batches")
    return LaneHarness(mapping, seed: seed, .windowed(handler))
  }

  private init(_ mapping: EventSourceMapping, seed: UInt64, _ handler: Handler) {
    precondition(mapping.blocking == .shard, "the harness shows a lane that blocks as a whole")
    self.mapping = mapping
    self.retryRules = RetryRuleMatcher(mapping.retry.rules)
    self.handler = handler
    self.random = SplitMix64(seed: seed)
    let id = poller.addMapping(mapping.policy)
    pending.append(.laneOpened(LaneOpening(mapping: id, parents: [], progress: LaneProgress())))
  }

  /// Appends records that arrive now. They are delivered with the next ``advance(by:)``.
  public func append(_ data: [[UInt8]], partitionKey: String = "key") {
    for bytes in data {
      var packed: [UInt8] = []
      var key = partitionKey
      key.withUTF8 { keyBytes in
        bytes.withUnsafeBytes {
          RecordLayout.append(
            partitionKey: UnsafeRawBufferPointer(keyBytes), data: $0, explicitHashKey: nil, to: &packed)
        }
      }
      records.append(Stored(packed: packed, payloadBytes: (bytes.count + 2) / 3 * 4 + 700, arrival: now.wall))
    }
    pending.append(.shardChanged(Self.lane))
  }

  /// Appends `count` records whose data is their number, counted from 1.
  public func append(_ count: Int) {
    append((0..<count).map { Array(String(records.count + $0 + 1).utf8) })
  }

  /// Closes the shard, as a split or a merge does.
  public func closeShard() {
    isClosed = true
    pending.append(.shardChanged(Self.lane))
  }

  /// Does everything that is due now, then lets this much time pass and does everything that falls due on the way.
  public func advance(by duration: Duration = .zero) async {
    let (seconds, attoseconds) = duration.components
    let target = now.monotonic.nanoseconds + seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    await settle()
    while let due = armed, due.nanoseconds <= target {
      move(to: max(due.nanoseconds, now.monotonic.nanoseconds))
      armed = nil
      pending.append(.timerFired)
      await settle()
    }
    move(to: target)
  }

  private func move(to nanoseconds: Int64) {
    // From the beginning and not from the last move: fractions of a millisecond add up.
    now = Now(
      monotonic: MonotonicTime(nanoseconds: nanoseconds),
      wall: Self.beginning.adding(milliseconds: nanoseconds / 1_000_000))
  }

  private func settle() async {
    while !pending.isEmpty {
      var effects: [PollerEffect] = []
      poller.step(pending.removeFirst(), at: now, random: &random, effects: &effects)
      for effect in effects { await carryOut(effect) }
    }
  }

  private func carryOut(_ effect: PollerEffect) async {
    switch effect {
    case .read(let lane, let request):
      pending.append(.readAnswered(lane, read(request)))
    case .deliver(let lane, let delivery):
      pending.append(.handlerAnswered(lane, delivery.id, await deliver(delivery)))
    case .storeProgress(let lane, let progress, let revision):
      self.progress = progress
      pending.append(.progressStored(lane, revision: revision))
    case .storeFailure(let lane, let order, let ticket):
      givenUp.append(GivenUp(records: numbers(order.extent), condition: order.condition))
      pending.append(.failureStored(lane, ticket: ticket))
    case .armTimer(let moment):
      armed = moment
    case .cancelHandler, .settleRedrive, .countLost, .keepWrites, .tooLarge, .recursiveLoop, .mappingClosed, .drained:
      // The handler has ended before anything else happens, and nobody redrives, trims, closes or drains here.
      return
    }
  }

  /// `nil` without records.
  private func numbers(_ extent: BatchExtent) -> ClosedRange<Int>? {
    extent.isEmpty ? nil : Int(extent.first.rawValue) + 1...Int(extent.last.rawValue) + 1
  }

  private func read(_ request: ReadRequest) -> ReadAnswer {
    let start = Int(request.from.rawValue)
    guard start < records.count else {
      return isClosed ? .shardEnd(end: RecordIndex(UInt64(records.count))) : .caughtUp
    }
    var end = start
    var bytes = 0
    let cut = request.cut.end(first: records[start].arrival)
    while end < records.count, end == start || records[end].arrival < cut, end - start < request.countLimit,
      end == start || bytes + records[end].payloadBytes <= request.payloadByteLimit
    {
      bytes += records[end].payloadBytes
      end += 1
    }
    let expired = request.expiredBefore.map { limit in
      records[start..<end].prefix { $0.arrival < limit }.count
    }
    if request.purpose == .deliver { delivering = start..<end }
    return .records(
      ReadResult(
        extent: BatchExtent(
          first: request.from, count: end - start, firstArrival: records[start].arrival,
          lastArrival: records[end - 1].arrival, payloadBytes: bytes),
        isFull: end < records.count || end - start == request.countLimit, expiredCount: expired ?? 0,
        lastExpiredArrival: expired.flatMap { $0 > 0 ? records[start + $0 - 1].arrival : nil } ?? .zero))
  }

  private func deliver(_ delivery: Delivery) async -> DeliveryAnswer {
    deliveries.append(Delivered(records: numbers(delivery.extent), attempt: delivery.attempt))
    var builder = RecordRunBuilder(firstIndex: delivery.extent.first)
    for position in Int(delivery.extent.first.rawValue)..<Int(delivery.extent.end.rawValue) {
      let isWellFormed = records[position].packed.withUnsafeBytes {
        builder.append(packed: $0, recordCount: 1, firstArrival: records[position].arrival)
      }
      precondition(isWellFormed, "the harness packed this record itself")
    }
    let run = builder.finish()
    let origin = BatchOrigin(
      stream: mapping.stream, shard: ShardNumber(0), shardCreatedAtSeconds: 1_700_000_000, attempt: delivery.attempt)
    let batch = delivery.extent.isEmpty ? nil : RecordBatch(origin: origin, run: run, range: 0..<run.count)
    do {
      switch handler {
      case .plain(let handle):
        // The end of a window that an earlier mapping has left: there is none here.
        guard let batch else { return .failed(.unavailable) }
        // The harness remembers nothing of what is done: the lowest failure counts, as on AWS.
        let lowest: SequenceNumber? =
          switch try await handle(batch) {
          case .succeeded: nil
          case .failed(let number): number
          case .failedRecords(let numbers): numbers.min()
          }
        guard let lowest else { return .succeeded }
        guard let position = batch.position(of: lowest.index) else { return .failed(.invalidResponse) }
        return .failed(at: lowest.index, position: position)
      case .windowed(let handle):
        guard let window = delivery.window else { return .failed(.unavailable) }
        let outcome = try await handle(
          WindowedBatch(
            origin: origin, records: batch, window: window.bounds, state: window.state,
            isTerminatedEarly: window.isTerminatedEarly))
        guard let number = outcome.failedAt else { return .returned(outcome.state) }
        guard let position = batch?.position(of: number.index) else { return .failed(.invalidResponse) }
        return .returnedPart(outcome.state, failedAt: number.index, position: position)
      }
    } catch let failure as HandlerFailure {
      return .failed(failure.kind, rule: retryRules?.rule(for: failure))
    } catch {
      let failure = HandlerFailure(
        kind: .error, type: String(describing: type(of: error)), message: String(describing: error))
      return .failed(.error, rule: retryRules?.rule(for: failure))
    }
  }
}
