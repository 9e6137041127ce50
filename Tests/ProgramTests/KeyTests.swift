import Foundation
import Sluice
import Testing

@Suite("Blocking by key, by the real program", .timeLimit(.minutes(10)))
struct KeyTests {
  /// Fails for the keys that a file names, and notes key and number of each record before the first that fails.
  private static let handler = """
    import base64, json, os, sys

    notes = os.open("done", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for line in sys.stdin:
        failing = set(open("failing").read().split())
        (answer, lines) = ({}, [])
        for record in json.loads(line)["Records"]:
            one = json.loads(base64.b64decode(record["kinesis"]["data"]))
            if one["key"] in failing:
                answer = {"batchItemFailures": [{"itemIdentifier": record["kinesis"]["sequenceNumber"]}]}
                break
            lines.append("%s %d\\n" % (one["key"], one["number"]))
        os.write(notes, "".join(lines).encode())
        print(json.dumps(answer), flush=True)

    """

  private func setup(_ rules: String...) -> Setup {
    Setup {
      $0.command = #"["python3", "keys.py"]"#
      $0.batchSize = 10
      $0.rules = rules
    }
  }

  private func story(_ setup: Setup, failing: String, _ body: (Workplace) async throws -> Void) async throws {
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "keys.py")
      try place.write(failing, to: "failing")
      try await body(place)
    }
  }

  // MARK: Words of these stories

  /// One record of each key for each number.
  private func put(_ keys: [String], _ numbers: Range<Int>, at place: Workplace) async throws {
    let lines = numbers.flatMap { number in keys.map { #"{"key":"\#($0)","number":\#(number)}"# + "\n" } }
    try place.write(lines.joined(), to: "records")
    let ended = try await place.sluice("put", "numbers", "records", "--key-field", "key")
    #expect(ended.code == 0, "\(ended)")
  }

  /// The numbers that were processed of a key, in the order of their first time.
  private func done(_ key: String, at place: Workplace) -> [Int] {
    guard let text = try? String(contentsOf: place.folder.appending(path: "done"), encoding: .utf8) else { return [] }
    var seen: Set<Int> = []
    return text.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: " ")
      guard parts.count == 2, parts[0] == key, let number = Int(parts[1]), seen.insert(number).inserted else {
        return nil
      }
      return number
    }
  }

  /// How often the handler said that a record of the key is done: what was delivered twice is in it twice.
  private func timesDone(_ key: String, at place: Workplace) -> Int {
    guard let text = try? String(contentsOf: place.folder.appending(path: "done"), encoding: .utf8) else { return 0 }
    return text.split(separator: "\n").count { $0.hasPrefix("\(key) ") }
  }

  private func isDone(_ key: String, _ count: Int, at place: Workplace) async throws {
    _ = try await eventually("\(count) records of \(key) are done") { done(key, at: place).count == count ? true : nil }
    #expect(done(key, at: place) == Array(0..<count))
  }

  /// The one lane, as soon as so many keys and records are parked.
  @discardableResult
  private func parked(_ keys: Int, _ records: UInt64, at place: Workplace) async throws -> LaneReport {
    try await eventually("\(keys) keys with \(records) records are parked") {
      try await place.lanes().first { $0.parkedKeyCount == keys && $0.parkedRecords == records }
    }
  }

  /// From now on these keys fail, and no others: the handler finds the old list or the new one, and no half of one.
  private func fail(_ keys: String, at place: Workplace) throws {
    try Data(keys.utf8).write(to: place.folder.appending(path: "failing"), options: .atomic)
  }

  private func heal(_ place: Workplace) async throws {
    try fail("", at: place)
    let report = try await place.ask(ActionReport.self, "retry", "numbers-note", "--yes")
    #expect(report.isApplied)
  }

  // MARK: Stories

  @Test("other keys go on, and after kill -9 the parked one goes on in order; none of its records is left out")
  func killed() async throws {
    try await story(setup("blocking: key"), failing: "b") { place in
      let first = try await place.start()
      try await put(["a", "b", "c"], 0..<100, at: place)
      try await isDone("a", 100, at: place)
      try await isDone("c", 100, at: place)
      let lane = try await parked(1, 100, at: place)
      #expect(lane.backlogRecords == 0 && lane.parkedKeys.map(\.partitionKey) == ["b"])
      await first.kill()
      #expect(done("b", at: place).isEmpty)
      // Checkpoint and parked records of the store say together what is left: everything of b, whatever of the others.
      let stored = try #require(try await place.lanes().first)
      #expect(stored.parkedRecords + stored.backlogRecords >= 100)
      try await put(["a", "b", "c"], 100..<120, at: place)
      _ = try await place.start(life: 1)
      try await isDone("a", 120, at: place)
      try await isDone("c", 120, at: place)
      try await parked(1, 120, at: place)
      try await heal(place)
      try await isDone("b", 120, at: place)
      #expect(try await parked(0, 0, at: place).backlogRecords == 0)
    }
  }

  @Test(
    "at a limit the shard waits, and everybody is told why",
    arguments: ["parkedRecordLimit: 5", "parkedKeyLimit: 1"])
  func limits(limit: String) async throws {
    let isOfRecords = limit.hasPrefix("parkedRecord")
    try await story(setup("blocking: key", limit), failing: isOfRecords ? "b" : "b c") { place in
      let worker = try await place.start()
      try await put(["a", "b", "c"], 0..<50, at: place)
      let lane = try await place.lane(is: .retrying)
      #expect(lane.parkedKeyCount == 1 && lane.backlogRecords > 0)
      #expect(done("a", at: place).count < 50)
      if isOfRecords {
        #expect(lane.parkedRecords == 5 && lane.summary.contains("parkedRecordLimit"))
        #expect(try await place.sluice("explain", "numbers-note").output.contains("parkedRecordLimit"))
        #expect(try await place.sluice("status").output.contains("1 key, 5 records"))
        let metrics = try await worker.get("/metrics")
        #expect(metrics.text.contains("sluice_lane_parked_records{mapping=\"numbers-note\""))
      } else {
        #expect(lane.attemptsMade >= 1 && done("c", at: place).isEmpty)
      }
      try await heal(place)
      for key in ["a", "b", "c"] { try await isDone(key, 50, at: place) }
      try await parked(0, 0, at: place)
      #expect(try await !place.sluice("status").output.contains("parked"))
    }
  }

  @Test("parked records that grow too old leave as failure entries, in order")
  func expired() async throws {
    try await story(setup("blocking: key", "maximumRecordAge: 5s"), failing: "b") { place in
      _ = try await place.start()
      try await put(["a", "b"], 0..<5, at: place)
      try await isDone("a", 5, at: place)
      try await parked(0, 0, at: place)
      let entries = try await place.failures()
      #expect(entries.reduce(0) { $0 + $1.records } == 5)
      #expect(entries.allSatisfy { $0.condition == "RecordAgeExceeded" })
      #expect(done("b", at: place).isEmpty)
    }
  }

  @Test("a key is skipped, record by record or as a whole, and redriven in order")
  func skipped() async throws {
    try await story(setup("blocking: key"), failing: "b") { place in
      _ = try await place.start()
      try await put(["a", "b"], 0..<4, at: place)
      try await isDone("a", 4, at: place)
      try await parked(1, 4, at: place)

      let preview = try await place.ask(ActionReport.self, "skip", "numbers-note", "--key", "b")
      #expect(!preview.isApplied && preview.records == 1)
      #expect(preview.effects.first?.contains("3 more of the key follow") == true, "\(preview.effects)")
      let other = try await place.ask(ActionReport.self, "skip", "numbers-note", "--key", "a", "--yes")
      #expect(other.effects == ["Nothing to do: no lane has parked the partition key a."])
      #expect(try await place.ask([AuditReport].self, "audit").isEmpty)
      try await parked(1, 4, at: place)

      #expect(try await place.ask(ActionReport.self, "skip", "numbers-note", "--key", "b", "--yes").isApplied)
      try await parked(1, 3, at: place)
      let whole = try await place.ask(ActionReport.self, "skip", "numbers-note", "--key", "b", "--all", "--yes")
      #expect(whole.records == 3)
      try await parked(0, 0, at: place)
      let entries = try await place.failures()
      #expect(entries.reduce(0) { $0 + $1.records } == 4 && entries.allSatisfy { $0.condition == "Skipped" })
      #expect(try await place.ask([AuditReport].self, "audit").map(\.action) == ["skip key", "skip key"])

      #expect(try await place.ask([FailureReport].self, "failures", "list", "--key", "a").isEmpty)
      try place.write("", to: "failing")
      let redriven = try await place.ask(ActionReport.self, "failures", "redrive", "--key", "b", "--yes")
      #expect(redriven.records == 4)
      try await isDone("b", 4, at: place)
      _ = try await eventually("the failures are settled") {
        try await place.ask([FailureReport].self, "failures", "list").isEmpty ? true : nil
      }
    }
  }

  @Test("blocking by key is turned on while the worker runs; the factor does not change while keys are parked")
  func turnedOn() async throws {
    try await story(setup(), failing: "b") { place in
      _ = try await place.start()
      try await put(["a", "b"], 0..<20, at: place)
      _ = try await place.lane(is: .retrying)
      #expect(done("a", at: place).count < 20)
      try place.configure(setup("blocking: key"))
      let report = try await place.ask(ChangeReport.self, "apply", "--config", "sluice.yaml", "--yes")
      #expect(report.differences.first?.path == "mappings.numbers-note.blocking")
      try await isDone("a", 20, at: place)
      try await parked(1, 20, at: place)

      try place.configure(setup("blocking: key", "ParallelizationFactor: 2"))
      let refused = try await place.sluice("apply", "--config", "sluice.yaml", "--yes")
      #expect(refused.code == 75, "\(refused)")
      #expect(refused.errors.contains("cannot change while partition keys are parked"), "\(refused)")
      try await put(["a", "b"], 20..<25, at: place)
      try await isDone("a", 25, at: place)
      try await heal(place)
      try await isDone("b", 25, at: place)
      try await parked(0, 0, at: place)
      let applied = try await place.sluice("apply", "--config", "sluice.yaml", "--yes")
      #expect(applied.code == 0, "\(applied)")
      try await put(["a", "b"], 25..<30, at: place)
      for key in ["a", "b"] { try await isDone(key, 30, at: place) }
    }
  }

  @Test(
    "turned off while keys are parked: they go on until they are empty, and what fails from now on blocks the shard")
  func turnedOff() async throws {
    try await story(setup("blocking: key"), failing: "b c") { place in
      let worker = try await place.start()
      try await put(["a", "b", "c"], 0..<20, at: place)
      try await isDone("a", 20, at: place)
      try await parked(2, 40, at: place)

      try place.configure(setup())
      let report = try await place.ask(ChangeReport.self, "apply", "--config", "sluice.yaml", "--yes")
      #expect(report.differences.first?.path == "mappings.numbers-note.blocking")
      // What comes of parked keys stands behind what is parked; the other keys do not wait for it.
      try await parked(2, 40, at: place)
      try await put(["a", "b", "c"], 20..<25, at: place)
      try await isDone("a", 25, at: place)
      try await parked(2, 50, at: place)

      // A key that fails now is not parked: the shard waits with it, and a restart finds both.
      try fail("b c d", at: place)
      try await put(["d"], 0..<30, at: place)
      try await put(["a"], 25..<30, at: place)
      let blocked = try await place.lane(is: .retrying)
      #expect(blocked.parkedKeyCount == 2 && blocked.parkedRecords == 50 && blocked.backlogRecords > 0)
      #expect(await worker.drain() == 0)
      _ = try await place.start(life: 1)
      let found = try await place.lane(is: .retrying)
      #expect(found.parkedKeyCount == 2 && found.parkedRecords == 50 && found.backlogRecords == blocked.backlogRecords)
      #expect(done("a", at: place).count == 25 && done("d", at: place).isEmpty)

      try fail("c d", at: place)
      #expect(try await place.ask(ActionReport.self, "retry", "numbers-note", "--yes").isApplied)
      try await isDone("b", 25, at: place)
      try await parked(1, 25, at: place)
      try await heal(place)
      for (key, count) in [("a", 30), ("b", 25), ("c", 25), ("d", 30)] {
        try await isDone(key, count, at: place)
        #expect(timesDone(key, at: place) == count)
      }
      try await parked(0, 0, at: place)

      // The key that was parked is one of the others.
      try fail("b", at: place)
      try await put(["b"], 25..<40, at: place)
      try await put(["a"], 30..<40, at: place)
      let last = try await place.lane(is: .retrying)
      #expect(last.parkedKeyCount == 0 && last.backlogRecords == 25)
      #expect(done("a", at: place).count == 30 && done("b", at: place).count == 25)
      try await heal(place)
      for key in ["a", "b"] { try await isDone(key, 40, at: place) }
    }
  }
}
