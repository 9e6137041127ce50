import Foundation
import Recordings
import StreamModel
import Testing

/// Streams that the real program records.
@Suite("Recordings of streams", .timeLimit(.minutes(10)))
struct RecordingTests {
  /// What the tests look at, record by record.
  private struct Seen: Hashable {
    var shard: ShardNumber
    var index: RecordIndex
    var arrival: WallTime
  }

  private struct Whole {
    var header: RecordingHeader
    var records: [Seen] = []
    var lines: [RecordingLine] = []
    var ending: RecordingEnding?
  }

  private func read(_ name: String, at place: Workplace) throws -> Whole {
    let file = try RecordingInput(path: place.folder.appending(path: name).path)
    var reader = try RecordingReader { memory throws(RecordingFileError) in try file.read(into: memory) }
    var whole = Whole(header: reader.header)
    while let line = try reader.next() {
      if line == .record {
        whole.records.append(Seen(shard: reader.shard, index: reader.index, arrival: reader.arrival))
      } else {
        whole.lines.append(line)
      }
    }
    whole.ending = reader.ending
    return whole
  }

  private static let sample = Program.root.appending(path: "Examples/flights/flights-sample.ndjson")

  private func putFlights(_ place: Workplace) async throws {
    let put = try await place.sluice(
      "put", "flights", Self.sample.path, "--key-field", "tailnum", "--missing-key", "none", "--create-shards", "4")
    #expect(put.code == 0, "\(put)")
  }

