import ArgumentParser
import Foundation
import Sluice
import StreamModel
import StreamStore

struct BenchPut: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "put", abstract: "Puts from several producers, each waiting for its acknowledgement.",
    discussion: """
      Without --stream it is a store of its own that is put into. With it, it is a stream of the worker that runs on \
      --data, over its port: --shards, --durability and --directory are then the worker's own. What is put stays there, \
      and the worker's handlers get it, so take a stream that is made for it.

      A put that is refused for now, because the store is overloaded or full, is counted as refused and made again a \
      moment later; what cannot be stored later either ends the test.

      Examples:
        sluice bench put
        sluice bench put --producers 1 --records-per-put 1
        sluice bench put --records-per-put 10 --durability system --format json
        sluice streams create load --shards 8 && sluice bench put --stream load
      """)

  @Option(help: "Producers at the same time.") var producers = 8
  @Option(help: "Records in each put.") var recordsPerPut = 500
  @Option(help: "Shards.") var shards = 8
  @Option(help: "Seconds of each run.") var seconds = 3.0
  @Option(help: "Put into this stream of a running worker.") var stream: String?
  @Option(name: .customLong("data"), help: "The data directory of that worker. Also: SLUICE_DATA.") var data: String?
  @OptionGroup var bench: BenchOptions

  func validate() throws {
    guard producers >= 1, recordsPerPut >= 1 else {
      throw ValidationError("--producers and --records-per-put are 1 or more.")
    }
    if data != nil, stream == nil { throw ValidationError("--data goes with --stream.") }
  }

  func run() async throws {
    var results: [BenchReport] = []
    for run in 0...bench.runs {
      let report = if let stream { try await measure(stream: stream) } else { try await measureOwnStore() }
      if run > 0 { results.append(report) }
    }
    results.sort { $0.recordsPerSecond < $1.recordsPerSecond }
    try results[results.count / 2].print(isJSON: bench.output.isJSON)
  }

  private func measureOwnStore() async throws -> BenchReport {
    let place = try await BenchStore.make(bench, shards: shards)
    defer { place.remove() }
    let data = [UInt8](repeating: 0x61, count: bench.recordBytes)
    var report = try await measure { producer in
      let keys = keys(of: producer)
      var position = 0
      return {
        var request = AppendRequest(to: place.routing)
        for _ in 0..<recordsPerPut {
          try request.add(partitionKey: keys[position % keys.count], data: data.span.bytes)
          position += 1
        }
        do {
          _ = try await place.store.append(request)
        } catch let error as StoreError {
          return OperatorRefusal(error)
        }
        return nil
      }
    }
    report.shards = shards
    return report
  }

  private func measure(stream: String) async throws -> BenchReport {
    let directory = DataOptions.directory(data)
    guard let worker = try Connection.worker(of: directory) else {
      throw Problem(
        Exit.notReachable, "No worker runs on \(directory). Start one with sluice run, or leave out --stream.")
    }
    var report = try await measure { producer in
      let bodies = bodies(of: producer)
      var position = 0
      return {
        if case .refused(let refusal) = await worker.put(bodies[position % bodies.count], into: stream) {
          return refusal
        }
        position += 1
        return nil
      }
    }
    report.name += " into \(stream)"
    report.durability = "of the worker"
    return report
  }

  /// What one producer has seen, or all of them.
  private struct Puts {
    /// Of those that were acknowledged, in nanoseconds.
    var times: [Int64] = []
    var refused = 0
    var lastRefusal: OperatorRefusal?

    static func += (sum: inout Puts, part: Puts) {
      sum.times += part.times
      sum.refused += part.refused
      sum.lastRefusal = sum.lastRefusal ?? part.lastRefusal
    }
  }

  /// So long a producer waits whose put was refused for now.
  private static let refusalWait = Duration.milliseconds(10)

  /// `makePut` makes for a producer what it does again and again: it returns when the records are acknowledged, or with
  /// why they are not.
  private func measure(
    _ makePut: @Sendable @escaping (_ producer: Int) -> () async throws -> OperatorRefusal?
  ) async throws -> BenchReport {
    let begun = ContinuousClock.now
    let end = begun + .seconds(seconds)
    let puts = try await withThrowingTaskGroup(of: Puts.self) { group in
      for producer in 0..<producers {
        group.addTask { try await putAgainAndAgain(until: end, makePut(producer)) }
      }
      return try await group.reduce(into: Puts()) { $0 += $1 }
    }
    let elapsed = (ContinuousClock.now - begun).inSeconds
    let times = puts.times
    guard !times.isEmpty else {
      guard let refusal = puts.lastRefusal else {
        throw Problem(Exit.wrongUsage, "--seconds is \(seconds): no put was acknowledged in that time. Give more.")
      }
      throw Problem(
        Problem(refusal).exitCode, "All \(Text.count(puts.refused)) puts were refused. The last: \(refusal.message)")
    }
    var report = BenchReport(
      name: "put \(producers) × \(recordsPerPut)", records: times.count * recordsPerPut,
      recordBytes: bench.recordBytes, seconds: elapsed, durability: bench.durability)
    let latencies = Latencies(nanoseconds: times)
    report.p50Milliseconds = latencies.quantile(0.5)
    report.p99Milliseconds = latencies.quantile(0.99)
    if puts.refused > 0 { report.refusedPuts = puts.refused }
    return report
  }

  private func putAgainAndAgain(
    until end: ContinuousClock.Instant, _ put: () async throws -> OperatorRefusal?
  ) async throws -> Puts {
    var puts = Puts()
    while true {
      let begun = ContinuousClock.now
      if begun >= end { return puts }
      guard let refusal = try await put() else {
        puts.times.append(Int64((ContinuousClock.now - begun).inSeconds * 1e9))
        continue
      }
      guard refusal.reason == .tryAgain else {
        let acknowledged = Text.count(puts.times.count)
        throw Problem(
          Problem(refusal).exitCode, "\(refusal.message)\n\(acknowledged) puts of this producer were stored before it.")
      }
      puts.refused += 1
      puts.lastRefusal = refusal
      try await Task.sleep(for: Self.refusalWait)
    }
  }

  // Made beforehand: this measures the store, hashing included, not the making of strings.

  private func keys(of producer: Int) -> [String] { (0..<1_024).map { "producer-\(producer)-key-\($0)" } }

  /// Packed records of puts whose keys are all of the producer's in turn.
  private func bodies(of producer: Int) -> [[UInt8]] {
    let keys = keys(of: producer)
    let data = [UInt8](repeating: 0x61, count: bench.recordBytes)
    return stride(from: 0, to: keys.count, by: recordsPerPut).map { first in
      var packed: [UInt8] = []
      for position in first..<(first + recordsPerPut) {
        var key = keys[position % keys.count]
        key.withUTF8 { key in
          data.withUnsafeBytes { data in
            RecordLayout.append(
              partitionKey: UnsafeRawBufferPointer(key), data: data, explicitHashKey: nil, to: &packed)
          }
        }
      }
      return packed
    }
  }
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
