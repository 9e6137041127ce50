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
      #expect(ended.code == 0, "\(ended)")
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
        case .record, .missing: Issue.record("\(line)")
        }
      }
      #expect(
        opened.map(\.shard.rawValue) == Array(0..<7) && opened.map(\.parents.count).sorted() == [0, 0, 0, 0, 1, 1, 2])
      #expect(closed == Set([0, 1, 2].map { ShardNumber($0) }))
      let text = try String(contentsOf: place.folder.appending(path: "r"), encoding: .utf8)
      #expect(!text.contains(#""tailnum":"N"#) && text.contains(#""tailnum":"[redacted]""#))

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
      ]
      for (arguments, code, text) in cases {
        let ended = try await place.sluice(["record"] + arguments)
        #expect(ended.code == code && ended.errors.contains(text), "\(arguments): \(ended)")
      }
      #expect(!FileManager.default.fileExists(atPath: place.folder.appending(path: "x").path))
    }
  }
}
