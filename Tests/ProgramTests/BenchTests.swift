import Foundation
import Sluice
import Testing

@Suite("Load tests", .timeLimit(.minutes(10)))
struct BenchTests {
  @Test("start measures fresh processes with a warm and a cold file, and removes its store")
  func start() async throws {
    try await Workplace.with { place in
      let reports = try await place.reports(
        StartLine.self, "bench", "start", "--gigabytes", "0.01", "--runs", "2", "--directory", place.folder.path)
      #expect(reports.map(\.name) == ["start", "start, cold file"])
      for report in reports {
        #expect(report.storeBytes > 10_000_000)
        #expect(report.milliseconds.count == 2 && report.milliseconds.median > 0)
        #expect(report.milliseconds.greatest >= report.openMilliseconds.greatest)
      }
      let left = try FileManager.default.contentsOfDirectory(atPath: place.folder.path)
      #expect(!left.contains { $0.hasPrefix("sluice-bench") })
    }
  }

  @Test("record tells the bytes of the file, also of a compressed one before it was, and leaves no file")
  func record() async throws {
    try await Workplace.with { place in
      for (arguments, name) in [([], "record"), (["--compressed"], "record, compressed")] {
        let ended = try await place.sluice(
          ["bench", "record", "--records", "5000", "--shards", "3", "--runs", "1", "--format", "json", "--directory"]
            + [place.folder.path] + arguments)
        #expect(ended.code == 0, "\(ended)")
        let report = try JSONDecoder().decode(RecordLine.self, from: Data(ended.output.utf8))
        #expect(report.name == name && report.records == 5_000 && report.megabytesPerSecond > 0)
        // A flight, and what a line has besides.
        #expect((300...600).contains(report.recordBytes))
      }
      let left = try FileManager.default.contentsOfDirectory(atPath: place.folder.path)
      #expect(!left.contains { $0.hasPrefix("sluice-bench") })
    }
  }

  @Test("puts into a stream of a running worker stay there; where there is no worker or no stream it says so")
  func puttingIntoAWorker() async throws {
    try await Workplace.with { place in
      let arguments = [
        "bench", "put", "--stream", "load", "--data", place.data.path, "--producers", "3", "--records-per-put", "700",
        "--seconds", "0.2", "--runs", "1", "--record-bytes", "10",
      ]
      let alone = try await place.sluice(arguments)
      #expect(alone.code == 69 && alone.errors.contains("No worker runs on \(place.data.path)."))
      _ = try await place.start()
      let unknown = try await place.sluice(arguments)
      #expect(unknown.code == 65 && unknown.errors.contains("no stream load"), "\(unknown.errors)")
      _ = try await place.ask([StreamReport].self, "streams", "create", "load", "--shards", "4")
      let report = try #require(try await place.reports(PutLine.self, arguments).first)
      #expect(report.name == "put 3 × 700 into load")
      #expect(report.records > 0 && report.records % 700 == 0)
      #expect(report.durability == "of the worker" && report.p50Milliseconds > 0)
      let streams = try await place.ask([StreamReport].self, "streams", "describe", "load")
      // One run to warm up went before.
      #expect(try #require(streams.first).shards.reduce(0) { $0 + Int($1.records) } > report.records)
    }
  }

