@testable import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: retry rules")
struct RetryRuleTests {
  private static let give = RetryRuleID(0)
  private static let wait = RetryRuleID(1)

  /// The first rule gives up; the second waits 500 ms and uses up no attempt.
  private static func policy(
    attempts: Int? = 1, age: Int64? = nil, bisects: Bool = false, ofKind: [FailureKind: RetryRuleID] = [:]
  ) -> LanePolicy {
    var policy = LanePolicy.plain(attempts: attempts, age: age, bisects: bisects)
    let always = Backoff(firstMilliseconds: 500, capMilliseconds: 500, jitterPercent: 0, growthPercent: 100)
    policy.retryRules = RetryRules([.giveUp, .retry(usesAttempt: false, always)]) { ofKind[$0] }
    return policy
  }

  @Test("what a rule gives up leaves at once and the next batch comes")
  func givesUp() {
    var lane = LaneHarness(Self.policy(attempts: nil), records: 2)
    lane.answer(.failed(.error, rule: Self.give))
    #expect(lane.failures.map(\.condition) == [.givenUp])
    #expect(lane.failures.map(\.extent.count) == [2])
    #expect(lane.failures.map(\.attempts) == [1])
    lane.append(1)
    #expect(lane.delivered == [Batch(0, 2), Batch(2, 1)])
    #expect(lane.milliseconds == 0)
  }

  @Test("a failure that no rule fits leads to what the settings say")
  func noRule() {
    var lane = LaneHarness(Self.policy(), records: 1)
    lane.fail()
    lane.advance(by: 100)
    #expect(lane.delivered == [Batch(0, 1), Batch(0, 1, attempt: 2)])
    lane.answer(.failed(.error, rule: RetryRuleID(9)))
    #expect(lane.failures.map(\.condition) == [.retryAttemptsExhausted])
  }

  @Test("a bisecting mapping isolates what a rule gives up, without a wait")
  func isolates() {
    var lane = LaneHarness(Self.policy(attempts: nil, bisects: true), records: 4)
    while lane.state == .delivering, let extent = lane.deliveries.last?.extent {
      if extent.first.rawValue <= 1, extent.end.rawValue > 1 {
        lane.answer(.failed(.error, rule: Self.give))
      } else {
        lane.succeed()
      }
    }
    #expect(lane.delivered == [Batch(0, 4), Batch(0, 2), Batch(0, 1), Batch(1, 1), Batch(2, 2)])
    #expect(lane.failures.map(\.extent.first.rawValue) == [1])
    #expect(lane.checkpoint == 4)
    #expect(lane.milliseconds == 0)
  }

  @Test("a record that the handler names leaves alone, bisecting or not", arguments: [false, true])
  func named(bisects: Bool) {
    var lane = LaneHarness(
      Self.policy(attempts: nil, bisects: bisects, ofKind: [.reportedNoProgress: Self.give]), records: 4)
    lane.fail(at: 1)
    lane.fail(at: 1)
    #expect(lane.failures.map(\.extent.count) == [1])
    #expect(lane.failures.map(\.extent.first.rawValue) == [1])
    lane.succeed()
    #expect(lane.delivered == [Batch(0, 4), Batch(1, 3), Batch(2, 2)])
    #expect(lane.checkpoint == 4)
  }

  @Test("a throttle may use up attempts, and an error may use up none and split nothing")
  func counting() {
    var policy = LanePolicy.plain(attempts: 1, bisects: true)
    policy.retryRules = RetryRules([.retry(usesAttempt: true, nil), .retry(usesAttempt: false, nil)]) { _ in nil }
    var lane = LaneHarness(policy, records: 2)
    for _ in 1...5 {
      lane.answer(.failed(.error, rule: RetryRuleID(1)))
      lane.advance(by: 1_000)
    }
    #expect(lane.failures == [])
    #expect(lane.delivered == Array(repeating: Batch(0, 2), count: 6))
    lane.answer(.failed(.throttled, rule: RetryRuleID(0)))
    lane.advance(by: 1_000)
    lane.answer(.failed(.throttled, rule: RetryRuleID(0)))
    #expect(lane.failures.map(\.attempts) == [2])
    #expect(lane.failures.map(\.extent.count) == [2])
  }

  @Test(
    "ten throttles and no retries: nothing is discarded, with a rule or without one", arguments: [nil, RetryRuleID(1)])
  func tenThrottles(rule: RetryRuleID?) {
    var lane = LaneHarness(Self.policy(attempts: 0), records: 1)
    for _ in 1...10 {
      lane.answer(.failed(.throttled, rule: rule))
      lane.advance(by: 1_000)
    }
    #expect(lane.failures == [])
    lane.succeed()
    #expect(lane.checkpoint == 1)
    #expect(lane.deliveries.count == 11)
  }

