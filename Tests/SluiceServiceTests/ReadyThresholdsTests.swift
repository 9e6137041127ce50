@testable import Sluice
@testable import SluiceService
import Testing

@Suite("Thresholds of the configuration")
struct ReadyThresholdsTests {
  private func report(entries: Int, oldest: Int64?, lanes: [LaneReport] = []) -> StatusReport {
    var mapping = MappingReport(
      name: "m", stream: "s", isRunning: true, state: .enabled, lastProcessingResult: "OK", isConfigured: true,
      settings: [:], lanes: lanes, failureEntries: entries, pendingDeliveries: 0, undeliverableEntries: 0)
    mapping.oldestFailureAt = oldest
    return StatusReport(worker: nil, streams: [], mappings: [mapping], generatedAt: 100_000)
  }

  private func thresholds(_ entries: Int, _ age: Duration) -> ReadyThresholds {
    var listen = ListenConfiguration()
    listen.readyFailureEntries = entries
    listen.readyFailureAge = age
    return ReadyThresholds(listen)
  }

  private func lane(_ state: LaneState, since: Int64) -> LaneReport {
    LaneReport(
      mapping: "m", stream: "s", shard: "shardId-000000000000", lane: nil, laneCount: 1, state: state, since: since,
      summary: "its words", attempts: [], attemptsOmitted: 0, attemptsMade: 0, expiresTo: "", waitingRecords: 0,
      backlogRecords: 0, iteratorAgeMilliseconds: 0, lostToRetention: 0, lostToDamage: 0, pendingDeliveries: 0,
      undeliverableEntries: 0, waitingFor: [], commands: [])
  }

  @Test("more entries than the limit, not as many")
  func depth() {
    #expect(thresholds(3, .zero).passed(report(entries: 3, oldest: 0)).isEmpty)
    #expect(
      thresholds(3, .zero).passed(report(entries: 4, oldest: 0)) == [
        PassedThreshold(
          mapping: "m", setting: "listen.readyFailureEntries",
          reason: "m has 4 failure entries, more than listen.readyFailureEntries: 3")
      ])
  }

  @Test("older than the limit, not as old")
  func age() {
    #expect(thresholds(0, .seconds(60)).passed(report(entries: 1, oldest: 40_000)).isEmpty)
    #expect(
      thresholds(0, .seconds(60)).passed(report(entries: 1, oldest: 39_999)) == [
        PassedThreshold(
          mapping: "m", setting: "listen.readyFailureAge",
          reason: "m has a failure entry that is older than listen.readyFailureAge: 1m")
      ])
  }

  @Test("blocked for longer than the limit, not as long, and only what is blocked")
  func blocked() {
    var listen = ListenConfiguration()
    listen.readyBlockedAfter = .seconds(30)
    let thresholds = ReadyThresholds(listen)
    #expect(thresholds.passed(report(entries: 0, oldest: nil, lanes: [lane(.retrying, since: 70_000)])).isEmpty)
    #expect(thresholds.passed(report(entries: 0, oldest: nil, lanes: [lane(.delivering, since: 0)])).isEmpty)
    #expect(
      thresholds.passed(report(entries: 0, oldest: nil, lanes: [lane(.retrying, since: 69_999)])) == [
        PassedThreshold(
          mapping: "m", setting: "listen.readyBlockedAfter",
          reason: "m shardId-000000000000 is blocked for longer than listen.readyBlockedAfter (30s): its words")
      ])
  }

  @Test("without limits nothing is asked, and without entries nothing is old")
  func none() {
    #expect(thresholds(0, .zero).passed(report(entries: 1_000, oldest: 0)).isEmpty)
    #expect(thresholds(1, .seconds(1)).passed(report(entries: 0, oldest: nil)).isEmpty)
  }
}
