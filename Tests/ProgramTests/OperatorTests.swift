import Foundation
import Sluice
import StreamModel
import Testing

@Suite("An operator and the flights", .timeLimit(.minutes(10)))
struct OperatorTests {
  /// The flights with the handler that stumbles over cancelled ones.
  private static let setup = Setup {
    $0.shards = 4
    $0.batchSize = 100
    $0.retries = 3
    $0.readyBlockedAfter = "1s"
    $0.command = #"["python3", "delays.py"]"#
  }

  private func withFlights(_ change: (inout Setup) -> Void = { _ in }, _ story: (Workplace) async throws -> Void)
    async throws
  {
    var setup = Self.setup
    change(&setup)
    try await Workplace.with(setup) { place in
      let flights = Program.root.appending(path: "Examples/flights")
      for (name, target) in [
        ("delays.py", "delays.py"), ("delays_fixed.py", "fixed.py"), ("flights-sample.ndjson", "flights"),
      ] {
        try FileManager.default.copyItem(at: flights.appending(path: name), to: place.folder.appending(path: target))
      }
      try await story(place)
    }
  }

  @Test("explain says why a shard is stuck, and skip sets it free")
  func explainAndSkip() async throws {
    try await withFlights {
      $0.retries = -1
    } _: { place in
      let worker = try await place.start()
      try await place.putFlights()
      let lane = try await place.lane(is: .retrying)
      let attempt = try #require(lane.attempts.last)
      #expect(attempt.kind == "error" && attempt.type == "TypeError")
      #expect(attempt.trace.contains { $0.contains("delays.py") })
      #expect(lane.attemptsMade >= 1 && lane.attemptsLeft == nil)
      #expect(lane.batch?.preview?.contains("tailnum") == true)
      #expect(lane.waitingRecords > 0)
      #expect(lane.commands.contains { $0.command.hasPrefix("sluice skip numbers-note --shard") })

      let shard = lane.shard
      let preview = try await place.ask(ActionReport.self, "skip", "numbers-note", "--shard", shard)
      #expect(!preview.isApplied && Int(preview.records) == lane.batch?.records)
      #expect(try await place.lane(shard).checkpoint == lane.checkpoint)
      #expect(try await place.ask([AuditReport].self, "audit").isEmpty)
      #expect(try await place.ask([FailureReport].self, "failures").isEmpty)

      let skipped = try await place.ask(ActionReport.self, "skip", "numbers-note", "--shard", shard, "--yes")
      #expect(skipped.isApplied)
      let entry = try #require(try await place.failures().first)
      #expect(entry.condition == "Skipped" && entry.shard == shard)
      let audit = try #require(try await place.ask([AuditReport].self, "audit").first)
      #expect(audit.action == "skip" && audit.subject == "numbers-note \(shard)")
      #expect(try await place.lane(shard).checkpoint != lane.checkpoint)
      #expect(await worker.drain() == 0)
    }
  }

