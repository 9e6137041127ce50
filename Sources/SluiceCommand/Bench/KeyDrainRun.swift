import class Foundation.JSONDecoder
import Logging
import Sluice
import StreamModel
import StreamStore
import struct Synchronization.Atomic

/// The records of `bench keys`: keys in an order as if by chance, the same in each shard and each run.
struct KeyBacklog: Sendable {
  var records: Int
  var shards: Int
  /// Partition keys of each shard.
  var keys: Int
  var failingPercent: Int

  /// Of each shard.
  var failingKeys: Int { keys * failingPercent / 100 }

  /// The key of the record at this place in its shard. Those that fail begin with an x.
  func key(at place: Int) -> String {
    let number = number(at: place)
    return number < failingKeys ? "x\(number)" : "k\(number)"
  }

  func fails(at place: Int) -> Bool { number(at: place) < failingKeys }

  private func number(at place: Int) -> Int {
    Int(SplitMix64.mixed(UInt64(place)) % UInt64(keys))
  }
}

/// One drain by a mapping that blocks by key, from the first record until all records of the keys that never fail are
/// processed.
struct KeyDrainRun {
  var batchSize: Int
  /// The handler decodes the data of each record.
  var decodes: Bool
  var handlerMilliseconds: Int
  var retryAttempts: Int
  var answer: FailureAnswer
  var backlog: KeyBacklog
  /// Records of the keys that do not fail.
  var otherRecords: Int

  struct Result {
    /// Until the records of the other keys were processed.
    var seconds: Double
    /// What the process used of its processors meanwhile.
    var processorSeconds: Double
    /// Of any records.
    var deliveries: Int
    var failedDeliveries: Int
    /// Records of failing keys that are parked in the store at the end.
    var parkedRecords: Int
  }

  func measure(on place: BenchStore, _ mapping: String, keysFail: Bool) async throws -> Result {
    let others = DrainMeter(goal: otherRecords)
    let deliveries = DeliveryCounts()
    let begun = ContinuousClock.now
    let processorSeconds = ProcessTime.seconds()
    let running = processor(on: place, mapping, keysFail: keysFail, others, deliveries)
    let task = Task { try await running.run() }
    let watcher = Task {
      // A run that cannot start never delivers: end the wait with its error.
      _ = await task.result
      others.finish()
    }
    await others.wait()
    let finished = others.finishedAt ?? .now
    let used = ProcessTime.seconds() - processorSeconds
    task.cancel()
    try await task.value
    await watcher.value
    return Result(
      seconds: (finished - begun).inSeconds, processorSeconds: used,
      deliveries: deliveries.all.load(ordering: .relaxed),
      failedDeliveries: deliveries.failed.load(ordering: .relaxed),
      parkedRecords: try parkedRecords(of: mapping, on: place))
  }

  private func parkedRecords(of mapping: String, on place: BenchStore) throws -> Int {
    guard let number = try place.store.catalog().mapping(named: mapping)?.number else { return 0 }
    return try place.store.lanes(of: number).keys.reduce(0) { count, lane in
      try place.store.parkedKeys(of: lane).reduce(count) { count, key in
        count + key.ranges.reduce(0) { $0 + Int($1.count) }
      }
    }
  }

  private func processor(
    on place: BenchStore, _ mapping: String, keysFail: Bool, _ others: DrainMeter, _ deliveries: DeliveryCounts
  ) -> StreamProcessor {
    var source = EventSourceMapping(mapping, stream: BenchStore.stream, from: .trimHorizon)
    source.batch = .init(upTo: batchSize)
    source.retry.attempts = retryAttempts
    source.blocking = .key(
      keys: max(1_000, backlog.failingKeys), records: max(100_000, backlog.records / backlog.shards + 1))
    var processor = StreamProcessor(store: place.store)
    // Every failure is a warning.
    processor.logger.logLevel = .error
    let (wait, answer, decodes) = (handlerMilliseconds, answer, decodes)
    processor.map(source) { batch in
      others.begin()
      deliveries.all.add(1, ordering: .relaxed)
      if wait > 0 { try await Task.sleep(for: .milliseconds(wait)) }
      var done = 0
      let decoder = decodes ? JSONDecoder() : nil
      for position in 0..<batch.count {
        if let decoder { try DecodedData.check(batch[position].dataBytes, decoder) }
        guard batch[position].partitionKeyBytes.unsafeLoad(as: UInt8.self) == UInt8(ascii: "x") else {
          done += 1
          continue
        }
        guard keysFail else { continue }
        deliveries.failed.add(1, ordering: .relaxed)
        guard answer == .names else {
          others.end(records: 0)
          throw HandlerFailure(kind: .error, type: "FailingKey", message: "this key fails for the measurement")
        }
        others.end(records: done)
        return .failed(at: batch.sequenceNumber(at: position))
      }
      others.end(records: done)
      return .succeeded
    }
    return processor
  }
}

private final class DeliveryCounts: Sendable {
  let all = Atomic(0)
  let failed = Atomic(0)
}