  @Test("puts that are refused for now are counted; where all are, that is an error which says why")
  func refused() async throws {
    try await Workplace.with(Setup { $0.mapSize = "4MiB" }) { place in
      _ = try await place.start()
      _ = try await place.ask([StreamReport].self, "streams", "create", "load")
      // The run to warm up fills the store.
      let ended = try await place.sluice(
        "bench", "put", "--stream", "load", "--data", place.data.path, "--records-per-put", "10", "--record-bytes",
        "100000", "--seconds", "1", "--runs", "1")
      #expect(ended.code == 75, "\(ended)")
      #expect(
        ended.errors.contains(/All [\d,]+ puts were refused. The last: the store has reached its map size/), "\(ended)")
    }
  }

  @Test("a store that is named is kept, and every process finds all of its backlog")
  func keptStore() async throws {
    try await Workplace.with { place in
      let store = place.folder.appending(path: "big").path
      let arguments = ["bench", "start", "--gigabytes", "0.01", "--runs", "1", "--store", store]
      let first = try await place.reports(StartLine.self, arguments)
      let again = try await place.reports(StartLine.self, arguments)
      #expect(first.count == 2 && first.map(\.storeBytes) == again.map(\.storeBytes))
      let status = try await place.ask(StatusReport.self, "status", "--data", store)
      #expect(status.mappings.first?.lanes.reduce(0) { $0 + Int($1.backlogRecords) } == 41_943)
    }
  }

  @Test("the pairs of a comparison end when the records cannot be spread evenly over the shards")
  func comparison() async throws {
    try await Workplace.with { place in
      let reports = try await place.reports(
        ComparisonLine.self, "bench", "drain", "--records", "1003", "--shards", "10", "--slow-shards", "3",
        "--slow-milliseconds", "10", "--compare", "--pairs", "2")
      #expect(reports.map(\.name) == ["drain, 3 of 10 slow", "drain, 3 of 10 blocked"])
      for report in reports {
        #expect(report.othersRatio.count == 2 && report.othersRatio.least > 0)
        // The rate of all shards is at least that of some of them.
        #expect(report.machineRatio.median > 0)
      }
    }
  }

  @Test("of the keys that fail some records are parked, and the others come to their end")
  func keys() async throws {
    try await Workplace.with { place in
      for answer in ["names", "throws"] {
        let reports = try await place.reports(
          KeysLine.self, "bench", "keys", "--records", "4000", "--shards", "2", "--keys", "20", "--pairs", "1",
          "--batch-size", "50", "--answer", answer)
        #expect(reports.map(\.name) == ["keys, 10 % failing, no-op handler", "keys, 10 % failing, 1 ms handler"])
        for report in reports {
          #expect(report.ratio.count == 1 && report.ratio.least > 0)
          #expect(report.failingKeysPerShard == 2 && report.failedDeliveries >= 4 && report.parkedRecords > 0)
        }
      }
      let decoding = try await place.reports(
        KeysLine.self, "bench", "keys", "--records", "2000", "--shards", "2", "--keys", "20", "--pairs", "1",
        "--decode", "--handler-milliseconds", "0")
      #expect(decoding.map(\.name) == ["keys, 10 % failing, decoding handler"])
      #expect(decoding.allSatisfy { $0.parkedRecords > 0 })
    }
  }

  @Test("a drain of lines through a filter tells how many were let through, and one by a transactional handler ends")
  func drains() async throws {
    try await Workplace.with { place in
      try place.write(#"{"carrier":"UA"}\#n{"carrier":"B6"}\#n{"carrier":"AA"}\#n"#, to: "flights")
      let filtered = try await place.reports(
        DrainLine.self, "bench", "drain", "--records", "1000", "--shards", "2", "--runs", "1", "--lines", "flights",
        "--filter", #"{"data":{"carrier":["UA"]}}"#)
      #expect(filtered.map(\.name) == ["drain, filtered"])
      #expect(filtered.first?.records == 1_000 && filtered.first?.deliveredRecords == 334)
      #expect(filtered.first?.recordBytes == 16)
      let counted = try await place.reports(
        DrainLine.self, "bench", "drain", "--records", "1000", "--runs", "1", "--count-batches", "--batch-size", "7")
      #expect(counted.map(\.name) == ["drain, transactional handler"] && counted.first?.records == 1_000)
      let nothing = try await place.sluice(
        "bench", "drain", "--lines", "flights", "--filter", #"{"data":{"carrier":["XX"]}}"#)
      #expect(nothing.code == 65 && nothing.errors.contains("lets no line through"), "\(nothing)")
    }
  }

  @Test(
    "what cannot be measured is wrong usage",
    arguments: [
      ["drain", "--shards", "4", "--slow-shards", "4"], ["drain", "--compare"],
      ["drain", "--records", "3", "--shards", "4"], ["start", "--gigabytes", "0"],
      ["start", "--store", "a", "--directory", "b"], ["drain", "--filter", "{}"],
      ["drain", "--slow-shards", "1", "--count-batches"], ["keys", "--keys", "9"],
      ["keys", "--decode", "--record-bytes", "10"], ["keys", "--failing-percent", "91"],
    ])
  func wrongUsage(arguments: [String]) async throws {
    try await Workplace.with { place in
      let ended = try await place.sluice(["bench"] + arguments)
      #expect(ended.code == 64, "\(ended)")
    }
  }
}

private struct SpreadLine: Decodable {
  var count: Int
  var least: Double
  var median: Double
  var greatest: Double
}

private struct StartLine: Decodable {
  var name: String
  var storeBytes: Int
  var milliseconds: SpreadLine
  var openMilliseconds: SpreadLine
}

private struct RecordLine: Decodable {
  var name: String
  var records: Int
  var recordBytes: Int
  var megabytesPerSecond: Double
}

private struct KeysLine: Decodable {
  var name: String
  var ratio: SpreadLine
  var failingKeysPerShard: Int
  var failedDeliveries: Int
  var parkedRecords: Int
}

private struct PutLine: Decodable {
  var name: String
  var records: Int
  var durability: String
  var p50Milliseconds: Double
}

private struct DrainLine: Decodable {
  var name: String
  var records: Int
  var recordBytes: Int
  var deliveredRecords: Int?
}

private struct ComparisonLine: Decodable {
  var name: String
  var othersRatio: SpreadLine
  var machineRatio: SpreadLine
}

extension Workplace {
  /// Runs a load test, and reads the objects it prints, one a line.
  fileprivate func reports<Line: Decodable>(_ type: Line.Type, _ arguments: String...) async throws -> [Line] {
    try await reports(type, arguments)
  }

  fileprivate func reports<Line: Decodable>(_ type: Line.Type, _ arguments: [String]) async throws -> [Line] {
    let ended = try await sluice(arguments + ["--format", "json"])
    guard ended.code == 0 else { throw NotHappened(description: "sluice \(arguments): \(ended)") }
    return try ended.output.split(separator: "\n").map { try JSONDecoder().decode(type, from: Data($0.utf8)) }
  }
}
