import ShardCore
import StreamModel

/// Runs the poller through a scenario: a shard that stands in memory, a store that takes everything at once, a handler
/// that does what is planned, and clocks that jump to the next moment at which anything happens.
struct PlanRun {
  private let scenario: PlanScenario
  private var poller = Poller()
  private var dice: PlanDice
  private(set) var plan = Plan()

  private var nanoseconds: Int64 = 0
  private var armed: Int64?
  private var events: [PollerEvent] = []
  private var answers: [Answer] = []
  private var lanes: [PlanLane]
  private var requestCount = 0
  /// By record: the failures left. `nil`: no end of them.
  private var failuresLeft: [Int?]
  /// By record: it is remembered as done, and passed.
  private var isDone: [Bool]

  /// An answer that the handler gives later.
  private struct Answer {
    var at: Int64
    var lane: LaneID
    var delivery: DeliveryID
    var answer: DeliveryAnswer
  }

  init(_ scenario: PlanScenario, policy: LanePolicy, dice: PlanDice) {
    self.scenario = scenario
    self.dice = dice
    lanes = Array(repeating: PlanLane(), count: scenario.laneCount)
    // Time does not make a record smaller.
    failuresLeft = scenario.records.map { record in
      record.failure.map { $0.kind == .payloadTooLarge ? nil : $0.times } ?? 0
    }
    isDone = Array(repeating: false, count: scenario.records.count)
    plan.records = scenario.records.indices.map { place in
      RecordFate(
        number: place + 1, isHealthy: scenario.records[place].failure == nil, deliveries: 0, outcome: .waiting)
    }
    var policy = policy
    policy.keepsWrites = scenario.namesEveryFailure
    let mapping = poller.addMapping(policy)
    let progress = scenario.progress ?? LaneProgress(next: scenario.firstIndex)
    for _ in 0..<scenario.laneCount {
      events.append(.laneOpened(LaneOpening(mapping: mapping, parents: [], progress: progress)))
    }
  }

  private var milliseconds: Int64 { nanoseconds / 1_000_000 }
  private var now: Now {
    Now(
      monotonic: MonotonicTime(nanoseconds: nanoseconds),
      wall: scenario.beginning.adding(milliseconds: milliseconds))
  }

  mutating func run() {
    while !plan.isCut {
      if !events.isEmpty {
        let event = events.removeFirst()
        step(event)
      } else if isOver || !passTime() {
        break
      }
    }
    conclude()
  }

  /// Nothing is left to be told: every lane has come to its end or to a batch that never ends.
  private var isOver: Bool {
    lanes.indices.allSatisfy { place in
      let lane = poller.lane(LaneID(place))
      // An idle lane in a window waits for its end.
      return lanes[place].isEndless || lane.state == .idle && lane.window == nil
    }
  }

  /// Goes to the next moment. `false` if there is none.
  private mutating func passTime() -> Bool {
    let next = answers.indices.min { answers[$0].at < answers[$1].at }
    if let next, answers[next].at <= armed ?? .max {
      let answer = answers.remove(at: next)
      nanoseconds = max(nanoseconds, answer.at)
      events.append(.handlerAnswered(answer.lane, answer.delivery, answer.answer))
    } else if let due = armed {
      nanoseconds = max(nanoseconds, due)
      armed = nil
      events.append(.timerFired)
    } else {
      return false
    }
    return true
  }

  private mutating func step(_ event: PollerEvent) {
    var lane: LaneID?
    var former: LaneProgress?
    switch event {
    case .readAnswered(let id, .records), .handlerAnswered(let id, _, _):
      lane = id
      former = poller.progress(id)
    default:
      break
    }
    var effects: [PollerEffect] = []
    poller.step(event, at: now, random: &dice, effects: &effects)
    if let lane, let former {
      if case .handlerAnswered(_, _, let answer) = event {
        conclude(answer, of: lane, effects)
      } else {
        noteOversized(lane, since: former, effects)
      }
    }
    for effect in effects { carryOut(effect) }
  }

  private mutating func carryOut(_ effect: PollerEffect) {
    switch effect {
    case .read(let lane, let request):
      events.append(.readAnswered(lane, read(request, of: lane.rawValue)))
    case .deliver(let lane, let delivery):
      deliver(delivery, lane)
    case .cancelHandler(let lane, let delivery):
      answers.removeAll { $0.lane == lane }
      let invocation = lanes[lane.rawValue].invocation
      var rule: RetryRuleID?
      if case .failed(.timedOut, _, let known)? = invocation?.result {
        rule = known
      } else {
        rule = scenario.policy.retryRules?.rule(ofKind: .timedOut)
        lanes[lane.rawValue].invocation?.result = .failed(.timedOut, record: nil, rule: rule)
      }
      events.append(.handlerAnswered(lane, delivery, .failed(.timedOut, rule: rule)))
    case .storeProgress(let lane, _, let revision):
      events.append(.progressStored(lane, revision: revision))
    case .storeFailure(let lane, let order, let ticket):
      leave(order, lane.rawValue)
      events.append(.failureStored(lane, ticket: ticket))
    case .armTimer(let moment):
      armed = moment.nanoseconds
    case .keepWrites, .settleRedrive, .tooLarge, .recursiveLoop, .countLost, .mappingClosed, .drained:
      break  // Nobody writes, redrives, trims, closes or drains here.
    }
  }

