import ArgumentParser
import Foundation
import Recordings
import StreamModel
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

      Examples:
        sluice record flights -o flights.recording
        sluice record flights --from 2026-11-21T08:00:00Z --to 2026-11-21T09:00:00Z -o morning.recording
        sluice record flights --redact tailnum -o for-the-vendor.recording
        sluice record flights -o - | jq -c 'select(.json.dep_time == null) | .key'
      """)

  @Argument(help: "The stream.") var stream: String
  @Option(name: .shortAndLong, help: "The file, or - for standard output.") var output: String
  @Option(help: "Records that arrived at this moment or later, such as 2026-11-21T08:00:00Z.") var from: String?
  @Option(help: "Records that arrived before this moment. Default: all that are there now.") var to: String?
  @Option(help: "Take the value of this field out of the payloads, such as crew.name. May be given more than once.")
  var redact: [String] = []
  @Flag(help: "Replace the file if it is there.") var overwrite = false
  @OptionGroup var store: DataOptions

  func validate() throws {
    for field in redact where field.split(separator: ".", omittingEmptySubsequences: false).contains("") {
      throw ValidationError("--redact is \(field): write names of fields with a dot between, such as crew.name.")
    }
  }

  func run() async throws {
    let bounds = try RecordingBounds(
      from: from.map { try MomentText.parse($0, "--from") }, to: to.map { try MomentText.parse($0, "--to") })
    if let from = bounds.from, let to = bounds.to, from >= to {
      throw Problem(Exit.wrongUsage, "--from is \(self.from ?? ""), which is not before --to, \(self.to ?? "")")
    }
    let begun = ContinuousClock.now
    let opened = try Connection.open(store.dataDirectory, role: .looker)
    var recorder = try StreamRecorder(opened, stream: stream, bounds: bounds, redacted: redact)
    var progress = ProgressLine(isQuiet: store.output.isJSON)
    do {
      var file = try RecordingOutput(path: output, isReplacing: overwrite)
      while try recorder.step() {
        try recorder.writer.take { (bytes) throws(RecordingFileError) in try file.write(bytes) }
        progress.show(recorder.progress(since: begun))
      }
      try recorder.writer.take { (bytes) throws(RecordingFileError) in try file.write(bytes) }
    } catch let error as RecordingFileError {
      progress.clear()
      throw Problem(Exit.failed, "\(error)\(overwrite || output == "-" ? "" : " (--overwrite replaces a file)")")
    } catch let error as StoreError {
      progress.clear()
      throw Problem(Exit.failed, "\(error)")
    }
    progress.clear()
    try tell(recorder.report)
    if recorder.report.missing > 0 {
      throw Problem(
        Exit.failed,
        "\(Text.records(recorder.report.missing)) could not be read, and the recording says which: see its lines that "
          + "begin with {\"missing\", and sluice check-store")
    }
  }

  private func tell(_ report: RecordingReport) throws {
    guard output != "-" else { return }
    if store.output.isJSON { return try printJSON(report) }
    var text =
      "\(Text.records(report.records)) of \(report.shards) shard\(report.shards == 1 ? "" : "s") recorded in \(output)"
    if report.redactedWhole > 0 {
      text += "\n\(Text.records(report.redactedWhole)) had a payload that is not JSON, which was taken out as a whole"
    }
    print(text)
  }
}

/// What a recording holds.
struct RecordingReport: Codable {
  var records: UInt64 = 0
  var shards = 0
  /// Of the payloads.
  var dataBytes: UInt64 = 0
  var missing: UInt64 = 0
  /// Payloads that are not JSON and were taken out as a whole.
  var redactedWhole: UInt64 = 0
}
