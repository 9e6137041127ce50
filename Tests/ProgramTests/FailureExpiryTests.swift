import Foundation
import Sluice
import Testing

/// Failure entries that the real program removes because they were kept long enough.
@Suite("Failures expire", .timeLimit(.minutes(10)))
struct FailureExpiryTests {
  private static func setup(_ keepFor: String, _ rules: String...) -> Setup {
    Setup {
      $0.retries = 0
      $0.batchSize = 1
      $0.keepFailuresFor = keepFor
      $0.rules = rules
    }
  }

  private func entries(_ place: Workplace) async throws -> [FailureReport] {
    try await place.ask([FailureReport].self, "failures", "list")
  }

  @Test(
    "a worker that starts removes what is older than the file says, says so in audit and metrics, and shows what is left"
  )
  func atStart() async throws {
    try await Workplace.with(Self.setup("forever")) { place in
      let clock = try await SteppingClock(in: place)
      let first = try await place.start(more: clock.environment)
      try await place.put("raise")
      let old = try #require(try await place.failures().first)
      #expect(old.expiresAt == nil)
      #expect(await first.drain() == 0)

      // A day later another one is made, and somebody says for how long.
      try clock.step(byMilliseconds: 86_400_000)
      let second = try await place.start(more: clock.environment)
      try await place.put("raise")
      _ = try await eventually("the second entry is there") { try await entries(place).count == 2 ? true : nil }
      #expect(await second.drain() == 0)
      try place.configure(Self.setup("12h"))
      let third = try await place.start(more: clock.environment)
      let left = try await eventually("the first entry expired") {
        let entries = try await entries(place)
        return entries.count == 1 ? entries.first : nil
      }
      #expect(left.entry == 2)
      #expect(left.expiresAt == left.createdAt + 43_200_000)
      let audit = try await place.ask([AuditReport].self, "audit")
      #expect(
        audit.map { "\($0.actor) \($0.action) \($0.subject): \($0.detail)" }
          == ["retention expire numbers-note: entry 1: older than 12h (failures.keepFor)"])
      let metrics = try await third.get("/metrics").text
      #expect(metrics.contains("sluice_failure_entries_expired_total{mapping=\"numbers-note\"} 1"), "\(metrics)")
      let environment = clock.environment
      #expect(try await place.sluice(["status"], environment: environment).output.contains(", expires in 11 h"))
      #expect(try await place.sluice(["failures", "list"], environment: environment).output.contains("in 11 h"))
      #expect(
        try await place.sluice(["failures", "show", "2"], environment: environment).output.contains("  expires in 11 h")
      )
      let record = try await place.sluice(
        ["explain", "numbers-note", "--record", left.firstSequenceNumber], environment: environment)
      #expect(record.output.contains("the entry expires in 11 h"), "\(record)")
      #expect(await third.drain() == 0)
      #expect(try await place.sluice("check-store", place.data.path).code == 0)
    }
  }

  @Test("a worker that runs takes another setting at once, and does not believe a clock that is set ahead")
  func running() async throws {
    try await Workplace.with(Self.setup("30d", "onFailure: { keepFor: 1d }")) { place in
      let clock = try await SteppingClock(in: place)
      let worker = try await place.start(more: clock.environment)
      try await place.put("raise")
      let entry = try #require(try await place.failures().first)
      #expect(entry.expiresAt == entry.createdAt + 86_400_000)
      try clock.step(byMilliseconds: 7 * 86_400_000)
      _ = try await worker.says("the wall clock was set ahead")
      #expect(try await entries(place).count == 1)

      try place.configure(Self.setup("30d"))
      let report = try await place.ask(ChangeReport.self, "apply", "--config", "sluice.yaml", "--yes")
      #expect(report.differences.map(\.path) == ["mappings.numbers-note.onFailure.keepFor"])
      #expect(try await entries(place).first?.expiresAt == entry.createdAt + 30 * 86_400_000)
      try place.configure(Self.setup("60d"))
      _ = try await place.ask(ChangeReport.self, "apply", "--config", "sluice.yaml", "--yes")
      #expect(try await entries(place).first?.expiresAt == entry.createdAt + 60 * 86_400_000)
      let audit = try await place.ask([AuditReport].self, "audit")
      #expect(audit.first.map { "\($0.action) \($0.subject) \($0.detail)" } == "apply failures.keepFor 30d → 60d")
      let checked = try await place.sluice("check", "sluice.yaml")
      #expect(checked.output.contains("failures.keepFor = 60d"), "\(checked)")
      #expect(await worker.drain() == 0)
    }
  }
}
