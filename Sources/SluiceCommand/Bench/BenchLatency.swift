import ArgumentParser
import Foundation
import Locks
import Logging
import Sluice
import StreamModel
import StreamRuntime
import StreamStore
import struct Synchronization.Atomic

struct BenchLatency: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "latency", abstract: "One put every millisecond: from the call of put to the start of the handler.",
    discussion: """
      Examples:
        sluice bench latency
        sluice bench latency --durability system --runs 5
        sluice bench latency --directory /mnt/fast --format json
      """)

  @Option(help: "Records of each run.") var records = 5_000
  @Option(help: "Shards.") var shards = 8
  @Option(help: "Milliseconds between two puts.") var every = 1
  @OptionGroup var bench: BenchOptions

  func run() async throws {
    var reports: [BenchReport] = []
    for run in 0...bench.runs {
      let report = try await measure()
      if run > 0 { reports.append(report) }
    }
    reports.sort { ($0.p50Milliseconds ?? 0) < ($1.p50Milliseconds ?? 0) }
    try reports[reports.count / 2].print(isJSON: bench.output.isJSON)
  }

  private func measure() async throws -> BenchReport {
    let place = try await BenchStore.make(bench, shards: shards)
    defer { place.remove() }
    let meter = DrainMeter(goal: records)
    let times = Mutex<[Int64]>([])
    var processor = StreamProcessor(store: place.store)
    processor.logger.logLevel = .error
    processor.map(EventSourceMapping(stream: BenchStore.stream, from: .trimHorizon)) { batch in
      let now = SystemClock.monotonic().nanoseconds
      for position in 0..<batch.count {
        let sent = batch[position].data.unsafeLoadUnaligned(as: Int64.self)
        times.withLock { $0.append(now - sent) }
      }
      meter.begin()
      meter.end(records: batch.count)
      return .succeeded
    }
    let running = processor
    let task = Task { try await running.run() }
    let begun = ContinuousClock.now
    try await produce(on: place)
    await meter.wait()
    let elapsed = (ContinuousClock.now - begun).inSeconds
    task.cancel()
    try await task.value
    var report = BenchReport(
      name: "latency", records: records, recordBytes: bench.recordBytes, seconds: elapsed,
      durability: bench.durability)
    let latencies = Latencies(nanoseconds: times.withLock { $0 })
    report.p50Milliseconds = latencies.quantile(0.5)
    report.p99Milliseconds = latencies.quantile(0.99)
    report.shards = shards
    return report
  }

  private func produce(on place: BenchStore) async throws {
    var data = [UInt8](repeating: 0, count: max(8, bench.recordBytes))
    let begun = ContinuousClock.now
    for position in 0..<records {
      try await Task.sleep(until: begun + .milliseconds(every * position), tolerance: .zero)
      let now = SystemClock.monotonic().nanoseconds
      withUnsafeBytes(of: now) { bytes in for offset in 0..<8 { data[offset] = bytes[offset] } }
      var request = AppendRequest(to: place.routing)
      try request.add(partitionKey: "key-\(position)", data: data.span.bytes)
      _ = try await place.store.append(request)
    }
  }
}

struct BenchIdle: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "idle", abstract: "What many lanes cost while little or nothing arrives.",
    discussion: """
      Examples:
        sluice bench idle
        sluice bench idle --shards 1000 --rate 1000
      """)

  @Option(help: "Shards.") var shards = 1_000
  @Option(help: "Records a second, spread over all shards. Zero: none.") var rate = 0
  @Option(help: "Seconds to watch.") var seconds = 10.0
  @OptionGroup var bench: BenchOptions

  func run() async throws {
    let place = try await BenchStore.make(bench, shards: shards)
    defer { place.remove() }
    let delivered = Atomic<Int>(0)
    var processor = StreamProcessor(store: place.store)
    processor.logger.logLevel = .error
    processor.map(EventSourceMapping(stream: BenchStore.stream, from: .trimHorizon)) { batch in
      delivered.add(batch.count, ordering: .relaxed)
      return .succeeded
    }
    let running = processor
    let task = Task { try await running.run() }
    // Past the opening of the lanes.
    try await Task.sleep(for: .seconds(1))
    let cpu = ProcessTime.seconds()
    let begun = ContinuousClock.now
    if rate == 0 {
      try await Task.sleep(for: .seconds(seconds))
    } else {
      try await produce(on: place)
    }
    let elapsed = (ContinuousClock.now - begun).inSeconds
    var report = BenchReport(
      name: "idle", records: delivered.load(ordering: .relaxed), recordBytes: bench.recordBytes, seconds: elapsed,
      durability: bench.durability)
    report.cpuPercent = (ProcessTime.seconds() - cpu) / elapsed * 100
    report.shards = shards
    task.cancel()
    try await task.value
    try report.print(isJSON: bench.output.isJSON)
  }

  private func produce(on place: BenchStore) async throws {
    let data = [UInt8](repeating: 0x61, count: bench.recordBytes)
    let begun = ContinuousClock.now
    let total = Int(Double(rate) * seconds)
    for position in 0..<total {
      try await Task.sleep(
        until: begun + .nanoseconds(Int64(position) * 1_000_000_000 / Int64(rate)), tolerance: .zero)
      var request = AppendRequest(to: place.routing)
      try request.add(
        partitionKey: "key", data: data.span.bytes,
        explicitHashKey: place.routing.shards[position % place.routing.shards.count].hashKeys.first)
      _ = try await place.store.append(request)
    }
  }
}
