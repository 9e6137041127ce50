import ShardCore
import StreamModel

/// A lane that blocks by key, a shard of records that are only their keys, and a test that plays the handler.
///
/// Reads and writes are answered at once; what is stored is kept as a restart would find it.
struct KeyHarness {
  private var poller: Poller
  private let policy: LanePolicy
  private var random = Chance(number: 100)
  private let lane = LaneID(0)
  private var keys: [String]
  private var arrivals: [Int64]
  private var milliseconds: Int64 = 0
  private var events: [PollerEvent] = []
  private var armed: MonotonicTime?
  private var waiting: [(seat: LaneID, delivery: Delivery, records: [Int])] = []
  private var read: [LaneID: [Int]] = [:]
  /// From how many invocations a record comes; those that are not named come from none.
  var hops: [Int: Int] = [:]
  /// Of what left because it comes from a loop: the parked key, if it was one.
  private(set) var loopKeys: [PartitionKeyHash?] = []
  var base = 0
  var isClosed = false
  var refusesProgress = false

  /// The records of each delivery so far.
  private(set) var delivered: [[Int]] = []
  private(set) var attempts: [Int] = []
  private(set) var failures: [FailureOrder] = []
  private(set) var lost: [UInt64] = []
  private(set) var settledRedrives: [UInt64] = []
  private(set) var isDrained = false
  /// What is durable.
  private(set) var stored = LaneProgress()

  init(
    _ policy: LanePolicy, _ keys: String, from progress: LaneProgress = LaneProgress(), at start: Int64 = 0,
    bound: RecordIndex? = nil
  ) {
    self.policy = policy
    self.keys = keys.map { String($0) }
    arrivals = self.keys.map { _ in 1_000_000 }
    stored = progress
    milliseconds = start
    poller = Poller()
    let mapping = poller.addMapping(policy)
    var opening = LaneOpening(mapping: mapping, parents: [], progress: progress)
    opening.bound = bound
    send(.laneOpened(opening))
  }

  /// The same shard after a crash: what was not stored never was.
  func restarted() -> KeyHarness {
    KeyHarness(policy, keys.joined(), from: stored, at: milliseconds)
  }

  var state: LaneSnapshot.State { poller.lane(lane).state }
  var lanesUnderWayToBound: Int { poller.lanesUnderWayToBound }
  var parked: [String: UInt64] {
    Dictionary(
      uniqueKeysWithValues: poller.parkedKeys(lane).map { parked in
        (keys.first { PartitionKeyHash(of: $0) == parked.key } ?? "?", parked.recordCount)
      })
  }
  /// The records that a restart would find parked.
  var storedParked: [String: [Int]] {
    var result: [String: [Int]] = [:]
    for change in stored.parked {
      let key = keys.first { PartitionKeyHash(of: $0) == change.key } ?? "?"
      result[key] = change.ranges.flatMap { Int($0.first.rawValue)..<Int($0.end.rawValue) }
    }
    return result
  }

  // MARK: The handler

  /// Answers the delivery that begins with this record.
  mutating func succeed(_ first: Int) { answer(first, .succeeded) }
  mutating func fail(_ first: Int, _ kind: FailureKind = .error) { answer(first, .failed(kind)) }

  /// Names the record that failed.
  mutating func fail(_ first: Int, at index: Int) {
    guard let records = waiting.first(where: { $0.records.first == first })?.records,
      let position = records.firstIndex(of: index)
    else { preconditionFailure("no delivery begins with record \(first) and holds \(index)") }
    answer(
      first,
      .recordFailed(
        FailedRecord(
          index: RecordIndex(UInt64(index)), position: position, key: PartitionKeyHash(of: keys[index]),
          arrival: WallTime(milliseconds: arrivals[index]))))
  }

  private mutating func answer(_ first: Int, _ answer: DeliveryAnswer) {
    guard let place = waiting.firstIndex(where: { $0.records.first == first }) else {
      preconditionFailure("no delivery begins with record \(first)")
    }
    let (seat, delivery, _) = waiting.remove(at: place)
    send(.handlerAnswered(seat, delivery.id, answer))
  }

