import Benchmark
import EventPattern
import LambdaRuntime
import ShardCore
import ShardSimulation
import StreamModel

// Steps of the pure poller in the simulator's world, the encoder of events for handlers in other processes, and filter
// patterns.

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
  return batch(packed, count: 100)
}

private func batch(_ packed: [UInt8], count: Int) -> RecordBatch {
  var builder = RecordRunBuilder(firstIndex: .zero)
  let isWellFormed = packed.withUnsafeBytes {
    builder.append(packed: $0, recordCount: count, firstArrival: WallTime(milliseconds: 1_700_000_000_000))
  }
  precondition(isWellFormed, "the benchmark packed these records itself")
  let origin = BatchOrigin(stream: "flights", shard: ShardNumber(0), shardCreatedAtSeconds: 1_700_000_000, attempt: 1)
  return RecordBatch(origin: origin, run: builder.finish(), range: 0..<count)
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

  for (name, patterns) in filters {
    Benchmark(
      "filter a flight of 256 B: \(name)",
      configuration: .init(
        metrics: [.wallClock, .mallocCountTotal, .throughput], scalingFactor: .mega, maxDuration: .seconds(5))
    ) { benchmark in
      let batch = makeFlights()
      var matcher = EventMatcher(try EventFilter(patterns, source: .kinesis))
      var passed = 0
      benchmark.startMeasurement()
      for iteration in benchmark.scaledIterations where matcher.verdict(on: batch[iteration % batch.count]).passes {
        passed += 1
      }
      benchmark.stopMeasurement()
      blackHole(passed)
    }
  }
}

/// Patterns as people write them, by what they ask for.
private let filters = [
  ("the carrier", [#"{"data":{"carrier":["UA"]}}"#]),
  ("carrier and delay", [#"{"data":{"carrier":["UA","DL"],"dep_delay":[{"numeric":[">",30]}]}}"#]),
  ("the partition key", [#"{"partitionKey":["N14228"]}"#]),
  ("five patterns", (0..<5).map { #"{"data":{"carrier":["\#($0)A"],"dest":["IAH","X\#($0)"]}}"# }),
]

/// 100 flights of January 2013, filled up with spaces to 256 B.
private func makeFlights() -> RecordBatch {
  let carriers = ["UA", "AA", "B6", "DL", "EV"]
  var packed: [UInt8] = []
  for number in 0..<100 {
    let flight =
      #"{"year":2013,"month":1,"day":1,"dep_time":\#(517 + number),"sched_dep_time":515,"dep_delay":\#(number % 60),"#
      + #""arr_time":830,"sched_arr_time":819,"arr_delay":11,"flight":\#(1500 + number),"air_time":227,"#
      + #""distance":1400,"carrier":"\#(carriers[number % 5])","tailnum":"N14228","origin":"EWR","dest":"IAH"}"#
    let data = Array(flight.utf8) + [UInt8](repeating: 0x20, count: 256 - flight.utf8.count)
    Array("N14228".utf8).withUnsafeBytes { key in
      data.withUnsafeBytes { RecordLayout.append(partitionKey: key, data: $0, explicitHashKey: nil, to: &packed) }
    }
  }
  return batch(packed, count: 100)
}
