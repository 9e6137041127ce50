import ShardCore
import StreamModel

/// One lane, a shard of records, a store that takes everything at once, and a test that plays the handler and the clocks.
///
/// Reads and writes are answered at once unless the test holds them back, so that a test only tells of what matters.
struct LaneHarness {
  var poller: Poller
  let mapping: MappingID
  let lane = LaneID(0)
  private var random = Chance(number: 100)

  private(set) var milliseconds: Int64 = 0
  /// Added to the wall clock.
  var wallShift: Int64 = 1_000_000
  private var arrivals: [Int64] = []
  private var payloads: [Int] = []
  /// From how many invocations a record comes; those that are not named come from none.
  var hops: [Int: Int] = [:]
  private var answers: [PollerEvent] = []
  var base = 0
  /// The records of a block that is damaged.
  var damaged: Range<Int>?
  var isClosed = false

  /// Writes and reads wait for `answer…` while these are set.
  var holdsReads = false
  var holdsProgress = false
  var holdsFailures = false

  private(set) var deliveries: [Delivery] = []
  private(set) var reads: [ReadRequest] = []
  private(set) var failures: [FailureOrder] = []
  private(set) var cancelled: [DeliveryID] = []
  /// Deliveries whose writes count.
  private(set) var keptWrites: [DeliveryID] = []
  /// How many were kept when each read was asked for.
  private(set) var keptWritesBeforeRead: [Int] = []
  private(set) var stored: [LaneProgress] = []
  private(set) var lost: [UInt64] = []
  /// Records that failed without a delivery.
  private(set) var tooLarge: [BatchExtent] = []
  /// Records that left because they come from a loop.
  private(set) var loops: [Loop] = []
  private(set) var redrives: [Settled] = []
  private(set) var armed: [MonotonicTime] = []
  private(set) var drainedCount = 0
  private(set) var closedCount = 0
  var heldReads: [ReadRequest] = []
  var heldProgress: [(progress: LaneProgress, revision: UInt64)] = []
  var heldFailures: [UInt64] = []

  struct Loop: Equatable {
    var extent: BatchExtent
    var lineage: Lineage
  }

  struct Settled: Equatable {
    var entry: UInt64
    var succeeded: Bool
  }

  init(
    _ policy: LanePolicy, limits: PollerLimits = PollerLimits(), progress: LaneProgress = LaneProgress(),
    records: Int = 0, payload: Int = 1, bound: RecordIndex? = nil
  ) {
    poller = Poller(limits: limits)
    mapping = poller.addMapping(policy)
    for _ in 0..<records {
      arrivals.append(wall)
      payloads.append(payload)
    }
    var opening = LaneOpening(mapping: mapping, parents: [], progress: progress)
    opening.bound = bound
    send(.laneOpened(opening))
  }

  var wall: Int64 { milliseconds + wallShift }
  var now: Now {
    Now(
      monotonic: MonotonicTime(nanoseconds: milliseconds * 1_000_000), wall: WallTime(milliseconds: wall))
  }
  var snapshot: LaneSnapshot { poller.lane(lane) }
  var state: LaneSnapshot.State { snapshot.state }
  var checkpoint: UInt64? { stored.last?.next.rawValue }

  /// What was delivered, as first index, count and attempt.
  var delivered: [Batch] {
    deliveries.map { Batch(Int($0.extent.first.rawValue), $0.extent.count, attempt: $0.attempt) }
  }

  // MARK: The world

  mutating func append(_ count: Int, payload: Int = 1) {
    for _ in 0..<count {
      arrivals.append(wall)
      payloads.append(payload)
    }
    send(.shardChanged(lane))
  }

  mutating func close() {
    isClosed = true
    send(.shardChanged(lane))
  }

  /// Lets time pass; the timer fires whenever it is due.
  mutating func advance(by interval: Int64) {
    let end = milliseconds + interval
    while let next = armed.last, next.nanoseconds <= end * 1_000_000, !armed.isEmpty {
      milliseconds = max(milliseconds, (next.nanoseconds + 999_999) / 1_000_000)
      armed.removeAll()
      send(.timerFired)
    }
    milliseconds = end
  }

