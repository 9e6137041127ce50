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
        _ = try await place.store.append(request)
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
          throw Problem(refusal)
        }
        position += 1
      }
    }
    report.name += " into \(stream)"
    report.durability = "of the worker"
    return report
  }

  /// `makePut` makes for a producer what it does again and again: it returns when the records are acknowledged.
  private func measure(
    _ makePut: @Sendable @escaping (_ producer: Int) -> () async throws -> Void
  ) async throws -> BenchReport {
    let begun = ContinuousClock.now
    let end = begun + .seconds(seconds)
    let times = try await withThrowingTaskGroup(of: [Int64].self) { group in
      for producer in 0..<producers {
        group.addTask {
          let put = makePut(producer)
          var times: [Int64] = []
          while true {
            let begun = ContinuousClock.now
            if begun >= end { return times }
            try await put()
            times.append(Int64((ContinuousClock.now - begun).inSeconds * 1e9))
          }
        }
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
    return report
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