  // MARK: The shard

  private func place(of index: RecordIndex) -> Int { Int(index.rawValue - scenario.firstIndex.rawValue) }
  private func index(of place: Int) -> RecordIndex { scenario.firstIndex.advanced(by: place) }

  private func arrival(of place: Int) -> WallTime {
    scenario.beginning.adding(milliseconds: -scenario.records[place].ageMilliseconds)
  }

  private func size(_ place: Int) -> Int {
    scenario.records[place].failure?.kind == .payloadTooLarge ? scenario.policy.payloadByteLimit + 1 : 1
  }

  /// The numbers of the lane's records from the first to the last of the extent.
  private func numbers(_ extent: BatchExtent, _ lane: Int) -> RecordNumbers {
    if extent.isEmpty { return RecordNumbers() }
    let range = place(of: extent.first)...place(of: extent.last)
    let isWhole = scenario.laneCount == 1 && !range.contains { isDone[$0] }
    if isWhole { return RecordNumbers(range.lowerBound + 1...range.upperBound + 1) }
    var numbers = RecordNumbers()
    for place in range where scenario.records[place].lane == lane && !isDone[place] { numbers.append(place + 1) }
    return numbers
  }

  private func read(_ request: ReadRequest, of lane: Int) -> ReadAnswer {
    let begin = self.place(of: request.from)
    let end = min(scenario.records.count, request.through.map { self.place(of: $0) + 1 } ?? .max)
    guard begin < end else { return .caughtUp }
    var extent: BatchExtent?
    var expired: (count: Int, last: Int) = (0, begin)
    var isFull = false
    var place = begin
    while place < end, !isFull {
      defer { place += 1 }
      guard scenario.records[place].lane == lane, !isDone[place] else { continue }
      let arrival = self.arrival(of: place)
      if let extent, arrival >= request.cut.end(first: extent.firstArrival) {
        isFull = true
        place -= 1
        continue
      }
      guard var known = extent else {
        extent = BatchExtent(
          first: index(of: place), count: 1, firstArrival: arrival, lastArrival: arrival, payloadBytes: size(place))
        if let limit = request.expiredBefore, arrival < limit { expired = (1, place) }
        isFull = request.countLimit == 1
        continue
      }
      guard known.payloadBytes + size(place) <= request.payloadByteLimit else {
        isFull = true
        place -= 1
        continue
      }
      if let limit = request.expiredBefore, arrival < limit, expired.count == known.count {
        expired = (known.count + 1, place)
      }
      known.last = index(of: place)
      known.lastArrival = arrival
      known.count += 1
      known.payloadBytes += size(place)
      extent = known
      isFull = known.count == request.countLimit
    }
    guard let extent else { return .nothingSelected(begin: request.from, end: index(of: end)) }
    return .records(
      ReadResult(
        extent: extent, begin: request.from, scannedEnd: index(of: place), isFull: isFull, expiredCount: expired.count,
        lastExpired: index(of: expired.last), lastExpiredArrival: arrival(of: expired.last)))
  }

  // MARK: The handler

  private mutating func deliver(_ delivery: Delivery, _ lane: LaneID) {
    let records = numbers(delivery.extent, lane.rawValue)
    let (result, failure, plain) = handle(records)
    var answer = plain
    if delivery.window != nil { answer = answer.returning(.empty) }
    let invocation = begin(records, delivery.extent, attempt: delivery.attempt, result, of: lane.rawValue)
    if invocation.reachesHandler, !lanes[lane.rawValue].isEndless {
      for number in records { plan.records[number - 1].deliveries += 1 }
    }
    // One that times out answers when it is cancelled.
    guard failure?.kind != .timedOut else { return }
    let takes = invocation.reachesHandler ? scenario.handlerMilliseconds : 0
    answers.append(
      Answer(at: nanoseconds + takes * 1_000_000, lane: lane, delivery: delivery.id, answer: answer))
  }

