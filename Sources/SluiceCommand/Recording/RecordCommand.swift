import ArgumentParser
import Foundation
import Recordings
import StreamModel
import StreamRuntime
import StreamStore

struct RecordCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract: "Write a stream into a file that any program can read.",
    discussion: """
      One line of JSON for each record, with everything: shard, sequence number, arrival, keys and payload, and how the \
      shards were split and merged. Reads the store, also while a worker runs, and changes nothing. The format is in \
      docs/recordings.md.

      An interrupted recording is valid as far as it goes.

      With --outcomes it also holds what became of the records in a mapping, as far as the store knows it: which ones its \
      checkpoints have passed, which ones are in failure entries or under retry, with the deliveries that failed. \
      `sluice diff` compares that with a replay.

      With --import the records come from files that other programs have written, and not from the store: what \
      `aws kinesis get-records` or `aws dynamodbstreams get-records` print, events of Lambda, the data files of an \
      incremental export of a table, and JSON lines or CSV with a key field and a time field. See docs/recordings.md.

      Examples:
        sluice record flights -o flights.recording
        sluice record flights --from 2026-11-21T08:00:00Z --to 2026-11-21T09:00:00Z -o morning.recording
        sluice record flights-delays --outcomes -o flights.recording
        sluice record flights --redact tailnum --redact-keys -o for-the-vendor.recording
        sluice record orders --import page-1.json page-2.json -o orders.recording
        sluice record flights --import flights.csv --key-field tailnum --time-field time_hour -o flights.recording
        sluice record flights -o - | jq -c 'select(.json.dep_time == null) | .key'
      """)

  @Argument(help: "The stream, or a mapping of it.") var stream: String
  @Option(name: .shortAndLong, help: "The file, or - for standard output.") var output: String
  @Option(help: "Records that arrived at this moment or later, such as 2026-11-21T08:00:00Z.") var from: String?
  @Option(help: "Records that arrived before this moment. Default: all that are there now.") var to: String?
  @Option(help: "Take the value of this field out of the payloads, such as crew.name. May be given more than once.")
  var redact: [String] = []
  @OptionGroup var keys: KeyRedaction
  @Option(
    name: .customLong("import"), parsing: .upToNextOption,
    help: "Files to make the recording of, or - for standard input.")
  var importFiles: [String] = []
  @OptionGroup var imports: ImportOptions
  @Option(help: "With --import: leave out up to so many records that cannot be used.") var skipBad = 0
  @Flag(help: "Keep what became of the records in the mapping: the one that is named, or the only one of the stream.")
  var outcomes = false
  @Flag(help: "Replace the file if it is there.") var overwrite = false
  @OptionGroup var store: DataOptions

  func validate() throws {
    guard skipBad >= 0 else { throw ValidationError("--skip-bad is \(skipBad): allowed is 0 or more.") }
    if !importFiles.isEmpty, from != nil || to != nil {
      throw ValidationError("--from and --to are for what the store holds: replay takes them for a recording.")
    }
    if !importFiles.isEmpty, outcomes {
      throw ValidationError("--outcomes is of a mapping of the store: files that are imported tell none.")
    }
    if importFiles.isEmpty, skipBad > 0 || imports.importFormat != nil || imports.keyField != nil {
      throw ValidationError("--skip-bad, --import-format and --key-field go with --import.")
    }
    for field in redact where field.split(separator: ".", omittingEmptySubsequences: false).contains("") {
      throw ValidationError("--redact is \(field): write names of fields with a dot between, such as crew.name.")
    }
  }

  func run() async throws {
    if !importFiles.isEmpty { return try importRecords() }
    let bounds = try RecordingBounds(
      from: from.map { try MomentText.parse($0, "--from") }, to: to.map { try MomentText.parse($0, "--to") })
    if let from = bounds.from, let to = bounds.to, from >= to {
      throw Problem(Exit.wrongUsage, "--from is \(self.from ?? ""), which is not before --to, \(self.to ?? "")")
    }
    let begun = ContinuousClock.now
    let opened = try Connection.open(store.dataDirectory, role: .looker)
    let catalog = try opened.catalog()
    let (info, mapping) = try subject(in: catalog)
    var recording = RecordingRun(
      try StreamRecorder(
        opened, catalog, info, outcomesOf: mapping, bounds: bounds, redacted: redact,
        keys: keys.redactKeys ? .pseudonyms : .plain, keySecret: try keys.secret()),
      at: output)
    var progress = ProgressLine(isQuiet: store.output.isJSON)
    do {
      var file = try RecordingOutput(path: output, isReplacing: overwrite)
      while try recording.step(to: &file) { progress.show(recording.progress(since: begun)) }
    } catch let error as RecordingFileError {
      progress.clear()
      throw Problem(Exit.failed, error.advised)
    } catch let error as StoreError {
      progress.clear()
      throw Problem(Exit.failed, "\(error)")
    }
    progress.clear()
    let report = recording.report
    try tell(report)
    if report.missing > 0 {
      throw Problem(
        Exit.failed,
        "\(Text.records(report.missing)) could not be read, and the recording says which: see its lines that "
          + "begin with {\"missing\", and sluice check-store")
    }
  }

  /// The stream that is named, or that of the mapping that is named; and the mapping whose outcomes are asked for.
  private func subject(in catalog: Catalog) throws -> (StreamInfo, MappingInfo?) {
    let mappings = catalog.mappings.values.sorted { $0.name < $1.name }.map { info in
      (info, MappingSettings(decoding: info.settings).flatMap { catalog.streams[$0.stream] })
    }
    let named = mappings.first { $0.0.name == stream }
    guard let info = catalog.stream(named: stream) ?? named?.1 else {
      let names = catalog.streams.values.map(\.name).sorted().joined(separator: ", ")
      throw Problem(Exit.badInput, "There is no stream \(stream). There are: \(names.isEmpty ? "none" : names).")
    }
    guard outcomes else { return (info, nil) }
    if let (mapping, ofStream) = named, ofStream?.number == info.number { return (info, mapping) }
    let candidates = mappings.filter { $0.1?.number == info.number }.map(\.0)
    guard let first = candidates.first else {
      throw Problem(Exit.badInput, "--outcomes: no mapping of stream \(stream) has ever run on this store.")
    }
    guard candidates.count == 1 else {
      throw Problem(
        Exit.wrongUsage,
        "--outcomes: stream \(stream) has several mappings: name one of \(candidates.map(\.name).joined(separator: ", ")) "
          + "instead of the stream")
    }
    return (info, first)
  }

  private func importRecords() throws {
    guard output == "-" || overwrite || !FileManager.default.fileExists(atPath: output) else {
      throw Problem(Exit.failed, "\(output): File exists (--overwrite replaces a file)")
    }
    let folder = output == "-" ? "/var/tmp" : URL(filePath: output).deletingLastPathComponent().path
    var recording = try imports.recording(
      of: stream, from: try ImportOptions.inputs(importFiles), madeAt: WallTime.current(), skipBad: skipBad,
      sortingIn: folder, isQuiet: store.output.isJSON)
    recording.redact(redact)
    if keys.redactKeys { recording.redactKeys(secret: try keys.secret()) }
    var progress = ProgressLine(isQuiet: store.output.isJSON)
    let pace = Pace()
    let text: ImportedRecordingText
    do {
      text = try recording.writing()
      var file = try RecordingOutput(path: output, isReplacing: overwrite)
      while true {
        let piece = try text.nextPiece()
        if piece.isEmpty { break }
        try file.write(piece)
        progress.show(
          "\(Text.count(Int(text.recordCount))) of \(Text.records(recording.recordCount)) recorded, "
            + pace.rate(text.recordCount) + pace.left(text.recordCount, of: recording.recordCount))
      }
    } catch {
      progress.clear()
      throw Problem(Exit.failed, error.advised)
    }
    progress.clear()
    var report = RecordingReport()
    report.records = recording.recordCount
    report.shards = recording.shards.count
    report.dataBytes = text.dataByteCount
    report.textBytes = text.textByteCount
    report.redactedWhole = text.redactedWhole
    report.leftOut = recording.skipped.count
    report.duplicates = recording.duplicates
    try tell(report)
  }

  private func tell(_ report: RecordingReport) throws {
    if !redact.isEmpty, !keys.redactKeys {
      Warning.write("partition keys are in the recording as they are: --redact-keys puts pseudonyms in their place")
    }
    if keys.redactKeys, redact.isEmpty {
      Warning.write("payloads are in the recording as they are, also where they hold keys: --redact takes fields out")
    }
    guard output != "-" else { return }
    if store.output.isJSON { return try printJSON(report) }
    var text =
      "\(Text.records(report.records)) of \(Text.count(report.shards)) shard\(report.shards == 1 ? "" : "s") recorded in \(output)"
    if report.redactedWhole > 0 {
      text += "\n\(Text.records(report.redactedWhole)) had a payload that is not JSON, which was taken out as a whole"
    }
    if let counts = report.outcomes {
      text +=
        "\nof these \(Text.count(counts.passed)) had passed \(counts.mapping), \(Text.count(counts.failed)) were in "
      text += "\(Text.count(counts.entries)) failure entr\(counts.entries == 1 ? "y" : "ies"), "
      text += "\(Text.count(counts.retrying)) under retry and \(Text.count(counts.waiting)) not delivered yet"
    }
    print(text)
  }
}

extension RecordingFileError {
  /// With what helps where a file is there already.
  var advised: String { isThereAlready ? "\(self) (--overwrite replaces a file)" : "\(self)" }
}

/// What a recording holds.
struct RecordingReport: Codable {
  var records: UInt64 = 0
  var shards = 0
  /// Of the payloads.
  var dataBytes: UInt64 = 0
  /// Of the recording, before it was compressed.
  var textBytes: UInt64 = 0
  var missing: UInt64 = 0
  /// Payloads that are not JSON and were taken out as a whole.
  var redactedWhole: UInt64 = 0
  /// Of imported files: records that could not be used, and those that were there several times.
  var leftOut = 0
  var duplicates: UInt64 = 0
  /// What became of the records, if that was asked for.
  var outcomes: OutcomeCounts?
}
