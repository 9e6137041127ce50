import Benchmark
import LambdaRuntime
import ShardCore
import ShardSimulation
import StreamModel

// Steps of the pure poller in the simulator's world, and the encoder of events for handlers in other processes.

/// 100 records of 256 B, as a handler gets them by default.
private func makeBatch() -> RecordBatch {
  var packed: [UInt8] = []
  let key = Array("N14228".utf8)
  let data = [UInt8](repeating: 0x61, count: 256)
  for _ in 0..<100 {
    key.withUnsafeBytes { keyBytes in
      data.withUnsafeBytes {
        RecordLayout.append(partitionKey: keyBytes, data: $0, explicitHashKey: nil, to: &packed)
      }
    }
  }
  var builder = RecordRunBuilder(firstIndex: .zero)
  let isWellFormed = packed.withUnsafeBytes {
    builder.append(packed: $0, recordCount: 100, firstArrival: WallTime(milliseconds: 1_700_000_000_000))
  }
  precondition(isWellFormed, "the benchmark packed these records itself")
  let origin = BatchOrigin(stream: "flights", shard: ShardNumber(0), shardCreatedAtSeconds: 1_700_000_000, attempt: 1)
  return RecordBatch(origin: origin, run: builder.finish(), range: 0..<100)
}

let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock, .cpuTotal, .throughput], maxDuration: .seconds(5), maxIterations: 1_000)

  Benchmark("simulate 100,000 steps of one world") { _ in
    blackHole(Simulation(seed: 42).run(steps: 100_000))
  }

  Benchmark("encode an event of 100 records of 256 B", configuration: .init(scalingFactor: .kilo)) { benchmark in
    let batch = makeBatch()
    let writer = EventWriter(identity: EventIdentity(), stream: "flights")
    var buffer = EventBuffer()
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations {
      buffer.removeAll()
      writer.write(batch, into: &buffer)
      blackHole(buffer.count)
    }
    benchmark.stopMeasurement()
  }
}
