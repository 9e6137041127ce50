import ArgumentParser
import Foundation
import Recordings
import StreamModel

/// How files that other programs have written are read.
struct ImportOptions: ParsableArguments {
  @Option(
    help: """
      What the files are: kinesis-records, table-records, lambda-event, table-export, lines or csv. Default: what they \
      show to be.
      """, transform: { try Self.choice($0) })
  var importFormat: ImportFormat?
  @Option(help: "Of lines and CSV: the field that holds the partition key.") var keyField: String?
  @Option(help: "Of lines and CSV: the field that holds the time of arrival.") var timeField: String?
  @Option(
    help: "What a number in the time field counts since 1970: s, ms or us. Default: ms.",
    transform: { try Self.choice($0) })
  var timeUnit: ImportSettings.TimeUnit = .milliseconds
  @Option(help: "The partition key where the field is missing, empty or null. Default: such a record is an error.")
  var missingKey: String?
  @Option(help: "So many shards share records of which the files tell none, by partition key.") var createShards = 1

  static let shardLimit = 10_000

  private static func choice<Choice: RawRepresentable<String> & CaseIterable>(_ text: String) throws -> Choice {
    guard let choice = Choice(rawValue: text) else {
      throw ValidationError("allowed are \(Choice.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return choice
  }

  func validate() throws {
    guard (1...Self.shardLimit).contains(createShards) else {
      throw ValidationError("--create-shards is \(createShards): allowed are 1 to \(Self.shardLimit).")
    }
  }

  /// Opens files.
  static func inputs(_ paths: [String]) throws -> [RecordingInput] {
    do throws(RecordingFileError) {
      return try paths.map { path throws(RecordingFileError) in try RecordingInput(path: path) }
    } catch {
      throw Problem(Exit.badInput, "\(error)")
    }
  }

  /// Reads the files into the recording of a stream. What is put in order on disk is in `TMPDIR`, or in `folder`.
  func recording(
    of stream: String, from inputs: [RecordingInput], madeAt: WallTime, skipBad: Int, sortingIn folder: String,
    isQuiet: Bool
  ) throws -> ImportedRecording {
    var settings = ImportSettings()
    settings.keyField = keyField
    settings.timeField = timeField
    settings.timeUnit = timeUnit
    settings.missingKey = missingKey
    settings.shardCount = createShards
    settings.badRecordLimit = skipBad
    settings.sortingFolder = Self.temporaryFolder ?? folder
    let progress = ReadingProgress(inputs, isQuiet: isQuiet)
    var importing = RecordingImport(settings, format: importFormat)
    let recording: ImportedRecording
    do {
      for input in inputs {
        try importing.take(input.path == "-" ? "standard input" : input.path) { memory throws(RecordingFileError) in
          let count = try input.read(into: memory)
          guard count > 0 || !input.endedEarly else {
            throw RecordingFileError(path: input.path, reason: "what is compressed there is cut off")
          }
          progress.passed(count)
          return count
        }
      }
      recording = try importing.recording(of: stream, madeAt: madeAt)
    } catch let error as ImportError {
      progress.clear()
      if case .sorting = error { throw Problem(Exit.failed, "\(error)") }
      throw Problem(Exit.badInput, "\(error)")
    } catch {
      progress.clear()
      throw Problem(Exit.failed, "\(error)")
    }
    progress.clear()
    for problem in recording.skipped { Warning.write("left out: \(problem)") }
    if recording.duplicates > 0 { Warning.write("\(Text.records(recording.duplicates)) were there several times") }
    if recording.liftedArrivals > 0 {
      Warning.write(
        "\(Text.records(recording.liftedArrivals)) arrived before the one in front of them in their shard: "
          + "their arrival is that one's")
    }
    return recording
  }

  private static var temporaryFolder: String? {
    guard let folder = ProcessInfo.processInfo.environment["TMPDIR"], !folder.isEmpty else { return nil }
    return folder
  }
}

/// How much of the files was read.
private final class ReadingProgress {
  private var line: ProgressLine
  private var byteCount: UInt64 = 0
  private let pace = Pace()
  /// `nil` if nobody knows it of all files.
  private let total: UInt64?

  init(_ inputs: [RecordingInput], isQuiet: Bool) {
    line = ProgressLine(isQuiet: isQuiet)
    let counts = inputs.map(\.byteCount)
    total = counts.contains(nil) ? nil : counts.reduce(0) { $0 + ($1 ?? 0) }
  }

  func passed(_ count: Int) {
    byteCount += UInt64(count)
    line.show(
      "\(Text.count(byteCount >> 20)) MiB\(total.map { " of \(Text.count($0 >> 20))" } ?? "") read, \(pace.rate(byteCount >> 20))"
        + pace.left(byteCount, of: total))
  }

  func clear() { line.clear() }
}