  // MARK: The handler

  mutating func succeed() { answer(.succeeded) }
  mutating func fail(_ kind: FailureKind = .error) { answer(.failed(kind)) }
  mutating func fail(at index: UInt64) {
    let first = deliveries.last?.extent.first.rawValue ?? 0
    answer(.failed(at: RecordIndex(index), position: Int(max(index, first) - first)))
  }

  /// The handler returns a state, and fails at a record or at none.
  mutating func give(_ state: [UInt8], failingAt index: UInt64? = nil) {
    let first = deliveries.last?.extent.first.rawValue ?? 0
    answer(
      index.map { .returnedPart(WindowState(state), failedAt: RecordIndex($0), position: Int(max($0, first) - first)) }
        ?? .returned(WindowState(state)))
  }

  mutating func answer(_ answer: DeliveryAnswer, delivery: DeliveryID? = nil) {
    send(.handlerAnswered(lane, delivery ?? deliveries.last?.id ?? DeliveryID(0), answer))
  }

  // MARK: Operators

  mutating func pause() { send(.pauseRequested(lane)) }
  mutating func resume() { send(.resumeRequested(lane)) }
  mutating func retry() { send(.retryRequested(lane)) }
  mutating func skip(through index: UInt64) { send(.skipRequested(lane, through: RecordIndex(index))) }
  mutating func skipDamage(_ block: UInt64, end: UInt64) {
    send(.damageSkipRequested(lane, block: RecordIndex(block), end: RecordIndex(end)))
  }
  mutating func redrive(_ entry: UInt64) {
    let extent = BatchExtent(first: .zero, count: 1, firstArrival: .zero, lastArrival: .zero, payloadBytes: 1)
    send(.redriveRequested(lane, Redrive(entry: entry, extent: extent)))
  }

  // MARK: The mapping

  mutating func change(_ policy: LanePolicy) { send(.policyChanged(mapping, policy)) }
  mutating func closeMapping(isStopping: Bool = false) {
    send(.mappingCloseRequested(mapping, isStopping: isStopping))
  }
  mutating func openMapping() { send(.mappingOpenRequested(mapping)) }

  // MARK: Steps

  mutating func send(_ event: PollerEvent) {
    answers.append(event)
    guard answers.count == 1 else { return }
    // What the world answers at once is heard after the orders of the step before.
    while let event = answers.first {
      var effects: [PollerEffect] = []
      poller.step(event, at: now, random: &random, effects: &effects)
      for effect in effects { carryOut(effect) }
      answers.removeFirst()
    }
  }

  private mutating func carryOut(_ effect: PollerEffect) {
    switch effect {
    case .read(_, let request):
      reads.append(request)
      keptWritesBeforeRead.append(keptWrites.count)
      if holdsReads { heldReads.append(request) } else { send(.readAnswered(lane, read(request))) }
    case .deliver(_, let delivery):
      deliveries.append(delivery)
    case .cancelHandler(_, let delivery):
      cancelled.append(delivery)
    case .keepWrites(_, let delivery):
      keptWrites.append(delivery)
    case .storeProgress(_, let progress, let revision):
      if holdsProgress {
        heldProgress.append((progress, revision))
      } else {
        stored.append(progress)
        send(.progressStored(lane, revision: revision))
      }
    case .storeFailure(_, let order, let ticket):
      if holdsFailures {
        heldFailures.append(ticket)
      } else {
        failures.append(order)
        send(.failureStored(lane, ticket: ticket))
      }
    case .settleRedrive(_, let entry, let succeeded):
      redrives.append(Settled(entry: entry, succeeded: succeeded))
    case .armTimer(let moment):
      armed.append(moment)
    case .tooLarge(_, let extent, key: _, isParked: _):
      tooLarge.append(extent)
    case .recursiveLoop(_, let extent, let lineage, key: _):
      loops.append(Loop(extent: extent, lineage: lineage))
    case .countLost(_, let count):
      lost.append(count)
    case .mappingClosed:
      closedCount += 1
    case .drained:
      drainedCount += 1
    }
  }