  @Test("a rule has its own waits")
  func waits() {
    var lane = LaneHarness(Self.policy(), records: 1)
    for _ in 1...3 {
      lane.answer(.failed(.error, rule: Self.wait))
      let count = lane.deliveries.count
      lane.advance(by: 499)
      #expect(lane.deliveries.count == count)
      lane.advance(by: 1)
      #expect(lane.deliveries.count == count + 1)
    }
  }

  @Test("record age ends what uses up no attempt")
  func age() {
    var lane = LaneHarness(Self.policy(attempts: 0, age: 1_200), records: 1)
    while lane.failures.isEmpty {
      lane.answer(.failed(.error, rule: Self.wait))
      lane.advance(by: 500)
    }
    #expect(lane.failures.map(\.condition) == [.recordAgeExceeded])
    #expect(lane.failures.map(\.attempts) == [0])
    #expect(lane.deliveries.count == 3)
  }

  @Test("failures that the core finds by itself fall under rules too")
  func byItself() {
    var policy = Self.policy(ofKind: [.payloadTooLarge: Self.give, .timedOut: Self.give])
    policy.payloadByteLimit = 10
    var lane = LaneHarness(policy)
    lane.append(1, payload: 11)
    #expect(lane.failures.map(\.condition) == [.givenUp])
    lane.append(1, payload: 5)
    lane.advance(by: 1_000)
    #expect(lane.cancelled.count == 1)
    // It was done after all, but too late.
    lane.succeed()
    #expect(lane.failures.map(\.condition) == [.givenUp, .givenUp])
  }

  @Test("what a handler says at its deadline decides which rule it falls under")
  func deadline() {
    var lane = LaneHarness(Self.policy(ofKind: [.timedOut: Self.give]), records: 1)
    lane.advance(by: 1_000)
    lane.answer(.failed(.timedOut, rule: Self.wait))
    #expect(lane.failures == [])
    #expect(lane.state == .backingOff)
  }

  @Test("a restart stores what a rule had given up, and delivers it to nobody", arguments: [false, true])
  func restart(isNamed: Bool) {
    let policy = Self.policy(attempts: nil, ofKind: [.reportedNoProgress: Self.give])
    var former = LaneHarness(policy, records: 3)
    former.holdsFailures = true
    if isNamed { former.fail(at: 0) } else { former.answer(.failed(.error, rule: Self.give)) }
    let progress = former.stored.last ?? LaneProgress()
    #expect(progress.failing?.givenUp == (isNamed ? .firstRecord : .batch))
    // The configuration may have other rules by now.
    var lane = LaneHarness(.plain(), progress: progress, records: 3)
    #expect(lane.failures.map(\.condition) == [.givenUp])
    #expect(lane.failures.map(\.extent.count) == [isNamed ? 1 : 3])
    #expect(lane.failures.map(\.attempts) == [1])
    #expect(lane.delivered == (isNamed ? [Batch(1, 2)] : []))
    if isNamed { lane.succeed() }
    #expect(lane.checkpoint == 3)
  }

  @Test("a restart knows the wait of a rule, however long")
  func restartWaiting() {
    var policy = Self.policy()
    let hour = Backoff(firstMilliseconds: 3_600_000, capMilliseconds: 3_600_000, jitterPercent: 0)
    policy.retryRules = RetryRules([.retry(usesAttempt: nil, hour)]) { _ in nil }
    var former = LaneHarness(policy, records: 1)
    former.answer(.failed(.error, rule: RetryRuleID(0)))
    var lane = LaneHarness(policy, progress: former.stored.last ?? LaneProgress(), records: 1)
    lane.advance(by: 3_599_999)
    #expect(lane.deliveries == [])
    lane.advance(by: 1)
    #expect(lane.delivered == [Batch(0, 1, attempt: 2)])
  }

  @Test("a skip comes before a rule: the records leave as skipped")
  func skipped() {
    var lane = LaneHarness(Self.policy(), records: 2)
    lane.skip(through: 1)
    lane.answer(.failed(.error, rule: Self.give))
    #expect(lane.failures.map(\.condition) == [.skipped])
  }

  @Test(
    "waits grow by their factor up to the cap",
    arguments: [
      (100, 1_000, [1_000, 1_000, 1_000]), (150, 1_000, [1_000, 1_500, 2_250, 3_375]),
      (1_000, 7, [7, 70, 700, 7_000, 10_000, 10_000]), (110, 1, [1, 1, 1, 1, 1, 1, 1, 1, 2]),
    ] as [(Int, Int64, [Int64])])
  func growth(percent: Int, first: Int64, waits: [Int64]) {
    let backoff = Backoff(
      firstMilliseconds: first, capMilliseconds: 10_000, jitterPercent: 0, growthPercent: percent)
    #expect(waits.indices.map { backoff.delayMilliseconds(failures: $0 + 1, jitter: 0) } == waits)
    #expect(backoff.delayMilliseconds(failures: .max, jitter: 0) == (percent == 100 ? first : 10_000))
  }
}