  var inFlight: [[Int]] { waiting.map(\.records) }

  // MARK: The world

  mutating func append(_ more: String) {
    for key in more {
      keys.append(String(key))
      arrivals.append(1_000_000 + milliseconds)
    }
    send(.shardChanged(lane))
  }

  mutating func close() {
    isClosed = true
    send(.shardChanged(lane))
  }

  mutating func advance(by interval: Int64) {
    let end = milliseconds + interval
    while let due = armed, due.nanoseconds <= end * 1_000_000 {
      milliseconds = max(milliseconds, (due.nanoseconds + 999_999) / 1_000_000)
      armed = nil
      send(.timerFired)
    }
    milliseconds = end
  }

  mutating func pause() { send(.pauseRequested(lane)) }
  mutating func resume() { send(.resumeRequested(lane)) }
  mutating func retry() { send(.retryRequested(lane)) }
  mutating func drain() { send(.drainRequested) }
  mutating func skip(_ key: String, through index: UInt64) {
    send(.keySkipRequested(lane, PartitionKeyHash(of: key), through: RecordIndex(index)))
  }
  mutating func redrive(_ entry: UInt64) {
    let extent = BatchExtent(first: .zero, count: 1, firstArrival: .zero, lastArrival: .zero, payloadBytes: 1)
    send(.redriveRequested(lane, Redrive(entry: entry, extent: extent)))
  }

  // MARK: Steps

  private var now: Now {
    Now(
      monotonic: MonotonicTime(nanoseconds: milliseconds * 1_000_000),
      wall: WallTime(milliseconds: 1_000_000 + milliseconds))
  }

  private mutating func send(_ event: PollerEvent) {
    events.append(event)
    guard events.count == 1 else { return }
    while let event = events.first {
      var effects: [PollerEffect] = []
      poller.step(event, at: now, random: &random, effects: &effects)
      for effect in effects { carryOut(effect) }
      events.removeFirst()
    }
  }

  private mutating func carryOut(_ effect: PollerEffect) {
    switch effect {
    case .read(let seat, let request):
      send(.readAnswered(seat, answer(request, seat)))
    case .deliver(let seat, let delivery):
      let records = delivery.source == .shard ? read[seat] ?? [] : [-1]
      waiting.append((seat, delivery, records))
      delivered.append(records)
      attempts.append(delivery.attempt)
    case .storeProgress(let seat, let progress, let revision):
      if refusesProgress { return send(.progressRefused(seat, revision: revision)) }
      store(progress)
      send(.progressStored(seat, revision: revision))
    case .storeFailure(let seat, let order, let ticket):
      failures.append(order)
      send(.failureStored(seat, ticket: ticket))
    case .armTimer(let moment): armed = moment
    case .countLost(_, let count): lost.append(count)
    case .settleRedrive(_, let entry, _): settledRedrives.append(entry)
    case .drained: isDrained = true
    case .recursiveLoop(_, _, _, let key): loopKeys.append(key)
    case .cancelHandler, .keepWrites, .tooLarge, .mappingClosed: break
    }
  }

  private mutating func store(_ progress: LaneProgress) {
    var parked = stored.parked
    for change in progress.parked {
      let former = parked.first { $0.key == change.key }?.ranges ?? []
      parked.removeAll { $0.key == change.key }
      guard let state = change.state else { continue }
      var kept: [RecordRange] = []
      for range in former where range.end > state.settledBefore {
        let first = max(range.first, state.settledBefore)
        kept.append(RecordRange(first: first, count: first.distance(to: range.end)))
      }
      parked.append(ParkedKeyChange(key: change.key, state: state, ranges: kept))
    }
    for record in progress.parkedRecords {
      guard let place = parked.firstIndex(where: { $0.key == record.key }),
        record.index >= parked[place].state?.settledBefore ?? .zero
      else { continue }
      parked[place].ranges.append(RecordRange(first: record.index, count: 1))
    }
    stored = progress
    stored.parkedRecords = []
    stored.parked = parked
  }

