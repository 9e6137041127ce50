import ArgumentParser
import Foundation
import Logging
import Sluice
import StreamModel
import StreamStore
import Locks

struct BenchDrain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Delivers a backlog to a native handler, with checkpoints.",
    discussion: """
      The backlog is put before the clock starts. With --handler-milliseconds the handler waits that long for each batch;
      with --slow-shards so many shards wait a second for each batch, and the rate is that of the others.
      """)

  @Option(help: "Records of the backlog.") var records = 5_000_000
  @Option(help: "Shards.") var shards = 8
  @Option(help: "BatchSize.") var batchSize = 500
  @Option(help: "How long the handler waits for each batch.") var handlerMilliseconds = 0
  @Option(help: "Shards whose handler takes a second.") var slowShards = 0
  @OptionGroup var bench: BenchOptions

  func run() async throws {
    var reports: [BenchReport] = []
    let place = try await BenchStore.make(bench, shards: shards)
    defer { place.remove() }
    var progress = ProgressLine(isQuiet: bench.output.isJSON)
    try await place.fill(records: records, recordBytes: bench.recordBytes, progress: &progress)
    for run in 0...bench.runs {
      let report = try await drain(place, run: run)
      if run > 0 { reports.append(report) }
    }
    reports.sort { $0.recordsPerSecond < $1.recordsPerSecond }
    try reports[reports.count / 2].print(isJSON: bench.output.isJSON)
  }

  /// Each run is a mapping of its own, which begins at the first record.
  private func drain(_ place: BenchStore, run: Int) async throws -> BenchReport {
    let slow = Set((0..<slowShards).map { ShardNumber(UInt32($0)) })
    let meter = DrainMeter(goal: records - records / shards * slowShards)
    var mapping = EventSourceMapping("drain-\(run)", stream: BenchStore.stream, from: .trimHorizon)
    mapping.batch = .init(upTo: batchSize)
    mapping.concurrency = max(1_000, shards)
    var processor = StreamProcessor(store: place.store)
    processor.logger.logLevel = .error
    let wait = handlerMilliseconds
    processor.map(mapping) { batch in
      if slow.contains(batch.origin.shard) {
        try await Task.sleep(for: .seconds(1))
        return .succeeded
      }
      meter.begin()
      if wait > 0 { try await Task.sleep(for: .milliseconds(wait)) }
      meter.end(records: batch.count)
      return .succeeded
    }
    let begun = ContinuousClock.now
    let running = processor
    let task = Task { try await running.run() }
    let watcher = Task {
      // A run that cannot start never delivers: end the wait with its error.
      _ = await task.result
      meter.finish()
    }
    await meter.wait()
    let elapsed = (ContinuousClock.now - begun).inSeconds
    var report = BenchReport(
      name: slowShards > 0 ? "drain, \(slowShards) slow" : "drain", records: meter.records,
      recordBytes: bench.recordBytes, seconds: elapsed, durability: bench.durability)
    task.cancel()
    try await task.value
    await watcher.value
    report.shards = shards
    report.batchesPerSecond = (Double(meter.batches) / elapsed).rounded()
    report.greatestInFlight = meter.greatestInFlight
    report.firstDeliveryMilliseconds = meter.firstDelivery.map { ($0 - begun).inSeconds * 1_000 }
    return report
  }
}

/// Counts what a handler gets, and says when it is enough.
final class DrainMeter: Sendable {
  private struct State {
    var records = 0
    var batches = 0
    var inFlight = 0
    var greatestInFlight = 0
    var firstDelivery: ContinuousClock.Instant?
    var isDone = false
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let goal: Int
  private let state = Mutex(State())

  init(goal: Int) {
    self.goal = goal
  }

  var records: Int { state.withLock { $0.records } }
  var batches: Int { state.withLock { $0.batches } }
  var greatestInFlight: Int { state.withLock { $0.greatestInFlight } }
  var firstDelivery: ContinuousClock.Instant? { state.withLock { $0.firstDelivery } }

  func begin() {
    state.withLock { state in
      if state.firstDelivery == nil { state.firstDelivery = .now }
      state.inFlight += 1
      state.greatestInFlight = max(state.greatestInFlight, state.inFlight)
    }
  }

  func end(records: Int) {
    let isEnough = state.withLock { state in
      state.records += records
      state.batches += 1
      state.inFlight -= 1
      return state.records >= goal
    }
    if isEnough { finish() }
  }

  func finish() {
    let waiter = state.withLock { state in
      state.isDone = true
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  func wait() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if !state.isDone { state.waiter = continuation }
        return state.isDone
      }
      if isDone { continuation.resume() }
    }
  }
}
