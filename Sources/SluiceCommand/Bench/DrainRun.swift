import EventPattern
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
  /// `FilterCriteria`, and how many of the records they let through.
  var filter: EventFilter?
  var passingRecords: Int?
  /// The handler counts its batches in a table of its own: one entry for each lane.
  var countsBatches = false
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
    /// Processor time of the process until everything was delivered, in seconds.
    var processorSeconds: Double
    /// The most memory that was seen until everything was delivered, without the mapped file.
    var greatestResidentBytes: Int

    /// Records a second until the meter had all that it waited for.
    func rate(of meter: DrainMeter) -> Double { Double(meter.records) / seconds(of: meter) }

    func seconds(of meter: DrainMeter) -> Double { ((meter.finishedAt ?? .now) - begun).inSeconds }
  }

  /// Delivers until all records that can be delivered were, then drains.
  func measure(on place: BenchStore) async throws -> Result {
    let all = DrainMeter(goal: passingRecords ?? records)
    let others = DrainMeter(goal: (passingRecords ?? records) - troubledRecords)
    let used = ProcessTime.seconds()
    let begun = ContinuousClock.now
    let running = processor(on: place, all: all, others: others)
    let task = Task { try await running.run() }
    let watcher = Task {
      // A run that cannot start never delivers: end the wait with its error.
      _ = await task.result
      all.finish()
      others.finish()
    }
    let memory = MemoryWatch()
    if trouble == .none { await all.wait() }
    await others.wait()
    let processorSeconds = ProcessTime.seconds() - used
    let residentBytes = memory.end()
    task.cancel()
    try await task.value
    await watcher.value
    return Result(
      all: all, others: others, begun: begun, processorSeconds: processorSeconds, greatestResidentBytes: residentBytes)
  }

  /// The first shards have one record more when the records cannot be spread evenly.
  var troubledRecords: Int { records / shards * troubledShards + min(records % shards, troubledShards) }

  private func processor(on place: BenchStore, all: DrainMeter, others: DrainMeter) -> StreamProcessor {
    var source = EventSourceMapping(mapping, stream: BenchStore.stream, from: .trimHorizon)
    source.batch = .init(upTo: batchSize)
    source.parallelizationFactor = factor
    source.concurrency = max(1_000, shards * factor)
    source.filters = filter?.patterns ?? []
    var processor = StreamProcessor(store: place.store)
    // Every failure of a blocked shard is a warning.
    processor.logger.logLevel = .error
    let (troubledShards, trouble, wait) = (UInt32(troubledShards), trouble, handlerMilliseconds)
    guard !countsBatches else {
      processor.map(
        source,
        transactionally: { batch, scope in
          all.begin()
          if wait > 0 { try await Task.sleep(for: .milliseconds(wait)) }
          try scope.countBatch()
          others.end(records: batch.count)
          all.end(records: batch.count)
          return .succeeded
        })
      return processor
    }
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

extension TableScope {
  /// One batch more of this lane.
  fileprivate mutating func countBatch() throws {
    let key = Array("batches".utf8)
    let former = try get(key, from: "counts", of: .lane)
    let count = former?.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } ?? 0
    try put(key, (0..<8).map { UInt8(truncatingIfNeeded: (count + 1) >> (56 - 8 * $0)) }, into: "counts", of: .lane)
  }
}
