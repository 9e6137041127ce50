import Sluice
import Testing

@Suite("Handlers in trouble", .timeLimit(.minutes(10)))
struct HandlerTroubleTests {
  private static let setup = Setup { $0.retries = 0 }

  @Test(
    "a failed delivery says what kind it was, and the worker lives on",
    arguments: [
      ("die", "exit", "Runtime.ExitError"), ("die loudly", "exit", "ValueError"),
      ("hang", "timeout", "Sandbox.Timedout"), ("garbage", "invalid-response", "InvalidResponse"),
      ("unknown", "invalid-response", "InvalidResponse"), ("raise", "error", "E"),
    ])
  func kinds(record: String, kind: String, type: String) async throws {
    let setup = Setup {
      $0.retries = 0
      if record == "hang" { $0.timeout = "1s" }
    }
    try await Workplace.with(setup) { place in
      let worker = try await place.start()
      try await place.put(record)
      let entry = try #require(try await place.failures().first)
      let detail = try await place.ask(FailureDetail.self, "failures", "show", "\(entry.entry)")
      #expect(detail.entry.attempts.map(\.kind) == [kind])
      #expect(detail.entry.attempts.map(\.type) == [type])
      #expect(detail.records.map(\.text) == [record])
      try await place.put("good")
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["good"])
      #expect(await worker.drain() == 0)
    }
  }

  @Test("the first of two answers counts, and the process is replaced")
  func twice() async throws {
    try await Workplace.with(Self.setup) { place in
      let worker = try await place.start()
      try await place.put("twice")
      let line = try await worker.says("a handler process is replaced")
      #expect(line.contains("the handler answered more than once"))
      try await place.put("good")
      try await place.isDrained()
      #expect(try await place.ask([FailureReport].self, "failures", "list").isEmpty)
      #expect(place.delivered.map(\.text) == ["good"])
    }
  }

  @Test("ten megabytes on standard error neither fail nor flood the log")
  func chatter() async throws {
    try await Workplace.with(Self.setup) { place in
      let worker = try await place.start()
      try await place.put("chatter")
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["chatter"])
      _ = try await worker.says("the handler wrote more than the log takes")
      #expect(worker.lines.count < 5_000)
    }
  }

  @Test("a program that cannot be started blocks the shard, uses up no attempt and says why")
  func unavailable() async throws {
    let setup = Setup {
      $0.retries = 0
      $0.command = #"["./missing"]"#
    }
    try await Workplace.with(setup) { place in
      _ = try await place.start()
      try await place.put("anything")
      let lane = try await place.lane(is: .retrying)
      #expect(lane.attempts.last?.kind == "unavailable")
      #expect(lane.attempts.last?.message.contains("missing") == true)
      #expect(lane.attemptsLeft == 1)
    }
  }
}
