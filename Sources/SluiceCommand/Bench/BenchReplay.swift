import ArgumentParser
import Foundation
import Logging
import Recordings
import Replays
import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

struct BenchReplay: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Replays a recording through a native handler that does nothing.",
    discussion: """
      The recording is written before the clock starts, and read from the file: its lines are checked, and the lanes form \
      batches of them. Everything is there from the beginning, as with replay --speed max.

      With --retries the handler fails always: each shard has one record, which is tried again for a day of virtual time, \
      with so many shards that it comes to about so many retries. The rate is that of the invocations.

      With --recording it is that one; then the bytes of a record are those of its line.

      Examples:
        sluice bench replay --records 5000000
        sluice bench replay --recording flights.recording
        sluice bench replay --retries 100000
      """)

  @Option(help: "Records of the recording.") var records = 5_000_000
  @Option(help: "Shards.") var shards = 8
  @Option(help: "BatchSize.") var batchSize = 500
  @Option(help: "Retries of records that always fail, instead.") var retries: Int?
  @Option(help: "Replay this recording instead.") var recording: String?
  @OptionGroup var bench: BenchOptions

  /// The longest wait between two retries is a minute.
  private static let retriesOfADay = 1_430
  private static let begin: Int64 = 1_700_000_000_000

  func validate() throws {
    guard shards > 0, records >= shards else { throw ValidationError("--records is less than one for each shard.") }
    guard batchSize > 0 else { throw ValidationError("--batch-size is \(batchSize): allowed is 1 or more.") }
    if recording != nil, retries != nil { throw ValidationError("Give either --recording or --retries.") }
    if let retries, retries < 1 { throw ValidationError("--retries is \(retries): allowed is 1 or more.") }
  }

  func run() async throws {
    if let recording { return try await measure(recording, shards: nil) }
    let folder = URL(filePath: bench.directory ?? FileManager.default.temporaryDirectory.path)
      .appending(path: "sluice-bench-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "bench.recording").path
    let lanes = retries.map { ($0 + Self.retriesOfADay - 1) / Self.retriesOfADay } ?? shards
    try write(to: path, shards: lanes, records: retries == nil ? records : lanes)
    try await measure(path, shards: lanes)
  }

  private func measure(_ path: String, shards: Int?) async throws {
    var outcomes: [Outcome] = []
    for run in 0...bench.runs {
      let outcome = try await replay(path)
      if run > 0 { outcomes.append(outcome) }
    }
    guard let median = outcomes.sorted(by: { $0.seconds < $1.seconds }).dropFirst(outcomes.count / 2).first else {
      throw Problem(Exit.wrongUsage, "--runs is \(bench.runs): allowed is 1 or more.")
    }
    var report = BenchReport(
      name: retries == nil ? "replay" : "replay, retries",
      records: Int(retries == nil ? median.end.records : median.end.failures),
      recordBytes: shards == nil ? Int(median.bytes / max(1, median.end.records)) : bench.recordBytes,
      seconds: median.seconds, durability: bench.durability)
    report.shards = shards
    report.batchesPerSecond = (Double(median.end.invocations) / median.seconds).rounded()
    try report.print(isJSON: bench.output.isJSON)
    guard !bench.output.isJSON, retries != nil else { return }
    print(
      "  \(Text.count(median.end.failures)) failed invocations in \(Text.duration(median.end.milliseconds)) of virtual time, "
        + "in \(String(format: "%.2f", median.seconds)) s")
  }

  private struct Outcome {
    var seconds: Double
    /// Of the recording.
    var bytes: UInt64
    var end: RunEnd
  }

  private struct Handler: BatchHandler {
    var fails: Bool

    func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
      if fails { throw HandlerFailure(kind: .error, type: "Bench", message: "this record always fails") }
      return .succeeded
    }
  }

  private func replay(_ path: String) async throws -> Outcome {
    var policy = LanePolicy(batchSize: batchSize)
    if retries != nil { policy.maximumRetryAttempts = Self.retriesOfADay }
    let plan = MappingPlan(
      name: "bench", stream: "bench", start: .trimHorizon, policy: policy, handler: Handler(fails: retries != nil),
      recordOverhead: 100)
    var options = ReplayOptions(timeoutMilliseconds: 60_000)
    options.isAtOnce = true
    let begun = ContinuousClock.now
    let reader = try RecordingReader(owning: RecordingInput(path: path))
    // The run file is made and thrown away.
    let recorder = RecorderBox(
      try RunRecorder(
        RunHeader(stream: "bench", mapping: "bench", handler: "none", settings: [:], seed: 1, speed: "max")
      ) { _ in })
    let replay = Replay(
      reader, through: plan, options, logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
    ) { try recorder.recorder.take($0, $1) }
    try await replay.run {}
    let end = try recorder.recorder.end(
      records: replay.recordCount, milliseconds: replay.elapsedMilliseconds, unsettled: replay.unsettled)
    return Outcome(seconds: (ContinuousClock.now - begun).inSeconds, bytes: replay.status.byteCount, end: end)
  }

  /// Writes the recording: the shards take turns, some hundred records each.
  private func write(to path: String, shards: Int, records: Int) throws {
    let moment = WallTime(milliseconds: Self.begin)
    var writer = RecordingWriter(
      RecordingHeader(stream: "bench", kind: .kinesis, streamCreatedAt: moment, madeAt: moment))
    for shard in 0..<shards {
      writer.outline.shardOpened(
        RecordedShard(
          shard: ShardNumber(UInt32(shard)), createdAt: moment, createdAtSeconds: UInt64(Self.begin / 1_000),
          hashKeys: .all, parents: [], first: .zero))
    }
    var output = try RecordingOutput(path: path, isReplacing: false)
    let filling = [UInt8](repeating: 0x78, count: max(0, bench.recordBytes - 12))
    let data = Array(#"{"bench":""#.utf8) + filling + Array(#""}"#.utf8)
    var packed: [UInt8] = []
    let turn = 500
    for _ in 0..<turn {
      Array("key".utf8).withUnsafeBytes { key in
        data.withUnsafeBytes { RecordLayout.append(partitionKey: key, data: $0, explicitHashKey: nil, to: &packed) }
      }
    }
    var written = 0
    var round: Int64 = 0
    var next = [UInt64](repeating: 0, count: shards)
    while written < records {
      for shard in 0..<shards where written < records {
        let count = min(turn, (records - 1 - shard) / shards + 1 - Int(next[shard]), records - written)
        guard count > 0 else { continue }
        var builder = RecordRunBuilder(firstIndex: RecordIndex(next[shard]))
        let arrival = moment.adding(milliseconds: round)
        let isWhole = packed.withUnsafeBytes { bytes in
          builder.append(
            packed: UnsafeRawBufferPointer(rebasing: bytes[..<(packed.count / turn * count)]), recordCount: count,
            firstArrival: arrival)
        }
        precondition(isWhole, "packed records are well-formed")
        let run = builder.finish()
        writer.outline.records(at: 0..<count, of: run, shard: ShardNumber(UInt32(shard)))
        next[shard] += UInt64(count)
        written += count
        // Soon: what stays of this memory would show as memory of the replay.
        try flush(&writer, &output)
      }
      round += 1
    }
    writer.outline.end()
    try flush(&writer, &output)
  }

  private func flush(_ writer: inout RecordingWriter, _ output: inout RecordingOutput) throws {
    var bytes: [UInt8] = []
    writer.take { bytes = Array($0) }
    try output.write(bytes)
  }
}
