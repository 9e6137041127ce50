import ArgumentParser
import Foundation
import Logging
import Recordings
import Replays
import Sluice
import SluiceService
import StreamModel
import StreamRuntime
import StreamStore

struct ReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Run a recording through a handler, in virtual time and without a store.",
    discussion: """
      Batches, retries, waits, windows and expiries are those of a worker, decided by the same code; time goes from one \
      moment at which something happens to the next. The result is a run file: each invocation with its records, its \
      result and its answer. The same recording, handler answers and seed give the same bytes. See docs/recordings.md.

      With --speed 10 the time of the recording goes by ten times as fast as real time instead, also while the handler \
      works: a load test with the traffic of that day. Records come a tenth of their gaps apart, waits, windows and ages are \
      those of the recording's time, and the handler takes the time that it really takes: one that is too slow falls behind.

      The mapping and its function are those of a configuration. Its function can be replaced: by another one of the \
      configuration with --function, by a command with --command.

      What is no recording is imported first, as `sluice record --import` does it: pages of get-records, events of Lambda, \
      exports of a table, JSON lines, CSV.

      Exit code 0 if every lane came to its end, whatever failed on the way; 1 if something fails for ever.

      Examples:
        sluice replay flights.recording --config sluice.yaml -o old.run
        sluice replay flights.recording --config sluice.yaml --command 'python3 delays_fixed.py' -o new.run
        sluice replay flights.recording --config sluice.yaml --speed 10        # ten times as fast as it was, in real time
        sluice replay flights.recording --config sluice.yaml --speed 0.5       # half as fast
        sluice replay flights.recording --config sluice.yaml --mapping flights-delays --from 2026-11-21T08:00:00Z
        sluice replay --stream flights --config sluice.yaml --function delays-v2 -o new.run
        aws kinesis get-records --shard-iterator … | sluice replay - --config sluice.yaml --command 'python3 delays.py'
      """)

  @Argument(help: "The recording, a file to import, or - for standard input.") var recording: String?
  @Option(help: "Instead of a file: a stream of the store, as it is now. The store is only read, also beside a worker.")
  var stream: String?
  @Option(name: .customLong("data"), help: "With --stream: the data directory. Also: SLUICE_DATA.") var data: String?
  @Option(help: "The configuration file.") var config: String
  @Option(help: "The mapping. Not needed if the configuration has one of the recording's stream.")
  var mapping: String?
  @Option(help: "Another function of the configuration.") var function: String?
  @Option(help: "A command for the shell instead of the function's, with its protocol and limits.")
  var command: String?
  @Option(
    name: .shortAndLong,
    help: "The run file, or - for standard output. Default: none, only the sums.")
  var output: String?
  @Option(help: "Records that arrived at this moment or later.") var from: String?
  @Option(help: "Records that arrived before this moment.") var to: String?
  @Option(help: "Shards, by comma, such as 0,3.") var shards: String?
  @Option(
    help:
      "virtual: records come when they came, and nobody waits for them. 0.1 to 1000: so many times as fast as it was, in real time. max: all are there from the beginning, and batches are full. Default: virtual.",
    transform: ReplaySpeed.init)
  var speed = ReplaySpeed.virtual
  @Option(help: "Decides the jitter of waits.") var seed: UInt64 = 1
  @Option(
    help: "How long a delivery takes in virtual time. Not with a number as --speed: it takes what it really takes.")
  var takes = "0ms"
  @Option(help: "Leave out up to so many damages of the recording: lines that cannot be used, and gaps.")
  var skipBad = 0
  @Flag(help: "Put into the run file how long invocations really took, and their memory. No two runs are alike then.")
  var measure = false
  @Flag(help: "Replace the run file if it is there.") var overwrite = false
  @OptionGroup var imports: ImportOptions
  @OptionGroup var format: FormatOption

  /// What is replayed, in words.
  private var file: String { recording ?? stream.map { "stream \($0)" } ?? "" }

  func validate() throws {
    guard (recording == nil) != (stream == nil) else {
      throw ValidationError("Give either a recording or --stream.")
    }
    if stream != nil, skipBad > 0 || imports.importFormat != nil || imports.keyField != nil {
      throw ValidationError("--skip-bad, --import-format and --key-field go with a file.")
    }
    if stream == nil, data != nil { throw ValidationError("--data goes with --stream.") }
    guard speed.pace == nil || takes == "0ms" else {
      throw ValidationError(
        "--takes is \(takes): with --speed \(speed.text) a delivery takes as long as it really does.")
    }
    guard skipBad >= 0 else {
      throw ValidationError("--skip-bad is \(skipBad): allowed is 0 or more.")
    }
    if function != nil, command != nil {
      throw ValidationError("Give either --function or --command.")
    }
  }

  func run() async throws {
    if let stream { return try await replayStream(stream) }
    let byteCount: UInt64?
    let reader: RecordingReader
    do {
      let input = try RecordingInput(path: file)
      let beginning = try input.peek()
      if !beginning.isEmpty, imports.importFormat != nil || !RecordingImport.isRecording(beginning) {
        return try await replayImported(input)
      }
      byteCount = input.byteCount
      reader = try RecordingReader(badLineLimit: skipBad, owning: input)
    } catch let error as RecordingError {
      throw Problem(Exit.badInput, "\(file): \(error)")
    } catch let error as RecordingFileError {
      throw Problem(Exit.badInput, "\(error)")
    }
    try await replay(reader, byteCount: byteCount)
  }

  /// Records the stream as it is now, piece by piece, while it is replayed.
  private func replayStream(_ name: String) async throws {
    let store = try Connection.open(DataOptions.directory(data), role: .looker)
    let catalog = try store.catalog()
    guard let info = catalog.stream(named: name) else {
      let names = catalog.streams.values.map(\.name).sorted().joined(separator: ", ")
      throw Problem(Exit.badInput, "There is no stream \(name). There are: \(names.isEmpty ? "none" : names).")
    }
    let input = RecordedInput(
      try StreamRecorder(store, catalog, info, outcomesOf: nil, bounds: RecordingBounds(), redacted: []))
    let reader: RecordingReader
    do throws(RecordingError) {
      reader = try RecordingReader { memory throws(RecordingFileError) in try input.read(into: memory) }
    } catch {
      throw Problem(Exit.failed, "\(file): \(error)")
    }
    try await replay(reader, byteCount: nil)
    if input.missing > 0 {
      throw Problem(
        Exit.failed, "\(Text.records(input.missing)) could not be read and were not replayed: see sluice check-store")
    }
  }

  /// Makes a recording of the file, which is read as it is made. Its stream is the one of the mapping.
  private func replayImported(_ input: RecordingInput) async throws {
    let mappings = try readConfiguration().mappings
    let candidates = mappings.filter { known in mapping.map { known.name == $0 } ?? true }
    guard let first = candidates.first, Set(candidates.map(\.stream)).count == 1 else {
      throw Problem(
        Exit.wrongUsage,
        "\(file) is no recording and does not tell its stream: name a mapping of \(config) with --mapping "
          + "(\(mappings.map(\.name).joined(separator: ", ")))")
    }
    let recording = try imports.recording(
      of: first.stream, from: [input], madeAt: .zero, skipBad: skipBad, sortingIn: "/var/tmp",
      isQuiet: format.isJSON)
    let reader: RecordingReader
    do {
      let text = try recording.writing()
      reader = try RecordingReader { memory throws(RecordingFileError) in try text.read(into: memory) }
    } catch {
      throw Problem(Exit.badInput, "\(file): \(error)")
    }
    try await replay(reader, byteCount: nil)
  }

  private func readConfiguration() throws -> Configuration {
    try ConfigurationOptions.read(
      file: config, ConfigurationOverrides(environment: ProcessInfo.processInfo.environment)
    ).configuration
  }

  /// `byteCount`: of the recording, if anybody knows it.
  private func replay(_ reader: consuming RecordingReader, byteCount: UInt64?) async throws {
    let header = reader.header
    let configuration = try readConfiguration()
    let (wanted, handler) = try choose(in: configuration, stream: header.stream)
    try checkKind(of: wanted, in: configuration, header.kind)
    let stream = StreamInfo(
      number: StreamNumber(1), name: header.stream, kind: header.kind,
      createdAt: header.streamCreatedAt)
    // What a failing handler says is in the run file.
    let logger = Logger(label: "replay") { _ in SwiftLogNoOpLogHandler() }
    let replayed: ReplayedMapping
    do {
      replayed = try ReplayedMapping(
        wanted, handler, on: stream, isPaced: speed.pace != nil,
        logger: logger)
    } catch {
      throw Problem(Exit.badInput, "mapping \(wanted.name): \(error)")
    }
    let (end, lastFailure): (RunEnd, String?)
    do {
      var options = try options(of: handler)
      options.prepare = { await replayed.prepare($0) }
      (end, lastFailure) = try await run(
        reader, byteCount, replayed, options,
        RunHeader(
          stream: header.stream, mapping: wanted.name, handler: command ?? handler.name,
          settings: replayed.settings,
          seed: seed, speed: speed.text), logger)
    } catch {
      await shutDown(replayed)
      throw error
    }
    await shutDown(replayed)
    try tell(end, lastFailure)
  }

  private func shutDown(_ replayed: ReplayedMapping) async {
    do { try await replayed.shutdown() } catch { Warning.write("\(error.localizedDescription)") }
  }

  private func run(
    _ reader: consuming RecordingReader, _ byteCount: UInt64?, _ replayed: ReplayedMapping,
    _ options: ReplayOptions, _ head: RunHeader, _ logger: Logger
  ) async throws -> (RunEnd, lastFailure: String?) {
    var head = head
    head.measured = measure ? true : nil
    head.from = options.from?.milliseconds
    head.to = options.to?.milliseconds
    head.shards = options.shards?.map(\.rawValue).sorted()
    if let output, let recording, Self.isSameFile(output, recording) {
      throw Problem(Exit.wrongUsage, "-o is \(output), which is what is replayed: give the run another name")
    }
    let result = try RunOutput(path: output, isReplacing: overwrite)
    let recorder = RecorderBox(try RunRecorder(head) { try result.write($0) })
    let starting = StartWatch { await replayed.startFailure() }
    let replay = Replay(reader, through: replayed.plan, options, logger: logger) { event, note in
      try recorder.recorder.take(event, note)
      try starting.look(at: event)
    }
    var progress = ProgressLine(isQuiet: format.isJSON)
    let begun = ContinuousClock.now
    var memory = ChildMemory()
    do {
      try await replay.run {
        if measure { memory.sample() }
        let seconds = max((ContinuousClock.now - begun).inSeconds, 0.001)
        let (count, failures) = (replay.recordCount, recorder.recorder.failures)
        let read = replay.status.byteCount
        progress.show(
          "\(Text.records(count)), \(Text.count(Int(Double(count) / seconds))) a second, \(Text.count(failures)) failures"
            + standing(of: replay) + left(read, of: byteCount, seconds))
      }
      try await starting.end()
    } catch let error as HandlerNeverStarts {
      progress.clear()
      throw Problem(
        Exit.badInput,
        "the handler \(head.handler) cannot start, so nothing can be replayed: \(Self.line(RunRecorder.words(of: error.failure)))"
      )
    } catch let error as ReplayError {
      progress.clear()
      throw Problem(Exit.badInput, "\(file): \(error)")
    } catch let error as RecordingFileError {
      progress.clear()
      throw Problem(Exit.failed, error.advised)
    }
    progress.clear()
    if measure { memory.sample(isForced: true) }
    for problem in replay.status.skipped { warn("left out: \(problem)") }
    if case .interrupted(let problem)? = replay.status.ending { warn("\(problem)") }
    let end = try recorder.recorder.end(
      records: replay.recordCount, milliseconds: replay.elapsedMilliseconds,
      unsettled: replay.unsettled, shards: replay.shardTimes,
      greatestLagMilliseconds: options.pace.map { _ in replay.greatestLagMilliseconds },
      peakMemoryBytes: memory.peakBytes)
    return (end, recorder.recorder.lastFailure)
  }

  /// Whether both are there, and are one file.
  private static func isSameFile(_ path: String, _ other: String) -> Bool {
    let files = [path, other].map { name -> [Int?] in
      let attributes = try? FileManager.default.attributesOfItem(atPath: (name as NSString).resolvingSymlinksInPath)
      return [attributes?[.systemNumber] as? Int, attributes?[.systemFileNumber] as? Int]
    }
    return files[0] == files[1] && !files[0].contains(nil)
  }

  /// Where in the recording's time it is, and how far behind that.
  private func standing(of replay: Replay) -> String {
    guard speed != .max, let wall = replay.wall else { return "" }
    let moment = Text.moment(wall.milliseconds, now: SystemClock.wall().milliseconds)
    let lag = speed.pace == nil ? "" : ", \(Text.duration(replay.lagMilliseconds)) behind"
    return ", at \(moment) of its time\(lag)"
  }

  private func left(_ read: UInt64, of size: UInt64?, _ seconds: Double) -> String {
    guard let size, read > 0, size > read else { return "" }
    return ", \(Text.duration(Int64(Double(size - read) / Double(read) * seconds * 1_000))) left"
  }

  private func warn(_ text: String) {
    Warning.write("\(file): \(text)")
  }

  /// What a handler said, on one line that is not too long.
  private static func line(_ text: String) -> String { String(text.replacing("\n", with: " ").prefix(400)) }

  private func tell(_ end: RunEnd, _ lastFailure: String?) throws {
    if output != "-" {
      if format.isJSON {
        try printJSON(end)
      } else {
        print(
          "\(Text.records(end.records)), \(Text.count(end.invocations)) invocations, \(Text.count(end.failures)) of them failed, "
            + "in \(Text.duration(end.milliseconds)) of virtual time")
        if let lastFailure { print("the last failure: \(Self.line(lastFailure))") }
        if end.leftRecords > 0 {
          print("\(Text.records(end.leftRecords)) left in \(Text.count(end.departures)) failure entries")
        } else if end.records == 0 {
          print("there was no record to replay")
        } else if end.unsettledLanes.isEmpty {
          print("every record succeeded")
        }
        if let lag = end.greatestLagMilliseconds {
          print(
            "at most \(Text.duration(lag)) of its time behind: so old was the newest record of a batch when it was delivered"
          )
        }
      }
    }
    guard end.unsettledLanes.isEmpty else {
      throw Problem(
        Exit.failed,
        "not settled a day after the last record: \(end.unsettledLanes.joined(separator: ", "))")
    }
  }

  // MARK: What is replayed

  private func choose(
    in configuration: Configuration, stream: String
  ) throws -> (MappingConfiguration, FunctionConfiguration) {
    let candidates = configuration.mappings.filter { known in
      mapping.map { known.name == $0 } ?? (known.stream == stream)
    }
    guard let first = candidates.first else {
      let names = configuration.mappings.map(\.name).joined(separator: ", ")
      throw Problem(
        Exit.badInput,
        mapping.map { "\(config) has no mapping \($0); there are: \(names)" }
          ?? "\(config) has no mapping of stream \(stream): name one with --mapping (\(names))")
    }
    guard candidates.count == 1 else {
      throw Problem(
        Exit.wrongUsage,
        "\(config) has several mappings of stream \(stream): name one with --mapping "
          + "(\(candidates.map(\.name).joined(separator: ", ")))")
    }
    guard var handler = configuration.function(named: function ?? first.function) else {
      throw Problem(Exit.badInput, "\(config) has no function \(function ?? first.function)")
    }
    if let command {
      handler.command = ["/bin/sh", "-c", "exec \(command)"]
      handler.directory = nil
      handler.code = nil
    }
    return (first, handler)
  }

  /// Its function knows the events of one kind of stream.
  private func checkKind(of wanted: MappingConfiguration, in configuration: Configuration, _ kind: StreamKind) throws {
    guard let own = configuration.stream(named: wanted.stream)?.kind, own != kind else { return }
    throw Problem(
      Exit.badInput,
      "mapping \(wanted.name) is one of stream \(wanted.stream), which \(config) says is of kind \(own.rawValue), and "
        + "\(file) is of kind \(kind.rawValue): its function would get events of another form. Name a mapping of a "
        + "\(kind.rawValue) stream with --mapping, or give the stream that kind")
  }

  private func options(of handler: FunctionConfiguration) throws -> ReplayOptions {
    var options = ReplayOptions(timeoutMilliseconds: handler.timeout.wholeMilliseconds)
    options.from = try from.map { try MomentText.parse($0, "--from") }
    options.to = try to.map { try MomentText.parse($0, "--to") }
    options.shards = try shards.map { text in
      Set(
        try text.split(separator: ",").map { part in
          guard let shard = ShardNumber(part) else {
            throw Problem(
              Exit.wrongUsage,
              "--shards \(text): \(part) is not a shard: write 3 or shardId-000000000003")
          }
          return shard
        })
    }
    options.seed = seed
    options.isAtOnce = speed == .max
    options.pace = speed.pace
    options.deliveryMilliseconds = try PlanRequest.milliseconds(takes, "--takes")
    options.concurrency = handler.concurrency
    return options
  }
}

/// The recorder of a run, which the replay and the command share.
final class RecorderBox {
  var recorder: RunRecorder
  init(_ recorder: RunRecorder) { self.recorder = recorder }
}

/// Where a run file goes, if anywhere.
private final class RunOutput {
  private var file: RecordingOutput?

  init(path: String?, isReplacing: Bool) throws {
    guard let path else { return }
    do {
      file = try RecordingOutput(path: path, isReplacing: isReplacing)
    } catch {
      throw Problem(Exit.failed, error.advised)
    }
  }

  func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { (bytes) throws(RecordingFileError) in try file?.write(bytes) }
  }
}