  @Test("failures keep the payload, and a redrive after the fix delivers them in order and empties the list")
  func redrive() async throws {
    try await withFlights {
      $0.retries = 1
    } _: { place in
      let worker = try await place.start()
      let put = try await place.putFlights()
      try await place.isDrained()
      let entries = try await place.failures()
      let detail = try await place.ask(FailureDetail.self, "failures", "show", "\(entries[0].entry)")
      #expect(detail.entry.attemptsMade == 2 && detail.entry.condition == "RetryAttemptsExhausted")
      #expect(detail.records.count == detail.entry.records)
      #expect(detail.records.contains { $0.text?.contains("\"dep_time\":null") == true })
      #expect(await worker.drain() == 0)

      // The fixed handler notes what it gets.
      try place.configure(Self.setup.with { $0.command = #"["python3", "handler.py"]"# })
      _ = try await place.start(life: 1)
      let preview = try await place.ask(ActionReport.self, "failures", "redrive", "--mapping", "numbers-note")
      #expect(!preview.isApplied)
      #expect(place.delivered.isEmpty)
      let redriven = try await place.ask(ActionReport.self, "failures", "redrive", "--mapping", "numbers-note", "--yes")
      #expect(redriven.records == UInt64(entries.reduce(0) { $0 + $1.records }))
      #expect(redriven.records < UInt64(put.records))
      _ = try await eventually("the list is empty") {
        try await place.ask([FailureReport].self, "failures").isEmpty ? true : nil
      }
      #expect(place.delivered.count == Int(redriven.records))
      for notes in Dictionary(grouping: place.delivered, by: \.sequenceNumber.shard).values {
        let numbers = notes.map(\.sequenceNumber)
        #expect(numbers == numbers.sorted())
      }
    }
  }

  @Test("a restart with the fixed handler sets a stuck shard free, and retry need not wait")
  func fix() async throws {
    try await withFlights {
      $0.retries = -1
    } _: { place in
      _ = try await place.start()
      try await place.putFlights()
      _ = try await place.lane(is: .retrying)
      try FileManager.default.removeItem(at: place.folder.appending(path: "delays.py"))
      try FileManager.default.moveItem(
        at: place.folder.appending(path: "fixed.py"), to: place.folder.appending(path: "delays.py"))
      let worker = try await place.restart()
      _ = try await place.sluice("retry", "numbers-note", "--yes")
      try await place.isDrained()
      #expect(try await place.ask([FailureReport].self, "failures").isEmpty)
      #expect(await worker.drain() == 0)
    }
  }

  @Test("a paused lane delivers nothing, over a restart too, until it is resumed")
  func pause() async throws {
    try await Workplace.with { place in
      _ = try await place.start()
      let paused = try await place.ask(ActionReport.self, "pause", "numbers-note", "--yes")
      #expect(paused.isApplied)
      _ = try await place.lane(is: .paused)
      try await place.put("one", "two")
      _ = try await place.restart()
      #expect(try await place.lane(is: .paused).backlogRecords == 2)
      #expect(place.delivered.isEmpty)
      #expect(try await place.sluice("resume", "numbers-note", "--yes").code == 0)
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["one", "two"])
      #expect(try await place.ask([AuditReport].self, "audit").map(\.action) == ["resume", "pause"])
    }
  }

  @Test("a shard that is blocked too long makes the worker not ready, until it is free again")
  func readiness() async throws {
    try await withFlights {
      $0.retries = -1
    } _: { place in
      let worker = try await place.start()
      _ = try await eventually("it is ready") { try await worker.get("/ready").status == 200 ? true : nil }
      try place.write("{\"dep_time\":null,\"sched_dep_time\":5}\n", to: "cancelled")
      _ = try await place.ask(PutReport.self, "put", "numbers", "cancelled", "--partition-key", "k")
      let text = try await eventually("it is not ready") {
        let answer = try await worker.get("/ready")
        return answer.status == 503 ? answer.text : nil
      }
      #expect(text.contains("numbers-note shardId-") && text.contains("is blocked"))
      let shard = try await place.lane(is: .retrying).shard
      #expect(try await place.sluice("skip", "numbers-note", "--shard", shard, "--yes").code == 0)
      _ = try await eventually("it is ready again") { try await worker.get("/ready").status == 200 ? true : nil }
    }
  }

  @Test("more failures than may be make the worker not ready, until they are gone")
  func failureHealth() async throws {
    try await Workplace.with(
      Setup {
        $0.retries = 0
        $0.batchSize = 1
        $0.readyFailureEntries = 1
      }
    ) { place in
      let worker = try await place.start()
      try await place.put("raise", "raise")
      let text = try await eventually("it is not ready") {
        let answer = try await worker.get("/ready")
        return answer.status == 503 ? answer.text : nil
      }
      #expect(text.contains("numbers-note has 2 failure entries, more than listen.readyFailureEntries: 1"))
      let reason = "numbers-note has 2 failure entries, more than listen.readyFailureEntries: 1"
      let status = try await place.sluice("status").output
      #expect(status.contains("2 in failures, the oldest "))
      #expect(status.contains("  OVER THRESHOLD: \(reason)\n"))
      let report = try await place.ask(StatusReport.self, "status")
      #expect(
        report.passedThresholds == [
          PassedThreshold(mapping: "numbers-note", setting: "listen.readyFailureEntries", reason: reason)
        ])
      #expect(
        try await worker.get("/metrics").text.contains("sluice_failure_oldest_age_seconds{mapping=\"numbers-note\"}"))
      let entry = try #require(try await place.failures().first).entry
      #expect(try await place.sluice("failures", "purge", "--entry", "\(entry)", "--yes").code == 0)
      _ = try await eventually("it is ready again") { try await worker.get("/ready").status == 200 ? true : nil }
      #expect(try await place.ask(StatusReport.self, "status").passedThresholds == [])

      // Without a worker the store says how many there are, and a configuration how many there may be.
      #expect(await worker.drain() == 0)
      let alone = try await place.sluice("status").output
      #expect(alone.contains("--config FILE compares with them") && !alone.contains("OVER THRESHOLD"))
      try place.configure(Setup { $0.readyFailureAge = "1ms" })
      let file = place.folder.appending(path: "sluice.yaml").path
      let compared = try await place.sluice("status", "--config", file).output
      #expect(
        compared.contains(
          "  OVER THRESHOLD: numbers-note has a failure entry that is older than listen.readyFailureAge: 1ms\n"))
    }
  }

  @Test("the metrics have the names of AWS and the lanes")
  func metrics() async throws {
    try await Workplace.with(Setup { $0.retries = 0 }) { place in
      let worker = try await place.start()
      try await place.put("good")
      try await place.isDrained()
      try await place.put("raise")
      _ = try await place.failures()
      let text = try await worker.get("/metrics").text
      for line in [
        "PolledEventCount{mapping=\"numbers-note\"} 2", "InvokedEventCount{mapping=\"numbers-note\"} 2",
        "FailedInvokeEventCount{mapping=\"numbers-note\"} 1",
        "OnFailureDestinationDeliveredEventCount{mapping=\"numbers-note\"} 1",
        "sluice_failure_entries{mapping=\"numbers-note\"} 1", "sluice_lane_blocked{mapping=\"numbers-note\"",
      ] {
        #expect(text.contains(line), "\(line) is not in\n\(text)")
      }
    }
  }

  @Test("SIGTERM drains a worker that has only just begun to listen")
  func earlyDrain() async throws {
    try await Workplace.with { place in
      for _ in 0..<5 {
        let worker = try await place.start(early: true)
        #expect(await worker.drain() == 0)
      }
    }
  }

  @Test("SIGTERM lets the batch in flight end, stores its progress and exits with 0")
  func drain() async throws {
    let slow = Setup {
      $0.batchSize = 1
      $0.command =
        #"["sh", "-c", "while read -r e; do echo begun >&2; until [ -e go ]; do sleep 0.01; done; echo {}; done"]"#
    }
    try await Workplace.with(slow) { place in
      let worker = try await place.start()
      try await place.put("one", "two", "three")
      _ = try await worker.says("begun")
      async let code = worker.drain()
      _ = try await worker.says("draining")
      #expect(try await worker.get("/ready").status == 503)
      try place.write("", to: "go")
      #expect(await code == 0)
      #expect(try await place.lanes().map(\.backlogRecords) == [2])
    }
  }
}

extension Setup {
  fileprivate func with(_ change: (inout Setup) -> Void) -> Setup {
    var copy = self
    change(&copy)
    return copy
  }
}

extension Workplace {
  @discardableResult
  fileprivate func putFlights() async throws -> PutReport {
    try await ask(PutReport.self, "put", "numbers", "flights", "--key-field", "tailnum", "--missing-key", "none")
  }

  fileprivate func lane(_ shard: String) async throws -> LaneReport {
    try #require(try await ask([LaneReport].self, "explain", "numbers-note", "--shard", shard).first)
  }
}
