import ShardCore
import ShardSimulation
import StreamModel
import Testing

@Suite("Small worlds")
struct SmallWorldTests {
  struct Setting: CustomTestStringConvertible {
    var batchSize: Int
    var attempts: Int?
    var age: Int64?
    var window: Int64 = 0
    var bisects = false
    var rules: [RetryAction] = []
    var tumbling: Int64 = 0

    var testDescription: String {
      "batches of \(batchSize), retries \(attempts.map(String.init) ?? "without end"), age \(age ?? 0), window \(window)"
        + (bisects ? ", bisecting" : "") + (rules.isEmpty ? "" : ", \(rules.count) rules")
        + (tumbling > 0 ? ", in windows of \(tumbling) ms" : "")
    }
  }

  static let settings = [
    Setting(batchSize: 2, attempts: 1, age: nil),
    Setting(batchSize: 1, attempts: 0, age: nil),
    Setting(batchSize: 2, attempts: nil, age: 150),
    Setting(batchSize: 2, attempts: 1, age: 150, window: 50),
    Setting(batchSize: 2, attempts: 0, age: nil, bisects: true),
    Setting(batchSize: 2, attempts: nil, age: nil, rules: [.giveUp]),
    Setting(batchSize: 2, attempts: 0, age: nil, bisects: true, rules: [.giveUp]),
    Setting(batchSize: 2, attempts: 1, age: 150, rules: [.retry(usesAttempt: false, nil), .giveUp]),
    Setting(batchSize: 2, attempts: 1, age: nil, tumbling: 100),
    Setting(batchSize: 2, attempts: 0, age: 150, bisects: true, tumbling: 1),
  ]

  @Test("all worlds of a few records keep every promise", arguments: settings)
  func all(setting: Setting) {
    let backoff = Backoff(firstMilliseconds: 100, capMilliseconds: 200, jitterPercent: 0)
    let policy = LanePolicy(
      batchSize: setting.batchSize, payloadByteLimit: 100, windowMilliseconds: setting.window,
      tumblingWindowMilliseconds: setting.tumbling, maximumRetryAttempts: setting.attempts,
      maximumRecordAgeMilliseconds: setting.age,
      bisectsBatchOnError: setting.bisects, handlerTimeoutMilliseconds: 1_000, retryBackoff: backoff,
      systemBackoff: backoff, deliveriesInFlightLimit: 1, unstoredBatchLimit: 1)
    var ruled = policy
    if !setting.rules.isEmpty {
      // What a handler reports falls under the last rule.
      ruled.retryRules = RetryRules(setting.rules) { kind in
        kind == .reportedNoProgress ? RetryRuleID(UInt8(setting.rules.count - 1)) : nil
      }
    }
    let report = SmallWorlds(
      policy: ruled, limits: PollerLimits(windowStateByteLimit: 1, windowCloseDelayMilliseconds: 10), records: 2,
      laterRecords: 1, crashes: 1, refusals: 1, depth: 6
    ).explore()
    #expect(report.violations == [])
    #expect(report.worlds > 1_000)
  }
}