  private mutating func answer(_ request: ReadRequest, _ seat: LaneID) -> ReadAnswer {
    var met: [ParkedRecord] = []
    var records: [Int] = []
    var isFull = false
    let begin = max(Int(request.from.rawValue), base)
    if request.ranges.isEmpty {
      guard begin < keys.count else {
        return isClosed ? .shardEnd(end: RecordIndex(UInt64(keys.count))) : .caughtUp
      }
      let end = min(keys.count, request.last.map { Int($0.rawValue) + 1 } ?? .max)
      for index in begin..<end {
        let key = PartitionKeyHash(of: keys[index])
        if request.parking?.keys.contains(key) == true {
          guard met.count < request.parking?.limit ?? 0 else {
            isFull = true
            break
          }
          met.append(ParkedRecord(key: key, index: RecordIndex(UInt64(index))))
        } else if records.count < request.countLimit {
          records.append(index)
        } else {
          isFull = true
          break
        }
      }
    } else {
      records = request.ranges.flatMap { Int($0.first.rawValue)..<Int($0.end.rawValue) }.filter { $0 >= base }
    }
    func isOfLoop(_ index: Int) -> Bool { request.lineageLimit.map { Lineage(hops: hops[index] ?? 0) >= $0 } ?? false }
    if let head = records.first {
      let alike = records.prefix { isOfLoop($0) == isOfLoop(head) }
      if alike.count < records.count {
        records = Array(alike)
        met.removeAll { $0.index.rawValue > UInt64(records[records.count - 1]) }
      }
    }
    guard let first = records.first, let last = records.last else {
      if !met.isEmpty {
        return .onlyParked(begin: RecordIndex(UInt64(begin)), end: met[met.count - 1].index.advanced(by: 1), met)
      }
      if isFull { return .parkingFull(begin: RecordIndex(UInt64(begin))) }
      return .nothingSelected(begin: RecordIndex(UInt64(base)), end: RecordIndex(UInt64(base)))
    }
    if request.purpose == .deliver { read[seat] = records }
    let limit = request.expiredBefore?.milliseconds ?? .min
    let expired = records.prefix { arrivals[$0] < limit }
    var result = ReadResult(
      extent: BatchExtent(
        first: RecordIndex(UInt64(first)), last: RecordIndex(UInt64(last)), count: records.count,
        firstArrival: WallTime(milliseconds: arrivals[first]), lastArrival: WallTime(milliseconds: arrivals[last]),
        payloadBytes: 1),
      begin: RecordIndex(UInt64(begin)), isFull: isFull, expiredCount: expired.count,
      lastExpired: expired.last.map { RecordIndex(UInt64($0)) },
      lastExpiredArrival: WallTime(milliseconds: expired.last.map { arrivals[$0] } ?? 0))
    if request.lineageLimit != nil { result.lineage = records.reduce(.none) { max($0, Lineage(hops: hops[$1] ?? 0)) } }
    result.parked = met
    result.firstKey = PartitionKeyHash(of: keys[first])
    return .records(result)
  }
}

extension PartitionKeyHash {
  /// Keys of one letter stand for themselves.
  fileprivate init(of key: String) { self.init(UInt64(key.utf8.first ?? 0)) }
}

extension LanePolicy {
  /// A policy of round numbers that blocks by key.
  static func byKey(
    batchSize: Int = 4, attempts: Int? = nil, age: Int64? = nil, keys: Int = 10, records: Int = 100,
    deliveries: Int = 2
  ) -> LanePolicy {
    var policy = LanePolicy.plain(batchSize: batchSize, attempts: attempts, age: age)
    policy.parking = ParkingPolicy(keyLimit: keys, recordLimit: records, deliveryLimit: deliveries)
    return policy
  }
}