  func read(_ request: ReadRequest) -> ReadAnswer {
    let first = max(Int(request.from.rawValue), base)
    if let damaged, damaged.contains(first) { return .corrupted(block: RecordIndex(UInt64(damaged.lowerBound))) }
    guard first < arrivals.count else {
      return isClosed ? .shardEnd(end: RecordIndex(UInt64(arrivals.count))) : .caughtUp
    }
    var count = 0
    var bytes = 0
    let damage = damaged.map { first < $0.lowerBound ? $0.lowerBound : arrivals.count } ?? arrivals.count
    let end = min(damage, request.last.map { Int($0.rawValue) + 1 } ?? .max)
    guard first < end else {
      return .nothingSelected(begin: RecordIndex(UInt64(first)), end: RecordIndex(UInt64(first)))
    }
    let windowEnd = request.cut.end(first: WallTime(milliseconds: arrivals[first])).milliseconds
    func isOfLoop(_ index: Int) -> Bool { request.lineageLimit.map { Lineage(hops: hops[index] ?? 0) >= $0 } ?? false }
    while first + count < end, count < request.countLimit, isOfLoop(first + count) == isOfLoop(first),
      count == 0 || bytes + payloads[first + count] <= request.payloadByteLimit && arrivals[first + count] < windowEnd
    {
      bytes += payloads[first + count]
      count += 1
    }
    let isFull = count == request.countLimit || first + count < arrivals.count || isOfLoop(first)
    let limit = request.expiredBefore?.milliseconds ?? .min
    let expired = arrivals[first..<first + count].prefix { $0 < limit }.count
    var result = ReadResult(
      extent: BatchExtent(
        first: RecordIndex(UInt64(first)), count: count, firstArrival: WallTime(milliseconds: arrivals[first]),
        lastArrival: WallTime(milliseconds: arrivals[first + count - 1]), payloadBytes: bytes),
      isFull: isFull, expiredCount: expired,
      lastExpiredArrival: WallTime(milliseconds: expired > 0 ? arrivals[first + expired - 1] : 0))
    if request.lineageLimit != nil {
      result.lineage = (first..<first + count).reduce(.none) { max($0, Lineage(hops: hops[$1] ?? 0)) }
    }
    return .records(result)
  }
}

/// A batch as a test names it.
struct Batch: Equatable, CustomStringConvertible {
  var first: Int
  var count: Int
  var attempt: Int

  init(_ first: Int, _ count: Int, attempt: Int = 1) {
    self.first = first
    self.count = count
    self.attempt = attempt
  }

  var description: String { "\(first)..<\(first + count) attempt \(attempt)" }
}

/// Always the same number. The policies of the tests have no jitter.
struct Chance: RandomNumberGenerator {
  let number: UInt64
  mutating func next() -> UInt64 { number }
}

extension Backoff {
  /// 100 ms doubling to 1 s, without jitter.
  static let plain = Backoff(firstMilliseconds: 100, capMilliseconds: 1_000, jitterPercent: 0)
}

extension LanePolicy {
  /// A policy of round numbers: batches of 10, 1 s for the handler, backoff from 100 ms.
  static func plain(
    batchSize: Int = 10, payload: Int = 1_000, window: Int64 = 0, attempts: Int? = nil, age: Int64? = nil,
    bisects: Bool = false, inFlight: Int = 10, unstored: Int = 256
  ) -> LanePolicy {
    LanePolicy(
      batchSize: batchSize, payloadByteLimit: payload, windowMilliseconds: window, maximumRetryAttempts: attempts,
      maximumRecordAgeMilliseconds: age, bisectsBatchOnError: bisects, handlerTimeoutMilliseconds: 1_000,
      retryBackoff: .plain, systemBackoff: .plain, deliveriesInFlightLimit: inFlight, unstoredBatchLimit: unstored)
  }
}
