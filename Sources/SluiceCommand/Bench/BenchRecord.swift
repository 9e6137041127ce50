import ArgumentParser
import Foundation
import Recordings
import StreamStore

struct BenchRecord: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record", abstract: "Records a stream to a file.",
    discussion: """
      The records are put before the clock starts: flights of 240 bytes, or with --lines the lines of a file, each in turn \
      and again from the first. The clock stops when all of the recording was given to the system, as `sluice record` does \
      it; it need not be on the disk. The bytes of a record are those of its line, and the rates are those of the file.

      With --compressed the file is compressed with zstd, and the rate is that of what is compressed.

      Examples:
        sluice bench record --runs 5
        sluice bench record --records 5000000 --directory /var/tmp
        sluice bench record --lines Examples/flights/flights-sample.ndjson
      """)

  @Option(help: "Records of the stream.") var records = 1_000_000
  @Option(help: "Shards.") var shards = 8
  @Option(help: "A file whose lines are the data of the records, instead of flights.") var lines: String?
  @Flag(help: "Compress the recording.") var compressed = false
  @OptionGroup var bench: BenchOptions

  func validate() throws {
    guard shards > 0, records >= shards else { throw ValidationError("--records is less than one for each shard.") }
    guard bench.runs > 0 else { throw ValidationError("--runs is \(bench.runs): allowed is 1 or more.") }
  }

  func run() async throws {
    let lines = try lines.map { try LineBacklog(path: $0) } ?? .flights
    let place = try await BenchStore.make(bench, shards: shards)
    defer { place.remove() }
    var progress = ProgressLine(isQuiet: bench.output.isJSON)
    try await place.fill(records: records, lines: lines, keys: 1_000, progress: &progress)
    var reports: [BenchReport] = []
    for run in 0...bench.runs {
      let report = try record(place)
      if run > 0 { reports.append(report) }
    }
    reports.sort { $0.recordsPerSecond < $1.recordsPerSecond }
    try reports[reports.count / 2].print(isJSON: bench.output.isJSON)
  }

  private func record(_ place: BenchStore) throws -> BenchReport {
    let path = place.folder.appending(path: compressed ? "bench.recording.zst" : "bench.recording").path
    // Nothing can be done about a file that stays: it is in a temporary folder.
    defer { try? FileManager.default.removeItem(atPath: path) }
    let watch = MemoryWatch()
    let begun = ContinuousClock.now
    let written = try write(place, to: path)
    let seconds = (ContinuousClock.now - begun).inSeconds
    let resident = watch.end()
    guard written.records == UInt64(records), written.missing == 0 else {
      throw Problem(Exit.failed, "\(Text.records(written.records)) were recorded, and not \(Text.count(records))")
    }
    var report = BenchReport(
      name: compressed ? "record, compressed" : "record", records: records,
      recordBytes: Int(written.textBytes / UInt64(records)), seconds: seconds, durability: bench.durability)
    report.shards = shards
    report.residentBytes = resident
    return report
  }

  /// All of it, file included: it is closed when this returns.
  private func write(_ place: BenchStore, to path: String) throws -> RecordingReport {
    let catalog = try place.store.catalog()
    guard let info = catalog.stream(named: BenchStore.stream) else {
      preconditionFailure("the store of the test has its stream")
    }
    var recording = RecordingRun(
      try StreamRecorder(
        place.store, catalog, info, outcomesOf: nil, bounds: RecordingBounds(), redacted: []),
      at: path)
    var file = try RecordingOutput(path: path, isReplacing: false)
    while try recording.step(to: &file) {}
    return recording.report
  }
}
