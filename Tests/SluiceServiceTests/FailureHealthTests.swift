@testable import Sluice
@testable import SluiceService
import Testing

@Suite("Failures that make the service not ready")
struct FailureHealthTests {
  private func report(entries: Int, oldest: Int64?) -> StatusReport {
    var mapping = MappingReport(
      name: "m", stream: "s", isRunning: true, state: .enabled, lastProcessingResult: "OK", isConfigured: true,
      settings: [:], lanes: [], failureEntries: entries, pendingDeliveries: 0, undeliverableEntries: 0)
    mapping.oldestFailureAt = oldest
    return StatusReport(worker: nil, streams: [], mappings: [mapping], generatedAt: 100_000)
  }

  private func health(_ entries: Int, _ age: Duration) -> FailureHealth {
    var listen = ListenConfiguration()
    listen.readyFailureEntries = entries
    listen.readyFailureAge = age
    return FailureHealth(listen)
  }

  @Test("more entries than the limit, not as many")
  func depth() {
    #expect(health(3, .zero).reasons(report(entries: 3, oldest: 0)).isEmpty)
    #expect(
      health(3, .zero).reasons(report(entries: 4, oldest: 0))
        == ["m has 4 failure entries, more than listen.readyFailureEntries: 3"])
  }

  @Test("older than the limit, not as old")
  func age() {
    #expect(health(0, .seconds(60)).reasons(report(entries: 1, oldest: 40_000)).isEmpty)
    #expect(
      health(0, .seconds(60)).reasons(report(entries: 1, oldest: 39_999))
        == ["m has a failure entry that is older than listen.readyFailureAge: 1m"])
  }

  @Test("without limits nothing is asked, and without entries nothing is old")
  func none() {
    #expect(!health(0, .zero).isAsked)
    #expect(health(0, .zero).reasons(report(entries: 1_000, oldest: 0)).isEmpty)
    #expect(health(1, .seconds(1)).reasons(report(entries: 0, oldest: nil)).isEmpty)
  }
}
