import Foundation
import Sluice
import StreamModel
import Testing

@Suite("A shadow mapping on the real program", .timeLimit(.minutes(10)))
struct ShadowTests {
  @Test(
    "a handler that fails holds up nothing and leaves no failure; what it answers is counted, until it is no shadow")
  func shadow() async throws {
    try await Workplace.with(
      Setup {
        $0.batchSize = 1
        $0.rules = ["shadow: true"]
      }
    ) { place in
      let worker = try await place.start()
      try await place.put("one", "raise", "garbage", "two")
      try await place.isDrained()
      let shadow = try await eventually("all of it is counted") {
        let shadow = try await place.ask(StatusReport.self, "status").mappings.first?.shadow
        return shadow.map { $0.succeededBatches + $0.failedBatches } == 4 ? shadow : nil
      }
      #expect(shadow.succeededRecords == 2 && shadow.failedRecords == 2)
      #expect(shadow.lastFailure?.records == 1)
      #expect(place.delivered.map(\.text) == ["one", "two"])
      #expect(try await place.ask([FailureReport].self, "failures", "list").isEmpty)
      let metrics = try await worker.get("/metrics").text
      #expect(metrics.contains(#"sluice_shadow_records_total{mapping="numbers-note",outcome="failed"} 2"#))
      #expect(metrics.contains(#"FailedInvokeEventCount{mapping="numbers-note"} 2"#))
      for command in [["status"], ["explain", "numbers-note"]] {
        let text = try await place.sluice(command).output
        #expect(text.contains("2 batches (2 records) failed; that moved nothing"), "\(text)")
      }

      // In earnest from now on.
      try place.configure(Setup { $0.batchSize = 1 })
      let applied = try await place.sluice("apply", "--config", "sluice.yaml", "--yes")
      #expect(applied.code == 0, "\(applied)")
      try await place.put("raise")
      #expect(try await place.lane(is: .retrying).backlogRecords == 1)
      #expect(try await place.ask(StatusReport.self, "status").mappings.first?.shadow == nil)
    }
  }
}