  /// What the handler makes of the records, which it takes in their order.
  private mutating func handle(
    _ records: RecordNumbers
  ) -> (PlanInvocation.Result, PlannedFailure?, DeliveryAnswer) {
    var reported = RecordNumbers()
    for number in records {
      guard let failure = scenario.records[number - 1].failure, failuresLeft[number - 1] != 0 else { continue }
      guard failure.kind == .reportedNoProgress else {
        // Whatever it was about to report, it does not come to that.
        countFailure(of: number)
        return (
          .failed(failure.kind, record: number, rule: failure.rule), failure, .failed(failure.kind, rule: failure.rule)
        )
      }
      reported.append(number)
      if !scenario.namesEveryFailure { break }
    }
    guard let lowest = reported.first, let failure = scenario.records[lowest - 1].failure else {
      return (.succeeded, nil, .succeeded)
    }
    for number in reported { countFailure(of: number) }
    let position = records.prefix { $0 < lowest }.count
    let isAll = scenario.namesEveryFailure ? reported.count == records.count : position == 0
    if isAll {
      return (
        .failed(.reportedNoProgress, record: lowest, rule: failure.rule), failure,
        .failed(.reportedNoProgress, rule: failure.rule)
      )
    }
    let index = index(of: lowest - 1)
    let answer: DeliveryAnswer =
      scenario.namesEveryFailure
      ? .failedAmong(at: index, position: position, remaining: reported.count) : .failed(at: index, position: position)
    return (.reported(records: reported), failure, answer)
  }

  private mutating func countFailure(of number: Int) {
    if let left = failuresLeft[number - 1] { failuresLeft[number - 1] = left - 1 }
  }

  private mutating func begin(
    _ records: RecordNumbers, _ extent: BatchExtent, attempt: Int, _ result: PlanInvocation.Result, of lane: Int
  ) -> PlanInvocation {
    if lanes[lane].begin(extent) {
      lanes[lane].request = requestCount
      requestCount += 1
    }
    while let end = lanes[lane].splitEnds.last, end < records.first ?? 0 { lanes[lane].splitEnds.removeLast() }
    let invocation = PlanInvocation(
      milliseconds: milliseconds, endMilliseconds: milliseconds, lane: lane, records: records,
      request: lanes[lane].request, attempt: attempt, depth: lanes[lane].splitEnds.count, result: result, next: .open)
    lanes[lane].invocation = invocation
    return invocation
  }

  /// A record that is too large fails when it is read, without a delivery.
  private mutating func noteOversized(_ lane: LaneID, since former: LaneProgress, _ effects: [PollerEffect]) {
    guard let failing = poller.progress(lane).failing, failing.lastFailure == .payloadTooLarge,
      failing.attempts != former.failing?.attempts || failing.systemFailures != former.failing?.systemFailures
    else { return }
    let rule = scenario.policy.retryRules?.rule(ofKind: .payloadTooLarge)
    let records = numbers(failing.extent, lane.rawValue)
    _ = begin(
      records, failing.extent, attempt: (former.failing?.attempts ?? 0) + 1,
      .failed(.payloadTooLarge, record: records.first, rule: rule), of: lane.rawValue)
    conclude(.failed(.payloadTooLarge, rule: rule), of: lane, effects)
  }

  // MARK: What follows

  /// What the lane makes of the end of its invocation, as it stands now and by the orders it has given.
  private mutating func conclude(_ answer: DeliveryAnswer, of lane: LaneID, _ effects: [PollerEffect]) {
    let place = lane.rawValue
    guard var invocation = lanes[place].invocation else { return }
    lanes[place].invocation = nil
    invocation.endMilliseconds = milliseconds
    let progress = poller.progress(lane)
    var departure: FailureOrder?
    for case .storeFailure(lane, let order, ticket: _) in effects { departure = order }
    switch answer {
    case .succeeded, .returned:
      invocation.next = .settled
      settle(invocation.records)
    case .failed(at: _, position: let position) where position > 0,
      .returnedPart(_, failedAt: _, position: let position) where position > 0:
      let (done, rest) = invocation.records.split(at: position)
      invocation.next = .rest(rest)
      settle(done)
    case .failed, .recordFailed, .faulted, .returnedPart:
      if let departure {
        invocation.next = .departure(departure.condition)
      } else if progress.failing == nil {
        let (left, right) = invocation.records.split(at: invocation.records.count / 2)
        invocation.next = .split(left, right)
        lanes[place].splitEnds.append(invocation.records.last ?? 0)
      } else {
        invocation.next = wait(for: invocation, of: lane)
      }
    case .failedAmong:
      guard case .reported(let rest) = invocation.result else { preconditionFailure("somebody was named") }
      let named = Set(rest)
      let done = RecordNumbers(invocation.records.filter { !named.contains($0) })
      for number in done { isDone[number - 1] = true }
      invocation.next = .rest(rest)
      settle(done)
    }
    add(.invocation(invocation), of: place)
    if case .endlessRetry(let wait) = invocation.next, !lanes[place].isEndless {
      lanes[place].isEndless = true
      let behind = scenario.records.indices.count {
        scenario.records[$0].lane == place && !isDone[$0] && $0 + 1 > invocation.records.last ?? 0
      }
      plan.endless.append(
        EndlessBatch(
          lane: place, records: invocation.records, waiting: behind,
          everyMilliseconds: wait.milliseconds + invocation.endMilliseconds - invocation.milliseconds))
    }
  }