  @Test("a stream is recorded with all that it holds, in the order of arrival, while nobody or a worker runs")
  func flights() async throws {
    try await Workplace.with { place in
      try await putFlights(place)
      let flights = try String(contentsOf: Self.sample, encoding: .utf8).split(separator: "\n")
      let ended = try await place.sluice("record", "flights", "-o", "all.recording")
      #expect(ended.code == 0 && ended.output.contains("of 4 shards recorded in all.recording"), "\(ended)")
      let whole = try read("all.recording", at: place)
      #expect(whole.ending == .complete && whole.header.stream == "flights" && whole.lines.count == 4)
      #expect(whole.records.count == flights.count)
      #expect(whole.records.map(\.arrival) == whole.records.map(\.arrival).sorted())
      // Every payload stands in it as it is.
      let text = try String(contentsOf: place.folder.appending(path: "all.recording"), encoding: .utf8)
      for flight in flights.prefix(300) { #expect(text.contains(#","json":\#(flight),"check":""#)) }
      let again = try await place.sluice("record", "flights", "-o", "all.recording")
      #expect(again.code == 1 && again.errors.contains("--overwrite"), "\(again)")

      let worker = try await place.start()
      let piped = try await place.run(["/bin/sh", "-c", "\(Program.path) record flights -o - > piped.recording"])
      #expect(piped.code == 0 && piped.errors.isEmpty, "\(piped)")
      #expect(try read("piped.recording", at: place).records == whole.records)
      _ = await worker.drain()
    }
  }

  @Test("splits and merges stand where they happened; bounds of time and redacted fields hold")
  func shards() async throws {
    try await Workplace.with { place in
      try await putFlights(place)
      for arguments in [["split", "flights", "--shard", "0"], ["merge", "flights", "--shard", "1", "--with", "2"]] {
        let ended = try await place.sluice(["streams"] + arguments)
        #expect(ended.code == 0, "\(ended)")
      }
      try await putFlights(place)
      let ended = try await place.sluice(
        "record", "flights", "-o", "r", "--redact", "tailnum", "--redact", "origin", "--format", "json")
      #expect(ended.code == 0 && ended.errors.contains("partition keys are in the recording as they are"), "\(ended)")
      let whole = try read("r", at: place)
      #expect(whole.ending == .complete && whole.header.redacted == ["tailnum", "origin"])
      // Closed before their children are opened.
      var closed: Set<ShardNumber> = []
      var opened: [RecordedShard] = []
      for line in whole.lines {
        switch line {
        case .shardOpened(let shard):
          #expect(closed.isSuperset(of: shard.parents))
          opened.append(shard)
        case .shardClosed(let closing): closed.insert(closing.shard)
        case .record, .missing, .outcome, .checkpoint: Issue.record("\(line)")
        }
      }
      #expect(
        opened.map(\.shard.rawValue) == Array(0..<7) && opened.map(\.parents.count).sorted() == [0, 0, 0, 0, 1, 1, 2])
      #expect(closed == Set([0, 1, 2].map { ShardNumber($0) }))
      let text = try String(contentsOf: place.folder.appending(path: "r"), encoding: .utf8)
      #expect(!text.contains(#""tailnum":"N"#) && text.contains(#""tailnum":"[redacted]""#))

      // Keys as pseudonyms, as many as there are keys, in the same order.
      try place.write("a secret of sixteen\n", to: "secret")
      let hidden = try await place.sluice(
        "record", "flights", "-o", "hidden", "--redact-keys", "--key-secret", "secret")
      #expect(hidden.code == 0 && hidden.errors.contains("payloads are in the recording as they are"), "\(hidden)")
      func keys(_ name: String) -> [Substring] {
        place.lines(of: name).compactMap { $0.firstMatch(of: #/"key":"([^"]*)"/#)?.1 }
      }
      let (plain, pseudonyms) = (keys("r"), keys("hidden"))
      #expect(plain.count == pseudonyms.count && pseudonyms.allSatisfy { $0.count == 32 })
      let pairs = Set(zip(plain, pseudonyms).map { "\($0) \($1)" }).count
      #expect(pairs == Set(plain).count && pairs == Set(pseudonyms).count && pairs > 100)
      try place.write("short", to: "secret")
      for (more, text) in [
        (["--redact-keys", "--key-secret", "secret"], "its secret has 5 bytes, and needs 16 or more"),
        (["--key-secret", "secret"], "--key-secret goes with --redact-keys"),
      ] {
        let refused = try await place.sluice(["record", "flights", "-o", "never"] + more)
        #expect(refused.code != 0 && refused.errors.contains(text), "\(refused)")
      }

      // The second half, by the moment at which it began.
      let middle = whole.records[whole.records.count / 2].arrival
      let moment = CalendarTime(middle).withMilliseconds
      for (option, name) in [("--from", "later"), ("--to", "earlier")] {
        let ended = try await place.sluice("record", "flights", "-o", name, option, moment)
        #expect(ended.code == 0, "\(ended)")
      }
      #expect(try read("later", at: place).records == whole.records.filter { $0.arrival >= middle })
      #expect(try read("earlier", at: place).records == whole.records.filter { $0.arrival < middle })
    }
  }

  @Test("what cannot be recorded is refused with its reason")
  func refusals() async throws {
    try await Workplace.with { place in
      try await putFlights(place)
      let cases: [([String], Int32, String)] = [
        (["fliegen", "-o", "x"], 65, "There is no stream fliegen. There are: flights"),
        (["flights", "-o", "x", "--from", "yesterday"], 64, "--from is yesterday"),
        (
          ["flights", "-o", "x", "--from", "2026-11-21T08:00:00Z", "--to", "2026-11-21T08:00:00Z"], 64,
          "not before --to"
        ),
        (["flights", "-o", "x", "--redact", "a..b"], 64, "--redact is a..b"),
        (["flights", "-o", "missing/x"], 1, "missing/x: No such file or directory"),
        (["flights", "-o", "/dev/full", "--overwrite"], 1, "/dev/full: No space left on device"),
      ]
      for (arguments, code, text) in cases {
        let ended = try await place.sluice(["record"] + arguments)
        #expect(ended.code == code && ended.errors.contains(text), "\(arguments): \(ended)")
      }
      #expect(!FileManager.default.fileExists(atPath: place.folder.appending(path: "x").path))
    }
  }

  private struct Told: Decodable {
    struct Outcomes: Decodable, Hashable {
      var mapping = "numbers-note"
      var passed: UInt64
      var failed: UInt64
      var entries: Int
      var retrying: UInt64
      var waiting: UInt64
    }
    var records: UInt64
    var outcomes: Outcomes?
  }

  /// Records until what became of the records is this.
  private func record(_ wanted: Told.Outcomes, at place: Workplace, _ name: String) async throws {
    var last: Told?
    let deadline = ContinuousClock.now + .seconds(60)
    while last?.outcomes != wanted {
      guard ContinuousClock.now < deadline else { throw NotHappened(description: "\(wanted): it is \(last as Any)") }
      last = try await place.ask(Told.self, "record", "numbers-note", "--outcomes", "--overwrite", "-o", name)
    }
  }

  @Test("what became of the records is recorded: those that passed, failed, are tried again, and wait")
  func outcomes() async throws {
    let setup = Setup {
      $0.batchSize = 1
      $0.retries = 0
    }
    try await Workplace.with(setup) { place in
      _ = try await place.start()
      try await place.put("one", "raise", "three")
      try await record(Told.Outcomes(passed: 2, failed: 1, entries: 1, retrying: 0, waiting: 0), at: place, "failed")
      let whole = try read("failed", at: place)
      let shard = ShardNumber(0)
      #expect(whole.header.outcomes?.mapping == "numbers-note" && whole.ending == .complete)
      #expect(whole.lines.contains(.checkpoint(RecordedCheckpoint(next: RecordIndex(3), shard: shard, lane: 0))))
      let outcomes = whole.lines.compactMap { line in if case .outcome(let outcome) = line { outcome } else { nil } }
      #expect(outcomes.map(\.kind) == [.failed, .passed])
      #expect(outcomes[0].failure?.condition == "RetryAttemptsExhausted" && outcomes[0].failure?.entry == 1)
      #expect(outcomes[0].failure?.deliveries.map(\.message) == ["told to"])
      #expect(outcomes[1].records.map(\.first.rawValue) == [0, 2])
      // By the stream's name too, and a recording of the stream alone is as it was.
      let named = try await place.ask(Told.self, "record", "numbers", "--outcomes", "-o", "named")
      #expect(named.outcomes?.failed == 1)
      let plain = try await place.ask(Told.self, "record", "numbers-note", "-o", "plain")
      #expect(plain.outcomes == nil && plain.records == 3)
      #expect(place.lines(of: "plain").first?.hasPrefix(#"{"recording":1,"#) ?? false)
      let refused = try await place.sluice("diff", "plain", "failed")
      #expect(refused.code == 65 && refused.errors.contains("--outcomes makes one that does"), "\(refused)")
      let same = try await place.sluice("diff", "failed", "failed")
      #expect(same.code == 0 && same.output.contains("every record came to the same"), "\(same)")
    }
  }

  @Test(
    "what waits behind a failing record is told from what passed it, in the lane and by key", arguments: [false, true])
  func waiting(byKey: Bool) async throws {
    let setup = Setup {
      $0.batchSize = 10
      $0.retries = -1
      if byKey { $0.rules = ["blocking: key"] }
    }
    try await Workplace.with(setup) { place in
      let worker = try await place.start()
      if byKey {
        try await place.put("raise", key: "bad")
        try await place.put("one", "two", key: "good")
        try await record(Told.Outcomes(passed: 2, failed: 0, entries: 0, retrying: 1, waiting: 0), at: place, "parked")
        try await place.put("behind", key: "bad")
        try await record(Told.Outcomes(passed: 2, failed: 0, entries: 0, retrying: 1, waiting: 1), at: place, "behind")
      } else {
        // In one batch.
        try await place.put("raise", "one", "two", key: "bad")
        try await record(Told.Outcomes(passed: 0, failed: 0, entries: 0, retrying: 3, waiting: 0), at: place, "blocked")
        try await place.put("behind", key: "good")
        try await record(Told.Outcomes(passed: 0, failed: 0, entries: 0, retrying: 3, waiting: 1), at: place, "behind")
      }
      let whole = try read("behind", at: place)
      let retrying = whole.lines.lazy.compactMap { line -> RecordedOutcome? in
        if case .outcome(let outcome) = line, outcome.kind == .retrying { outcome } else { nil }
      }.first
      #expect(retrying?.failure?.deliveries.last?.message == "told to")
      await worker.kill()
    }
  }
}
