import ArgumentParser
import Foundation
import StreamModel
import StreamStore

struct BenchPut: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "put", abstract: "Puts from several producers, each waiting for its acknowledgement.",
    discussion: """
      Examples:
        sluice bench put
        sluice bench put --producers 1 --records-per-put 1
        sluice bench put --records-per-put 10 --durability system --format json
      """)

  @Option(help: "Producers at the same time.") var producers = 8
  @Option(help: "Records in each put.") var recordsPerPut = 500
  @Option(help: "Shards.") var shards = 8
  @Option(help: "Seconds of each run.") var seconds = 3.0
  @OptionGroup var bench: BenchOptions

  func run() async throws {
    var results: [(rate: Double, report: BenchReport)] = []
    for run in 0...bench.runs {
      let report = try await measure()
      if run > 0 { results.append((report.recordsPerSecond, report)) }
    }
    results.sort { $0.rate < $1.rate }
    try results[results.count / 2].report.print(isJSON: bench.output.isJSON)
  }

  private func measure() async throws -> BenchReport {
    let place = try await BenchStore.make(bench, shards: shards)
    defer { place.remove() }
    let data = [UInt8](repeating: 0x61, count: bench.recordBytes)
    let begun = ContinuousClock.now
    let end = begun + .seconds(seconds)
    let times = try await withThrowingTaskGroup(of: [Int64].self) { group in
      for producer in 0..<producers {
        group.addTask { try await produce(producer, data: data, until: end, on: place) }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    let elapsed = (ContinuousClock.now - begun).inSeconds
    var report = BenchReport(
      name: "put \(producers) × \(recordsPerPut)", records: times.count * recordsPerPut,
      recordBytes: bench.recordBytes, seconds: elapsed, durability: bench.durability)
    let latencies = Latencies(nanoseconds: times)
    report.p50Milliseconds = latencies.quantile(0.5)
    report.p99Milliseconds = latencies.quantile(0.99)
    report.shards = shards
    return report
  }

  private func produce(
    _ producer: Int, data: [UInt8], until end: ContinuousClock.Instant, on place: BenchStore
  ) async throws -> [Int64] {
    // Keys are made beforehand: this measures the store, hashing included, not the making of strings.
    let keys = (0..<1_024).map { "producer-\(producer)-key-\($0)" }
    var times: [Int64] = []
    var position = 0
    while true {
      let begun = ContinuousClock.now
      if begun >= end { return times }
      var request = AppendRequest(to: place.routing)
      for _ in 0..<recordsPerPut {
        try request.add(partitionKey: keys[position & 1_023], data: data.span.bytes)
        position += 1
      }
      _ = try await place.store.append(request)
      times.append(Int64((ContinuousClock.now - begun).inSeconds * 1e9))
    }
  }
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
