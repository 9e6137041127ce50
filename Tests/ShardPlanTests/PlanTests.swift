import ShardCore
@testable import ShardPlan
import StreamModel
import Testing

/// An invocation as the tables of the reference have it: the records, and the attempt.
struct Called: Hashable, CustomStringConvertible {
  var records: String
  var attempt: Int

  init(_ records: String, _ attempt: Int = 1) {
    self.records = records
    self.attempt = attempt
  }

  var description: String { "\(records) #\(attempt)" }
}

extension Plan {
  var called: [Called] { invocations.map { Called("\($0.records)", $0.attempt) } }
  var times: [Int64] { invocations.map(\.milliseconds) }
}

extension PlanScenario {
  /// So many records, of which some fail; batches of 100, backoff as on AWS.
  init(_ count: Int, failing: [Int: PlannedFailure] = [:], _ change: (inout LanePolicy) -> Void = { _ in }) {
    var policy = LanePolicy()
    change(&policy)
    self.init(policy: policy, records: (1...count).map { PlannedRecord(failure: failing[$0]) })
  }
}

/// The tables of the reference, as plans.
@Suite("Plans: what a policy makes of failing records")
struct PlanTests {
  struct Case: CustomTestStringConvertible {
    var kind: FailureKind
    var bisects: Bool
    var attempts: Int?

    var testDescription: String {
      "\(kind), bisecting \(bisects), retries \(attempts.map(String.init) ?? "without end")"
    }

    var lead: [Called] {
      switch (kind, bisects) {
      case (.error, true): [Called("1–4"), Called("1–2"), Called("1")]
      case (.error, false): []
      case (_, true): [Called("1–4"), Called("2–4")]
      case (_, false): [Called("1–4")]
      }
    }
    var stuck: String {
      switch (kind, bisects) {
      case (_, true): "2"
      case (.error, false): "1–4"
      case (_, false): "2–4"
      }
    }
    var trail: [Called] { bisects ? [Called("3–4")] : [] }
  }

  static let cases = [FailureKind.error, .reportedNoProgress].flatMap { kind in
    [false, true].flatMap { bisects in [0, 1, 3, nil].map { Case(kind: kind, bisects: bisects, attempts: $0) } }
  }

