import Foundation
import Locks
import Logging
import Recordings
import Replays
import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// A handler that fails at some records, each so often.
final class FailingRecords: BatchHandler {
  private let left: Mutex<[UInt64: Int]>
  let batches = Mutex<[[UInt64]]>([])

  init(_ failures: [UInt64: Int] = [:]) { left = Mutex(failures) }

  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    let indexes = (0..<batch.count).map { batch.index(at: $0).rawValue }
    batches.withLock { $0.append(indexes) }
    for index in indexes {
      let fails = left.withLock { left in
        guard let times = left[index], times > 0 else { return false }
        left[index] = times - 1
        return true
      }
      if fails { throw HandlerFailure(kind: .error, type: "Poison", message: "record \(index)") }
    }
    return .succeeded
  }
}

struct ReplayOutcome {
  var run: [UInt8]
  var end: RunEnd
  var greatestLagMilliseconds: Int64
  var greatestWaitingByteCount: Int
  var lines: [String] {
    String(decoding: run, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}

/// Suites that replay recordings made for them.
protocol ReplaySuite {}

extension ReplaySuite {
  static var begin: Int64 { 1_700_000_000_000 }

  /// A recording of shards with records at these milliseconds, of which some are closed.
  func recording(
    _ shards: [(arrivals: [Int64], parents: [UInt32], isClosed: Bool)], dataByteCount: Int = 0
  ) -> [UInt8] {
    let data = [UInt8](repeating: 0, count: dataByteCount)
    var writer = RecordingWriter(
      RecordingHeader(
        stream: "s", kind: .kinesis, streamCreatedAt: WallTime(milliseconds: Self.begin),
        madeAt: WallTime(milliseconds: Self.begin)))
    for (number, shard) in shards.enumerated() {
      let address = ShardNumber(UInt32(number))
      writer.outline.shardOpened(
        RecordedShard(
          shard: address, createdAt: WallTime(milliseconds: Self.begin),
          createdAtSeconds: 1_700_000_000,
          hashKeys: .all, parents: shard.parents.map { ShardNumber($0) }, first: .zero))
    }
    let all = shards.enumerated().flatMap { number, shard in
      shard.arrivals.enumerated().map { (at: $0.element, shard: UInt32(number), index: $0.offset) }
    }
    for record in all.sorted(by: { ($0.at, $0.shard, $0.index) < ($1.at, $1.shard, $1.index) }) {
      var packed: [UInt8] = []
      Array("key \(record.index)".utf8).withUnsafeBytes { key in
        let key = key
        data.withUnsafeBytes { RecordLayout.append(partitionKey: key, data: $0, explicitHashKey: nil, to: &packed) }
      }
      var builder = RecordRunBuilder(firstIndex: RecordIndex(UInt64(record.index)))
      let arrival = WallTime(milliseconds: Self.begin + record.at)
      let isWhole = packed.withUnsafeBytes {
        builder.append(packed: $0, recordCount: 1, firstArrival: arrival)
      }
      precondition(isWhole)
      writer.outline.records(at: 0..<1, of: builder.finish(), shard: ShardNumber(record.shard))
    }
    for (number, shard) in shards.enumerated() where shard.isClosed {
      writer.outline.shardClosed(
        RecordedClosing(
          shard: ShardNumber(UInt32(number)), closedAt: WallTime(milliseconds: Self.begin + 10_000),
          end: RecordIndex(UInt64(shard.arrivals.count))))
    }
    writer.outline.end()
    var bytes: [UInt8] = []
    writer.take { bytes = Array($0) }
    return bytes
  }

  func replay(
    _ recording: [UInt8], through handler: any BatchHandler,
    policy: LanePolicy = LanePolicy(batchSize: 10),
    factor: Int = 1, _ change: (inout ReplayOptions) -> Void = { _ in }
  ) async throws -> ReplayOutcome {
    var position = 0
    let reader = try RecordingReader { memory throws(RecordingFileError) in
      let count = min(memory.count, recording.count - position)
      memory.copyBytes(from: recording[position..<position + count])
      position += count
      return count
    }
    var plan = MappingPlan(
      name: "m", stream: "s", start: .trimHorizon, policy: policy, handler: handler,
      recordOverhead: 100)
    plan.parallelizationFactor = factor
    var options = ReplayOptions(timeoutMilliseconds: 60_000)
    change(&options)
    var bytes: [UInt8] = []
    var recorder = try RunRecorder(
      RunHeader(
        stream: "s", mapping: "m", handler: "h", settings: [:], seed: options.seed, speed: "1")
    ) { bytes += $0 }
    let replay = Replay(
      reader, through: plan, options,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { try recorder.take($0, $1) }
    try await replay.run {}
    let end = try recorder.end(
      records: replay.recordCount, milliseconds: replay.elapsedMilliseconds,
      unsettled: replay.unsettled)
    return ReplayOutcome(
      run: bytes, end: end, greatestLagMilliseconds: replay.greatestLagMilliseconds,
      greatestWaitingByteCount: replay.greatestWaitingByteCount)
  }
}
