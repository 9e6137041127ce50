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

    var testDescription: String {
      "batches of \(batchSize), retries \(attempts.map(String.init) ?? "without end"), age \(age ?? 0), window \(window)"
        + (bisects ? ", bisecting" : "")
    }
  }

  static let settings = [
    Setting(batchSize: 2, attempts: 1, age: nil),
    Setting(batchSize: 1, attempts: 0, age: nil),
    Setting(batchSize: 2, attempts: nil, age: 150),
    Setting(batchSize: 2, attempts: 1, age: 150, window: 50),
    Setting(batchSize: 2, attempts: 0, age: nil, bisects: true),
  ]

  @Test("all worlds of a few records keep every promise", arguments: settings)
  func all(setting: Setting) {
    let backoff = Backoff(firstMilliseconds: 100, capMilliseconds: 200, jitterPercent: 0)
    let policy = LanePolicy(
      batchSize: setting.batchSize, payloadByteLimit: 100, windowMilliseconds: setting.window,
      maximumRetryAttempts: setting.attempts, maximumRecordAgeMilliseconds: setting.age,
      bisectsBatchOnError: setting.bisects, handlerTimeoutMilliseconds: 1_000, retryBackoff: backoff,
      systemBackoff: backoff, deliveriesInFlightLimit: 1, unstoredBatchLimit: 1)
    let report = SmallWorlds(
      policy: policy, records: 2, laterRecords: 1, crashes: 1, refusals: 1, depth: 6
    ).explore()
    #expect(report.violations == [])
    #expect(report.worlds > 1_000)
  }
}
