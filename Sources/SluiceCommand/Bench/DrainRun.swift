import Logging
import Sluice
import StreamModel

/// What the handler does to the troubled shards of a drain.
enum ShardTrouble: Hashable {
  /// Nothing: they are like the others.
  case none
  /// It waits so long for each batch.
  case slow(milliseconds: Int)
  /// It fails every batch.
  case blocked

  var word: String {
    switch self {
    case .none: "calm"
    case .slow: "slow"
    case .blocked: "blocked"
    }
  }
}

/// One drain of the whole backlog, or with a trouble of all but the troubled shards, by a mapping of its own that begins
/// at the first record.
struct DrainRun {
  var mapping: String
  var records: Int
  var shards: Int
  var batchSize: Int
  var factor: Int
  var handlerMilliseconds: Int
  /// So many shards, from the first on, are troubled.
  var troubledShards: Int
  var trouble: ShardTrouble

  /// What it came to. Times run from the call that started the processor.
  struct Result {
    /// Over all shards.
    var all: DrainMeter
    /// Over the shards that are not among the troubled ones, whether or not there was a trouble.
    var others: DrainMeter
    var begun: ContinuousClock.Instant

    /// Records a second until the meter had all that it waited for.
    func rate(of meter: DrainMeter) -> Double { Double(meter.records) / seconds(of: meter) }

    func seconds(of meter: DrainMeter) -> Double { ((meter.finishedAt ?? .now) - begun).inSeconds }
  }

  /// Delivers until all records that can be delivered were, then drains.
  func measure(on place: BenchStore) async throws -> Result {
    let all = DrainMeter(goal: records)
    let others = DrainMeter(goal: records - troubledRecords)
    let begun = ContinuousClock.now
    let running = processor(on: place, all: all, others: others)
    let task = Task { try await running.run() }
    let watcher = Task {
      // A run that cannot start never delivers: end the wait with its error.
      _ = await task.result
      all.finish()
      others.finish()
    }
    if trouble == .none { await all.wait() }
    await others.wait()
    task.cancel()
    try await task.value
    await watcher.value
    return Result(all: all, others: others, begun: begun)
  }

  /// The first shards have one record more when the records cannot be spread evenly.
  var troubledRecords: Int { records / shards * troubledShards + min(records % shards, troubledShards) }

  private func processor(on place: BenchStore, all: DrainMeter, others: DrainMeter) -> StreamProcessor {
    var source = EventSourceMapping(mapping, stream: BenchStore.stream, from: .trimHorizon)
    source.batch = .init(upTo: batchSize)
    source.parallelizationFactor = factor
    source.concurrency = max(1_000, shards * factor)
    var processor = StreamProcessor(store: place.store)
    // Every failure of a blocked shard is a warning.
    processor.logger.logLevel = .error
    let (troubledShards, trouble, wait) = (UInt32(troubledShards), trouble, handlerMilliseconds)
    processor.map(source) { batch in
      let isTroubled = batch.origin.shard.rawValue < troubledShards
      if isTroubled {
        switch trouble {
        case .none: break
        case .slow(let milliseconds):
          try await Task.sleep(for: .milliseconds(milliseconds))
          return .succeeded
        case .blocked:
          throw HandlerFailure(kind: .error, type: "Blocked", message: "this shard is blocked for the measurement")
        }
      }
      all.begin()
      if wait > 0 { try await Task.sleep(for: .milliseconds(wait)) }
      if !isTroubled { others.end(records: batch.count) }
      all.end(records: batch.count)
      return .succeeded
    }
    return processor
  }
}
