import Foundation
import Sluice
import Testing

@Suite("Settings change while the worker runs", .timeLimit(.minutes(10)))
struct ChangeTests {
  /// Notes each invocation as one line of its records, behind its argument. Fails for `bad`; waits at the gate before it is
  /// done with `slow`.
  private static let handler = """
    import base64, json, os, sys

    for line in sys.stdin:
        records = [record["kinesis"] for record in json.loads(line)["Records"]]
        texts = [base64.b64decode(record["data"]).decode() for record in records]
        with open("invocations", "a") as notes: notes.write(sys.argv[1] + ": " + " ".join(texts) + "\\n")
        if "slow" in texts: \(Gate.wait)
        answer = {"errorType": "E", "errorMessage": "told to"} if "bad" in texts else {}
        print(json.dumps(answer), flush=True)

    """

  private func setup(_ change: (inout Setup) -> Void = { _ in }) -> Setup {
    Setup {
      $0.command = #"["python3", "changes.py", "one"]"#
      change(&$0)
    }
  }

  private func story(_ setup: Setup, _ body: (Workplace) async throws -> Void) async throws {
    try await gatedStory(setup) { place, _ in try await body(place) }
  }

  private func gatedStory(_ setup: Setup, _ body: (Workplace, Gate) async throws -> Void) async throws {
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "changes.py")
      let gate = try Gate(in: place.folder)
      defer { gate.remove() }
      try await body(place, gate)
    }
  }

  private func invocations(at place: Workplace) -> [String] {
    guard let text = try? String(contentsOf: place.folder.appending(path: "invocations"), encoding: .utf8) else {
      return []
    }
    return text.split(separator: "\n").map(String.init)
  }

  private func mapping(at place: Workplace) async throws -> MappingReport {
    try #require(try await place.ask(StatusReport.self, "status").mappings.first)
  }

  private func apply(at place: Workplace) async throws -> ChangeReport {
    try await place.ask(ChangeReport.self, "apply", "--config", "sluice.yaml", "--yes")
  }

  private struct Checked: Decodable {
    var worker: WorkerReport?
    var differences: [SettingDifference]
  }

  @Test("disabled, a mapping keeps its checkpoint and delivers nothing; enabled with another BatchSize it goes on")
  func disableAndEnable() async throws {
    try await story(setup()) { place in
      let worker = try await place.start()
      #expect(try await mapping(at: place).lastProcessingResult == "No records processed")
      try await place.put("a")
      try await place.isDrained()
      #expect(try await mapping(at: place).state == .enabled)
      #expect(try await mapping(at: place).lastProcessingResult == "OK")

      try place.configure(setup { $0.rules = ["Enabled: false"] })
      let report = try await apply(at: place)
      #expect(report.differences.map(\.path) == ["mappings.numbers-note.Enabled"])
      #expect(report.differences.map(\.moment) == [.afterDraining])
      #expect(try await mapping(at: place).state == .disabled)
      try await place.put("b", "c", "d")
      let explained = try await place.sluice("explain", "numbers-note").output
      #expect(explained.contains("Its mapping is Disabled. Its checkpoint is kept"), "\(explained)")
      #expect(try await place.sluice("status").output.contains("Disabled, last result: OK"))

      try place.configure(
        setup {
          $0.batchSize = 2
          $0.rules = ["Enabled: true"]
        })
      worker.hangUp()
      _ = try await worker.says("the configuration is applied")
      try await place.isDrained()
      #expect(invocations(at: place) == ["one: a", "one: b c", "one: d"])
      #expect(try await mapping(at: place).settings["BatchSize"] == "2")
      // The counters go on: four invocations' worth of records, in one line.
      let counted = try await worker.get("/metrics").text.split(separator: "\n").filter {
        $0.hasPrefix("InvokedEventCount{")
      }
      #expect(counted.count == 1 && counted.first?.hasSuffix(" 4") == true, "\(counted)")
      let audit = try await place.ask([AuditReport].self, "audit")
      #expect(audit.map(\.action) == ["apply", "apply"])
      #expect(audit.map(\.detail) == ["Enabled false → true, BatchSize 50 → 2", "Enabled true → false"])
      #expect(audit.first?.actor == "SIGHUP")
      #expect(await worker.drain() == 0)
    }
  }

  @Test("a poisoned batch ends with fewer attempts, as it is; what comes behind it has the new BatchSize")
  func blockedBatch() async throws {
    try await story(setup()) { place in
      _ = try await place.start().drain()
      try await place.put("a", "bad", "c")
      let worker = try await place.start()
      _ = try await eventually("the batch has failed three times") {
        try await place.lanes().first { $0.attemptsMade >= 3 }
      }
      #expect(try await mapping(at: place).lastProcessingResult == "PROBLEM: Function call failed")
      try await place.put("d", "e")
      try place.configure(
        setup {
          $0.batchSize = 1
          $0.retries = 1
        })
      let report = try await apply(at: place)
      #expect(report.differences.map(\.moment) == [.nextBatch, .atOnce])
      let entry = try #require(try await place.failures().first)
      #expect(entry.records == 3 && entry.attemptsMade >= 3)
      try await place.isDrained()
      #expect(invocations(at: place).suffix(2) == ["one: d", "one: e"])
      #expect(await worker.drain() == 0)
    }
  }

  @Test("another handler takes the next delivery, of a batch under retry too; the one at work ends its own")
  func handler() async throws {
    try await gatedStory(setup()) { place, gate in
      let worker = try await place.start()
      try await place.put("slow")
      _ = try await eventually("the handler is at work") { invocations(at: place).isEmpty ? nil : true }
      try await place.put("x")
      try place.configure(setup { $0.command = #"["python3", "changes.py", "two"]"# })
      let report = try await apply(at: place)
      #expect(report.differences.map(\.path) == ["mappings.numbers-note.function.command"])
      #expect(report.differences.map(\.moment) == [.nextDelivery])
      try gate.open(for: 8)
      try await place.isDrained()
      #expect(invocations(at: place) == ["one: slow", "two: x"])
      #expect(await worker.drain() == 0)
    }
  }

  @Test("a batch under retry goes to the command that the function has then, with its request id and its attempts")
  func handlerOfRetry() async throws {
    try await story(setup()) { place in
      let worker = try await place.start()
      try await place.put("bad")
      _ = try await eventually("the batch has failed twice") {
        try await place.lanes().first { $0.attemptsMade >= 2 }
      }
      try place.configure(
        setup {
          $0.command = #"["python3", "changes.py", "two"]"#
          $0.retries = 6
        })
      #expect(try await apply(at: place).differences.map(\.moment) == [.atOnce, .nextDelivery])
      let entry = try #require(try await place.failures().first)
      #expect(entry.attemptsMade == 7 && Set(entry.attempts.map(\.requestID)).count == 1)
      let all = invocations(at: place)
      #expect(all.count == 7 && Set(all) == ["one: bad", "two: bad"] && all == all.sorted())
      #expect(await worker.drain() == 0)
    }
  }

  @Test("a file with errors changes nothing and is told with all of them; so is one that asks for what is fixed")
  func badFile() async throws {
    try await story(setup()) { place in
      let worker = try await place.start()
      try place.configure(setup { $0.rules = ["MaximumRecordAgeInSeconds: 59", "Batchsiez: 3"] })
      let refused = try await place.sluice("apply", "--config", "sluice.yaml", "--yes")
      #expect(refused.code == 65)
      #expect(
        refused.errors.contains(
          "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)"))
      #expect(refused.errors.contains("did you mean BatchSize?"))
      worker.hangUp()
      let told = try await worker.says("the configuration is not applied")
      #expect(told.contains("Batchsiez"))

      try place.configure(
        setup {
          $0.batchSize = 7
          $0.rules = ["StartingPosition: LATEST"]
        })
      let fixed = try await place.sluice("apply", "--config", "sluice.yaml", "--yes")
      #expect(fixed.code == 65)
      #expect(fixed.errors.contains("mappings.numbers-note.StartingPosition: runs with TRIM_HORIZON"))
      #expect(try await mapping(at: place).settings["BatchSize"] == "50")
      try await place.put("a")
      try await place.isDrained()
      #expect(await worker.drain() == 0)
    }
  }

  @Test("check shows what runs and what the file says, of a worker and of the store alone")
  func check() async throws {
    try await story(setup()) { place in
      let before = try await place.ask(Checked.self, "check", "sluice.yaml")
      #expect(before.differences.isEmpty && before.worker == nil)
      let worker = try await place.start()
      #expect(try await place.ask(Checked.self, "check", "sluice.yaml").differences.filter(isOfMapping) == [])
      try place.configure(
        setup {
          $0.batchSize = 7
          $0.timeout = "5s"
        })
      for isRunning in [true, false] {
        if !isRunning { #expect(await worker.drain() == 0) }
        let checked = try await place.ask(Checked.self, "check", "sluice.yaml")
        #expect((checked.worker != nil) == isRunning)
        #expect(
          checked.differences.filter(isOfMapping) == [
            SettingDifference(
              path: "mappings.numbers-note.BatchSize", runs: "50", file: "7", moment: .nextBatch),
            SettingDifference(
              path: "mappings.numbers-note.function.timeout", runs: "30s", file: "5s", moment: .nextDelivery),
          ])
        let text = try await place.sluice("check", "sluice.yaml").output
        #expect(text.contains("with the next batch"), "\(text)")
      }
    }
  }

  private func isOfMapping(_ difference: SettingDifference) -> Bool { difference.path.hasPrefix("mappings.") }

  @Test("a mapping that leaves the file keeps its checkpoint, comes back with it, and is deleted by hand only")
  func removed() async throws {
    try await story(setup()) { place in
      let worker = try await place.start()
      try await place.put("a")
      try await place.isDrained()
      let whole = setup().yaml
      try place.write(
        String(whole.prefix(upTo: try #require(whole.range(of: "mappings:")).lowerBound)), to: "sluice.yaml")
      _ = try await apply(at: place)
      try await place.put("b")
      let left = try await mapping(at: place)
      #expect(!left.isConfigured && left.state == .disabled && !left.isRunning)
      #expect(try await place.sluice("status").output.contains("not in the configuration"))

      try place.configure(setup())
      _ = try await apply(at: place)
      try await place.isDrained()
      #expect(invocations(at: place) == ["one: a", "one: b"])
      #expect(try await place.sluice("mappings", "delete", "numbers-note", "--yes").code == 65)

      try place.write(
        String(whole.prefix(upTo: try #require(whole.range(of: "mappings:")).lowerBound)), to: "sluice.yaml")
      _ = try await apply(at: place)
      #expect(try await place.sluice("mappings", "delete", "numbers-note", "--yes").code == 0)
      #expect(try await place.ask(StatusReport.self, "status").mappings.isEmpty)
      try place.configure(setup())
      _ = try await apply(at: place)
      try await place.isDrained()
      #expect(invocations(at: place).last == "one: a b")
      #expect(await worker.drain() == 0)
    }
  }

  @Test("killed in the middle of a change that drains, the next worker runs what the file says, and nothing is lost")
  func killedBetween() async throws {
    try await gatedStory(setup()) { place, gate in
      let worker = try await place.start()
      try await place.put("slow")
      _ = try await eventually("the handler is at work") { invocations(at: place).isEmpty ? nil : true }
      try await place.put(#"{"n":1}"#, #"{"n":2}"#, #"{"n":1}"#)
      try place.configure(
        setup {
          $0.batchSize = 1
          $0.rules = [#"FilterCriteria: { Filters: [{ Pattern: '{"data":{"n":[1]}}' }] }"#]
        })
      worker.hangUp()
      _ = try await worker.says("step=reopen")
      #expect(try await mapping(at: place).state == .updating)
      await worker.kill()
      try gate.open(for: 8)
      let next = try await place.start()
      try await place.isDrained()
      #expect(Array(invocations(at: place).suffix(2)) == [#"one: {"n":1}"#, #"one: {"n":1}"#])
      #expect(try await mapping(at: place).settings["BatchSize"] == "1")
      #expect(await next.drain() == 0)
    }
  }

  @Test("where a mapping cannot take its settings, the answer says what was applied and what was not, and all go on")
  func inPart() async throws {
    func yaml(batchSize: Int, isMovedEnabled: Bool) -> String {
      setup { $0.batchSize = batchSize }.yaml.replacing(
        "streams:\n", with: "streams:\n  - { name: moved, shards: 1 }\n  - { name: third, shards: 1 }\n") + """
            - { stream: moved, function: note, name: moved, Enabled: \(isMovedEnabled) }
            - { stream: third, function: note, name: third, BatchSize: \(batchSize) }

          """
    }
    try await story(setup()) { place in
      try place.write(yaml(batchSize: 10, isMovedEnabled: true), to: "sluice.yaml")
      let worker = try await place.start()
      try place.write(yaml(batchSize: 10, isMovedEnabled: false), to: "sluice.yaml")
      #expect(try await place.sluice("apply", "--config", "sluice.yaml", "--yes").code == 0)
      // The mapping stands on the stream that it was made for; the file makes another of that name.
      #expect(try await place.sluice("streams", "delete", "moved", "--yes").code == 0)
      func report(of name: String) async throws -> MappingReport {
        try #require(try await place.ask(StatusReport.self, "status").mappings.first { $0.name == name })
      }
      try place.write(yaml(batchSize: 20, isMovedEnabled: true), to: "sluice.yaml")
      let ended = try await place.sluice("apply", "--config", "sluice.yaml", "--yes", "--format", "json")
      #expect(ended.code == 1, "\(ended)")
      let changes = try JSONDecoder().decode(ChangeReport.self, from: Data(ended.output.utf8))
      let failure = try #require(changes.failure)
      #expect(failure.mapping == "moved" && !failure.isRunning && failure.message.contains("another stream"))
      #expect(failure.applied == ["numbers-note"] && failure.notApplied == ["third"])
      #expect(try await report(of: "numbers-note").settings["BatchSize"] == "20")
      #expect(try await report(of: "third").settings["BatchSize"] == "10")
      // The next comparison begins where this one ended.
      let again = try await place.sluice("apply", "--config", "sluice.yaml", "--yes").output
      #expect(!again.contains("mappings.numbers-note") && again.contains("NOT APPLIED"), "\(again)")
      #expect(again.contains("Applied: none. Not reached: third."), "\(again)")
      #expect(await worker.drain() == 0)
    }
  }
}
