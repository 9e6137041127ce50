import ArgumentParser
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

  /// Reads the files into the recording of a stream.
  func recording(
    of stream: String, from inputs: [RecordingInput], madeAt: WallTime, skipBad: Int
  ) throws -> ImportedRecording {
    var settings = ImportSettings()
    settings.keyField = keyField
    settings.timeField = timeField
    settings.timeUnit = timeUnit
    settings.missingKey = missingKey
    settings.shardCount = createShards
    settings.badRecordLimit = skipBad
    var importing = RecordingImport(settings, format: importFormat)
    var total = 0
    for input in inputs {
      let bytes = try Self.bytes(of: input, limit: RecordingImport.byteLimit - total)
      total += bytes.count
      do throws(ImportProblem) {
        try importing.take(bytes, of: input.path == "-" ? "standard input" : input.path)
      } catch {
        throw Problem(Exit.badInput, "\(error)")
      }
    }
    let recording = importing.recording(of: stream, madeAt: madeAt)
    for problem in recording.skipped { Warning.write("left out: \(problem)") }
    if recording.duplicates > 0 { Warning.write("\(Text.records(recording.duplicates)) were there several times") }
    if recording.liftedArrivals > 0 {
      Warning.write(
        "\(Text.records(recording.liftedArrivals)) arrived before the one in front of them in their shard: "
          + "their arrival is that one's")
    }
    return recording
  }

  private static func bytes(of input: RecordingInput, limit: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    do throws(RecordingFileError) {
      if let count = input.byteCount { bytes.reserveCapacity(min(Int(count), limit)) }
      let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
      defer { piece.deallocate() }
      while true {
        let count = try input.read(into: piece)
        if count == 0 {
          guard !input.endedEarly else {
            throw RecordingFileError(path: input.path, reason: "what is compressed there is cut off")
          }
          return bytes
        }
        bytes.append(contentsOf: piece[..<count])
        guard bytes.count <= limit else { break }
      }
    } catch {
      throw Problem(Exit.badInput, "\(error)")
    }
    throw Problem(
      Exit.badInput,
      "\(input.path): files of more than \(RecordingImport.byteLimit >> 30) GiB cannot be imported at once, because their records "
        + "are put in order in memory: import parts of them")
  }
}