  @Test("the second of four records fails", arguments: cases)
  func secondOfFour(example: Case) throws {
    let plan = PlanScenario(4, failing: [2: PlannedFailure(example.kind)]) {
      $0.maximumRetryAttempts = example.attempts
      $0.bisectsBatchOnError = example.bisects
    }.plan()
    guard let attempts = example.attempts else {
      // 250 ms doubling to 60 s: nine waits, and then the same again.
      #expect(plan.called == example.lead + (1...10).map { Called(example.stuck, $0) })
      let endless = try #require(plan.endless.first)
      #expect("\(endless.records)" == example.stuck)
      #expect(endless.everyMilliseconds == 60_000)
      #expect(endless.waiting == (example.bisects ? 2 : 0))
      #expect(plan.endMilliseconds == nil)
      return
    }
    #expect(plan.called == example.lead + (1...attempts + 1).map { Called(example.stuck, $0) } + example.trail)
    #expect(plan.departures.map { "\($0.records)" } == [example.stuck])
    #expect(plan.departures.map(\.attempts) == [attempts + 1])
    #expect(plan.departures.map(\.condition) == [.retryAttemptsExhausted])
    #expect(plan.endMilliseconds == [0: 0, 1: 250, 3: 1_750][attempts])
    let lost = plan.records.filter { $0.isHealthy && $0.outcome != .succeeded(milliseconds: 0) }
    if !example.bisects { #expect(lost.map(\.number) == (example.kind == .error ? [1, 3, 4] : [3, 4])) }
  }

  @Test("retries of a batch keep their request id, every other batch has its own")
  func requests() {
    let plan = PlanScenario(4, failing: [2: PlannedFailure(.error)]) {
      $0.maximumRetryAttempts = 1
      $0.bisectsBatchOnError = true
    }.plan()
    #expect(plan.invocations.map(\.request) == [0, 1, 2, 3, 3, 4])
    #expect(plan.invocations.map(\.depth) == [0, 1, 2, 2, 2, 1])
    #expect(plan.records.map(\.deliveries) == [3, 4, 2, 2])
  }

  @Test("unlimited retries and a record age of 60 s: eight invocations, then the batch expires")
  func age() {
    let plan = PlanScenario(1, failing: [1: PlannedFailure(.error)]) {
      $0.maximumRecordAgeMilliseconds = 60_000
    }.plan()
    #expect(plan.times == [0, 250, 750, 1_750, 3_750, 7_750, 15_750, 31_750])
    #expect(plan.invocations.last?.next == .expiry(milliseconds: 28_251))
    #expect(plan.departures.map(\.condition) == [.recordAgeExceeded])
    #expect(plan.departures.map(\.attempts) == [8])
    #expect(plan.endMilliseconds == 60_001)
  }

  @Test("one old and five fresh records: the old one leaves, the others are delivered")
  func oldHead() {
    var scenario = PlanScenario(6) { $0.maximumRecordAgeMilliseconds = 60_000 }
    scenario.records[0].ageMilliseconds = 70_000
    #expect(scenario.plan().departures.map { "\($0.records)" } == ["1"])
    #expect(scenario.plan().called == [Called("2–6")])
    #expect(scenario.plan().records[0].deliveries == 0)
  }

  @Test("ten throttles and no retries: nothing is discarded")
  func throttled() {
    let plan = PlanScenario(2, failing: [1: PlannedFailure(.throttled, times: 10)]) {
      $0.maximumRetryAttempts = 0
      $0.bisectsBatchOnError = true
    }.plan()
    #expect(plan.called == Array(repeating: Called("1–2"), count: 11))
    #expect(plan.departures == [])
    #expect(plan.invocations.count(where: \.reachesHandler) == 1)
    #expect(plan.records.map(\.deliveries) == [1, 1])
    // 1 s doubling to 60 s.
    #expect(plan.endMilliseconds == 303_000)
  }

  @Test("of two records that are reported the lower one counts, and those behind it come again")
  func twoReports() {
    let failure = PlannedFailure(.reportedNoProgress, times: 1)
    let plan = PlanScenario(5, failing: [2: failure, 4: failure]).plan()
    #expect(plan.called == [Called("1–5"), Called("2–5"), Called("4–5")])
    #expect(plan.records.map(\.deliveries) == [1, 2, 2, 3, 3])
    #expect(plan.endMilliseconds == 0)
  }

  @Test("where every failure is named only what failed comes again")
  func everyFailure() {
    func plan(_ failing: [Int: PlannedFailure], bisects: Bool = false) -> Plan {
      var scenario = PlanScenario(5, failing: failing) {
        $0.maximumRetryAttempts = 1
        $0.bisectsBatchOnError = bisects
      }
      scenario.namesEveryFailure = true
      return scenario.plan()
    }
    let report = PlannedFailure(.reportedNoProgress)
    let two = plan([2: report, 4: report])
    #expect(two.called == [Called("1–5"), Called("2, 4"), Called("2, 4", 2)])
    #expect(two.invocations.map(\.request) == [0, 1, 1])
    #expect(two.invocations[0].result == .reported(records: RecordNumbers([2, 4])))
    #expect(two.invocations[0].next == .rest(RecordNumbers([2, 4])))
    #expect(two.departures.map { "\($0.records)" } == ["2, 4"])
    #expect(two.records.map(\.deliveries) == [1, 3, 1, 3, 1])
    // Of the two that come again one is done then; the first of all may be one that failed.
    let once = PlannedFailure(.reportedNoProgress, times: 1)
    #expect(plan([1: report, 3: once]).called == [Called("1–5"), Called("1, 3"), Called("1"), Called("1", 2)])
    // An error is of the whole batch, whatever was to be reported; halves are of what is left.
    let mixed = plan([1: once, 3: PlannedFailure(.error), 5: once], bisects: true)
    #expect(
      mixed.called == [
        Called("1–5"), Called("1–2"), Called("1"), Called("3–5"), Called("3"), Called("3", 2), Called("4–5"),
        Called("5"),
      ])
    #expect(mixed.departures.map { "\($0.records)" } == ["3"])
  }

