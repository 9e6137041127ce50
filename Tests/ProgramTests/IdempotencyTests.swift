import Foundation
import Sluice
import StreamModel
import Testing

/// A mapping that remembers what is done, on the real program with a handler in another process.
@Suite("What is done is remembered", .timeLimit(.minutes(10)))
struct IdempotencyTests {
  /// Does what each record says: notes it in a file, which is its effect, and names every one that fails. `bad` fails
  /// while there is a file of that name. Notes the marks of records that came again.
  private static let handler = #"""
    import base64, json, os, sys, time

    pause = float(sys.argv[1])
    for line in sys.stdin:
        failures = []
        effects = os.open("effects", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for record in json.loads(line)["Records"]:
            text = base64.b64decode(record["kinesis"]["data"]).decode()
            if text.startswith("bad") and os.path.exists("bad"):
                failures.append({"itemIdentifier": record["kinesis"]["sequenceNumber"]})
                continue
            mark = record.get("sluice", {}).get("redelivery", "-")
            os.write(effects, (text + " " + mark + "\n").encode())
        os.close(effects)
        time.sleep(pause)
        print(json.dumps({"batchItemFailures": failures}), flush=True)

    """#

  private static func setup(pause: Double = 0, key: String = "record", _ rules: [String] = []) -> Setup {
    Setup {
      $0.command = #"["python3", "effects.py", "\#(pause)"]"#
      $0.batchSize = 10
      $0.rules = ["idempotency: { key: \(key), itemFailures: every }"] + rules
    }
  }

  private static func effects(at place: Workplace) throws -> [(text: String, mark: String)] {
    let file = place.folder.appending(path: "effects")
    guard FileManager.default.fileExists(atPath: file.path) else { return [] }
    return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map { line in
      let parts = line.split(separator: " ")
      return (String(parts[0]), String(parts[1]))
    }
  }

  @Test("after kill -9 only the batch in flight has its effects again: what is settled is not done twice")
  func killed() async throws {
    try await Workplace.with(Self.setup(pause: 0.02)) { place in
      try place.write(Self.handler, to: "effects.py")
      let lives = 5
      for life in 0..<lives {
        let worker = try await place.start(life: life)
        let texts = (0..<60).map { "\(life)-\($0)" }
        guard case .stored = try await worker.put(texts.map { Packed($0.utf8) }) else {
          throw NotHappened(description: "the records were not taken")
        }
        let enough = life * 60 + 15 + 7 * life
        _ = try await eventually("there are effects") { try Self.effects(at: place).count > enough ? true : nil }
        await worker.kill()
      }
      let last = try await place.start(life: lives)
      try await place.isDrained()
      #expect(await last.drain() == 0)
      let texts = try Self.effects(at: place).map(\.text)
      #expect(Set(texts).count == lives * 60)
      var counts: [String: Int] = [:]
      for text in texts { counts[text, default: 0] += 1 }
      // Progress is stored after each batch: of a life only the batch in flight, or the one just answered, comes again.
      #expect(counts.values.filter { $0 > 1 }.count <= lives * 10)
      let report = try await place.ask(DuplicateReport.self, "duplicates", "numbers-note")
      #expect(report.records.keys.sorted() == ["restart"])
      #expect(report.redeliveries.allSatisfy { $0.requestID.utf8.count == 36 && $0.cause == "restart" })
    }
  }

  @Test("what was done behind a failed record is not done again by the next worker, and the event says what came again")
  func named() async throws {
    try await Workplace.with(Self.setup(["markRedeliveries: true"])) { place in
      try place.write(Self.handler, to: "effects.py")
      try place.write("", to: "bad")
      let first = try await place.start()
      try await place.put("a", "bad-1", "b", "bad-2", "c")
      _ = try await eventually("the rest is retried") {
        try await place.lanes().first { $0.attemptsMade >= 1 }
      }
      await first.kill()
      try FileManager.default.removeItem(at: place.folder.appending(path: "bad"))
      _ = try await place.start(life: 1)
      try await place.isDrained()
      let effects = try Self.effects(at: place)
      #expect(effects.map(\.text) == ["a", "b", "c", "bad-1", "bad-2"])
      #expect(effects.prefix(3).map(\.mark) == ["-", "-", "-"])
      // Whether the failed attempt was durable when the worker was killed is chance.
      #expect(effects.suffix(2).allSatisfy { ["retry", "restart"].contains($0.mark) })
      let text = try await place.sluice("duplicates", "numbers-note")
      #expect(text.code == 0 && text.output.contains("partial-failure 2"))
    }
  }

  @Test("a value of the data that is put again is done once")
  func field() async throws {
    try await Workplace.with(Self.setup(key: "$.id")) { place in
      let handler = Self.handler.replacing(
        #"text = base64.b64decode(record["kinesis"]["data"]).decode()"#,
        with: #"text = json.loads(base64.b64decode(record["kinesis"]["data"]))["id"]"#)
      try place.write(handler, to: "effects.py")
      _ = try await place.start()
      try await place.put(#"{"id":"a"}"#, #"{"id":"b"}"#, #"{"id":"a","again":true}"#)
      try await place.isDrained()
      _ = try await place.restart()
      try await place.put(#"{"id":"b"}"#, #"{"id":"c"}"#)
      try await place.isDrained()
      #expect(try Self.effects(at: place).map(\.text) == ["a", "b", "c"])
      #expect(try await place.ask([String].self, "tables", "list", "numbers-note").isEmpty)
      let none = try await place.sluice("duplicates", "numbers-note")
      #expect(none.output.contains("no record of numbers-note was delivered again"))
    }
  }
}
