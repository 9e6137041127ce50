import ArgumentParser
import LambdaRuntime
import StreamModel
import StreamRuntime

struct BenchEncode: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encode", abstract: "Batches into events, as functions and programs get them: JSON with base64.",
    discussion: """
      On one thread, into memory that is used again. Megabytes are those of the records' data; eventMegabytesPerSecond \
      are those of the events.

      Example: sluice bench encode --batch-size 100
      """)

  @Option(help: "Records of each event.") var batchSize = 100
  @Option(help: "Seconds of each run.") var seconds = 1.0
  @OptionGroup var bench: BenchOptions

  func validate() throws {
    guard batchSize > 0, seconds > 0, bench.runs > 0 else { throw ValidationError("Give numbers above zero.") }
  }

  func run() throws {
    let batch = RecordBatch.bench(count: batchSize, recordBytes: bench.recordBytes)
    let writer = EventWriter(identity: EventIdentity(), origin: batch.origin)
    var buffer = EventBuffer()
    var reports: [BenchReport] = []
    for run in 0...bench.runs {
      let report = measure {
        buffer.removeAll()
        writer.write(batch, into: &buffer)
        return buffer.count
      }
      if run > 0 { reports.append(report) }
    }
    reports.sort { $0.recordsPerSecond < $1.recordsPerSecond }
    try reports[reports.count / 2].print(isJSON: bench.output.isJSON)
  }

  /// `encode` gives the bytes of an event.
  private func measure(_ encode: () -> Int) -> BenchReport {
    let begun = SystemClock.monotonic().nanoseconds
    let end = begun + Int64(seconds * 1_000_000_000)
    var (events, bytes, now) = (0, 0, begun)
    while now < end {
      for _ in 0..<16 { bytes += encode() }
      events += 16
      now = SystemClock.monotonic().nanoseconds
    }
    let elapsed = Double(now - begun) / 1_000_000_000
    var report = BenchReport(
      name: "encode", records: events * batchSize, recordBytes: bench.recordBytes, seconds: elapsed,
      durability: bench.durability)
    report.eventMegabytesPerSecond = (Double(bytes) / elapsed / 1_000_000).rounded()
    return report
  }
}

extension RecordBatch {
  /// A batch of one stream and shard, with a key for each record.
  static func bench(count batchSize: Int, recordBytes: Int) -> RecordBatch {
    var bytes: [UInt8] = []
    let data = [UInt8](repeating: 0x61, count: recordBytes)
    for position in 0..<batchSize {
      let key = Array("key-\(position)".utf8)
      key.withUnsafeBytes { key in
        data.withUnsafeBytes { data in
          RecordLayout.append(partitionKey: key, data: data, explicitHashKey: nil, to: &bytes)
        }
      }
    }
    var builder = RecordRunBuilder(firstIndex: RecordIndex(0))
    let isAppended = bytes.withUnsafeBytes {
      builder.append(
        packed: $0, recordCount: batchSize, firstArrival: WallTime(milliseconds: 1_789_651_658_123))
    }
    precondition(isAppended, "packed records make a run")
    var origin = BatchOrigin(stream: "bench", shard: ShardNumber(0), shardCreatedAtSeconds: 1_790_000_000, attempt: 1)
    origin.requestID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    return RecordBatch(origin: origin, run: builder.finish(), range: 0..<batchSize)
  }
}