  private mutating func wait(for invocation: PlanInvocation, of lane: LaneID) -> PlanInvocation.Next {
    guard case .failed(let kind, let record, let rule) = invocation.result else { return .open }
    let snapshot = poller.lane(lane)
    func distance(_ moment: MonotonicTime?) -> Int64 {
      moment.map { max(0, ($0.nanoseconds - nanoseconds) / 1_000_000) } ?? 0
    }
    let (due, retry) = (distance(snapshot.due), distance(snapshot.retryDue))
    if due < retry { return .expiry(milliseconds: due) }
    let decision = RetryDecision(kind, rule, scenario.policy)
    let jitter = Int64(decision.backoff.jitterPercent)
    let wait = PlanWait(
      milliseconds: retry, leastMilliseconds: retry * (100 - jitter) / 100,
      mostMilliseconds: min(retry * (100 + jitter) / 100, decision.backoff.capMilliseconds),
      usesAttempt: decision.usesAttempt)
    // The batch fails whatever comes, the waits grow no more, and neither age nor attempts end it.
    let policy = scenario.policy
    let failsForEver = record.map { failuresLeft[$0 - 1] == nil } ?? true
    let isUnbounded =
      policy.maximumRecordAgeMilliseconds == nil && (policy.maximumRetryAttempts == nil || !decision.usesAttempt)
    let isEndless = failsForEver && isUnbounded && lanes[lane.rawValue].lastWait == retry
    lanes[lane.rawValue].lastWait = retry
    return isEndless ? .endlessRetry(wait) : .retry(wait)
  }

  private mutating func leave(_ order: FailureOrder, _ lane: Int) {
    let records = numbers(order.extent, lane)
    let departure = PlanDeparture(
      milliseconds: milliseconds, lane: lane, records: records, condition: order.condition, attempts: order.attempts)
    add(.departure(departure), of: lane)
    for number in records {
      plan.records[number - 1].outcome = .left(order.condition, milliseconds: milliseconds)
    }
  }

  private mutating func settle(_ records: RecordNumbers) {
    for number in records { plan.records[number - 1].outcome = .succeeded(milliseconds: milliseconds) }
  }

  private mutating func add(_ step: PlanStep, of lane: Int) {
    guard !lanes[lane].isEndless else { return }
    plan.steps.append(step)
    plan.isCut = plan.steps.count >= scenario.invocationLimit
  }

  private mutating func conclude() {
    var end: Int64? = 0
    var moves: Int64?
    for fate in plan.records {
      let settled: Int64? =
        switch fate.outcome {
        case .succeeded(let moment), .left(_, let moment): moment
        case .waiting: nil
        }
      end = end.flatMap { end in settled.map { max(end, $0) } }
      if !fate.isHealthy, let settled { moves = max(moves ?? 0, settled) }
    }
    plan.endMilliseconds = end
    plan.movesAgainMilliseconds = end == nil ? nil : moves
    // Lanes take their turns within one moment.
    plan.steps = plan.steps.enumerated().sorted {
      ($0.element.milliseconds, $0.offset) < ($1.element.milliseconds, $1.offset)
    }.map(\.element)
  }
}

extension DeliveryAnswer {
  /// The same of a handler for windows, with a state.
  fileprivate func returning(_ state: WindowState) -> DeliveryAnswer {
    switch self {
    case .succeeded: .returned(state)
    case .failed(at: let index, position: let position):
      .returnedPart(state, failedAt: index, position: position)
    case .failedAmong, .recordFailed, .faulted, .returned, .returnedPart: self
    }
  }
}

/// What a plan keeps of a lane.
private struct PlanLane {
  /// The invocation under way.
  var invocation: PlanInvocation?
  var request = 0
  /// The last records of the batches whose halves are under way, the innermost last.
  var splitEnds: [Int] = []
  /// The wait before, of the same batch.
  var lastWait: Int64?
  /// The batch at the head repeats for ever; what is told of it is told.
  var isEndless = false
  private var batch: (first: RecordIndex, count: Int)?

  /// `true` if it is another batch than the last one.
  mutating func begin(_ extent: BatchExtent) -> Bool {
    if let batch, batch == (extent.first, extent.count) { return false }
    batch = (extent.first, extent.count)
    lastWait = nil
    return true
  }
}