  @Test("a record that is too large takes its attempts without reaching the handler; its neighbours are delivered")
  func tooLarge() {
    let plan = PlanScenario(3, failing: [2: PlannedFailure(.payloadTooLarge)]) { $0.maximumRetryAttempts = 2 }.plan()
    #expect(plan.called == [Called("1"), Called("2", 1), Called("2", 2), Called("2", 3), Called("3")])
    #expect(plan.invocations.map(\.reachesHandler) == [true, false, false, false, true])
    #expect(plan.departures.map(\.attempts) == [3])
    #expect(plan.records.map(\.deliveries) == [1, 0, 1])
  }

  @Test("a handler that hangs is cancelled at its timeout, and that is an attempt")
  func timeout() {
    let plan = PlanScenario(1, failing: [1: PlannedFailure(.timedOut, times: 1)]) {
      $0.handlerTimeoutMilliseconds = 5_000
    }.plan()
    #expect(plan.times == [0, 5_250])
    #expect(plan.invocations.map(\.endMilliseconds) == [5_000, 5_250])
    var slow = PlanScenario(1) {
      $0.handlerTimeoutMilliseconds = 5_000
      $0.maximumRetryAttempts = 0
    }
    slow.handlerMilliseconds = 6_000
    #expect(slow.plan().invocations.map(\.result) == [.failed(.timedOut, record: nil, rule: nil)])
    #expect(slow.plan().departures.count == 1)
    slow.handlerMilliseconds = 4_000
    #expect(slow.plan().endMilliseconds == 4_000)
  }

  @Test("batches are as large as the policy lets them be, and a window waits for more")
  func batches() {
    let plan = PlanScenario(10) {
      $0.batchSize = 4
      $0.windowMilliseconds = 2_000
    }.plan()
    #expect(plan.called == [Called("1–4"), Called("5–8"), Called("9–10")])
    #expect(plan.times == [0, 0, 2_000])
  }

  @Test("with several lanes one that fails holds up nothing but its own records")
  func lanes() throws {
    var scenario = PlanScenario(6, failing: [2: PlannedFailure(.error)])
    scenario.laneCount = 3
    for place in scenario.records.indices { scenario.records[place].lane = place % 3 }
    let plan = scenario.plan()
    #expect(plan.called.prefix(3) == [Called("1, 4"), Called("2, 5"), Called("3, 6")])
    #expect(plan.endless.map(\.lane) == [1])
    #expect(plan.records.map { $0.outcome == .waiting } == [false, true, false, false, true, false])
    #expect(plan.steps.count == 12)
  }

  @Test("one process for three lanes: their batches go one after the other")
  func concurrency() {
    var scenario = PlanScenario(3) { $0.deliveriesInFlightLimit = 1 }
    scenario.laneCount = 3
    scenario.handlerMilliseconds = 100
    for place in scenario.records.indices { scenario.records[place].lane = place }
    #expect(scenario.plan().times == [0, 100, 200])
  }

  @Test("retry rules: what gives up leaves at once, what does not count never exhausts")
  func rules() {
    let fixed = Backoff(firstMilliseconds: 5_000, capMilliseconds: 5_000, jitterPercent: 0, growthPercent: 100)
    let rules = RetryRules([.giveUp, .retry(usesAttempt: false, fixed)]) { _ in nil }
    let plan = PlanScenario(
      4,
      failing: [
        2: PlannedFailure(.error, rule: RetryRuleID(0)), 4: PlannedFailure(.error, rule: RetryRuleID(1), times: 3),
      ]
    ) {
      $0.maximumRetryAttempts = 0
      $0.bisectsBatchOnError = true
      $0.retryRules = rules
    }.plan()
    #expect(
      plan.called == [
        Called("1–4"), Called("1–2"), Called("1"), Called("2"), Called("3–4"), Called("3–4"), Called("3–4"),
        Called("3–4"),
      ])
    #expect(plan.departures.map(\.condition) == [.givenUp])
    #expect(plan.endMilliseconds == 15_000)
    let endless = PlanScenario(1, failing: [1: PlannedFailure(.error, rule: RetryRuleID(1))]) {
      $0.maximumRetryAttempts = 0
      $0.retryRules = rules
    }.plan()
    #expect(endless.endless.map(\.everyMilliseconds) == [5_000])
    #expect(endless.called == [Called("1"), Called("1")])
  }

  @Test("jitter makes the waits shorter or longer, and with an age limit the invocations more or fewer")
  func outlook() {
    let outlook = PlanScenario(1, failing: [1: PlannedFailure(.error)]) { $0.maximumRetryAttempts = 2 }.outlook()
    #expect(outlook.plan.endMilliseconds == 750)
    #expect(outlook.shortest.endMilliseconds == 600)
    #expect(outlook.longest.endMilliseconds == 900)
    let wait = PlanWait(milliseconds: 250, leastMilliseconds: 200, mostMilliseconds: 300, usesAttempt: true)
    #expect(outlook.plan.invocations.first?.next == .retry(wait))
    let aged = PlanScenario(1, failing: [1: PlannedFailure(.error)]) {
      $0.maximumRecordAgeMilliseconds = 60_000
    }.outlook()
    #expect(aged.shortest.invocations.count == 9)
    #expect(aged.plan.invocations.count == 8)
    #expect(aged.longest.invocations.count == 8)
  }

  @Test("a plan goes on from where a lane stands")
  func presentState() {
    var scenario = PlanScenario(3, failing: [1: PlannedFailure(.error)]) { $0.maximumRetryAttempts = 3 }
    scenario.firstIndex = RecordIndex(40)
    let extent = BatchExtent(
      first: RecordIndex(40), count: 2, firstArrival: scenario.beginning, lastArrival: scenario.beginning,
      payloadBytes: 2)
    let failing = FailingBatch(
      extent: extent, attempts: 2, systemFailures: 0, lastFailure: .error, firstFailedAt: scenario.beginning,
      lastFailedAt: scenario.beginning, retryAt: scenario.beginning.adding(milliseconds: 300))
    scenario.progress = LaneProgress(next: RecordIndex(40), failing: failing)
    #expect(scenario.plan().called == [Called("1–2", 3), Called("1–2", 4), Called("3")])
    #expect(scenario.plan().times == [300, 1_300, 1_300])
  }

  @Test("a plan that is longer than its limit says so")
  func cut() {
    var scenario = PlanScenario(50) { $0.batchSize = 1 }
    scenario.invocationLimit = 20
    #expect(scenario.plan().isCut)
    #expect(scenario.plan().called.count == 20)
    #expect(scenario.plan().endMilliseconds == nil)
  }

  @Test("a window ends before the records of the next, and on an idle shard a second behind its end")
  func tumblingWindows() {
    var scenario = PlanScenario(5) { $0.tumblingWindowMilliseconds = 10_000 }
    for place in 0..<2 { scenario.records[place].ageMilliseconds = 12_000 }
    let plan = scenario.plan()
    #expect(plan.called == [Called("1–2"), Called(""), Called("3–5"), Called("")])
    #expect(plan.invocations.map(\.isFinal) == [false, true, false, true])
    #expect(plan.times == [0, 0, 0, 11_000])
    #expect(plan.endMilliseconds == 0)
  }

  @Test("failures in a window: the rest, the halves and what leaves stay in it, and its end comes last")
  func failuresInWindow() {
    let reported = PlanScenario(4, failing: [2: PlannedFailure(.reportedNoProgress)]) {
      $0.tumblingWindowMilliseconds = 10_000
      $0.maximumRetryAttempts = 0
    }
    #expect(reported.plan().called == [Called("1–4"), Called("2–4"), Called("")])
    #expect(reported.plan().departures.map(\.condition) == [.retryAttemptsExhausted])
    let split = PlanScenario(4, failing: [2: PlannedFailure(.error)]) {
      $0.tumblingWindowMilliseconds = 10_000
      $0.maximumRetryAttempts = 0
      $0.bisectsBatchOnError = true
    }
    #expect(
      split.plan().called == [Called("1–4"), Called("1–2"), Called("1"), Called("2"), Called("3–4"), Called("")])
  }

  @Test("any plan: each record comes to an end or waits behind one that never does", arguments: UInt64(1)...150)
  func anyPlan(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    func below(_ bound: UInt64) -> Int { Int(random.next() % bound) }
    let kinds: [FailureKind] = [.error, .reportedNoProgress, .timedOut, .throttled, .payloadTooLarge, .exited]
    var failing: [Int: PlannedFailure] = [:]
    let count = 1 + below(30)
    for _ in 0..<below(5) {
      let rule = below(2) == 0 ? nil : RetryRuleID(UInt8(below(3)))
      failing[1 + below(UInt64(count))] = PlannedFailure(
        kinds[below(6)], rule: rule, times: below(2) == 0 ? nil : 1 + below(4))
    }
    var scenario = PlanScenario(count, failing: failing) {
      $0.batchSize = 1 + below(12)
      $0.maximumRetryAttempts = below(2) == 0 ? nil : below(4)
      $0.maximumRecordAgeMilliseconds = below(2) == 0 ? nil : 60_000
      $0.bisectsBatchOnError = below(2) == 0
      $0.windowMilliseconds = below(3) == 0 ? 1_000 : 0
      $0.tumblingWindowMilliseconds = below(3) == 0 ? 10_000 : 0
      if below(2) == 0 {
        let counts: [Bool?] = [nil, true, false]
        $0.retryRules = RetryRules([.giveUp, .retry(usesAttempt: counts[below(3)], nil)]) { kind in
          kind == .payloadTooLarge ? RetryRuleID(0) : nil
        }
      }
    }
    let hasWindows = scenario.policy.tumblingWindowMilliseconds > 0
    scenario.laneCount = hasWindows ? 1 : 1 + below(3)
    for place in scenario.records.indices { scenario.records[place].lane = below(UInt64(scenario.laneCount)) }
    let plan = scenario.plan()
    let isCut = plan.isCut
    #expect(!isCut)
    for fate in plan.records where fate.outcome == .waiting {
      let lane = scenario.records[fate.number - 1].lane
      #expect(plan.endless.contains { $0.lane == lane && $0.records.first ?? .max <= fate.number })
    }
    for batch in plan.endless { #expect(scenario.policy.maximumRecordAgeMilliseconds == nil, "\(batch)") }
    let deliveries = plan.invocations.filter(\.reachesHandler).flatMap(\.records)
    for fate in plan.records { #expect(fate.deliveries == deliveries.count { $0 == fate.number }) }
    // Each window that was begun has its end, unless the lane never comes there.
    if hasWindows, plan.endless.isEmpty, !plan.invocations.isEmpty {
      #expect(plan.invocations.last?.isFinal == true || plan.departures.count == plan.steps.count)
    }
    // In each lane one invocation begins when the one before it, and its wait, are over.
    for lane in 0..<scenario.laneCount {
      let own = plan.invocations.filter { $0.lane == lane }
      for (former, later) in zip(own, own.dropFirst()) {
        var wait: Int64 = 0
        if case .retry(let planned) = former.next { wait = planned.milliseconds }
        #expect(later.milliseconds >= former.endMilliseconds + wait)
      }
    }
  }
}
