import ArgumentParser
import Sluice

struct BenchDrain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Delivers a backlog to a native handler, with checkpoints.",
    discussion: """
      The backlog is put before the clock starts. With --handler-milliseconds the handler waits that long for each batch;
      with --slow-shards so many shards wait a second for each batch, and the rate is that of the others.

      --compare tells what such shards take from the others: pairs of drains, one calm and one with the troubled shards,
      once slow and once blocked by a handler that always fails. The warm-up is a pair too.

      Examples:
        sluice bench drain --records 5000000 --batch-size 500
        sluice bench drain --shards 100 --factor 10 --batch-size 10 --handler-milliseconds 10
        sluice bench drain --shards 64 --slow-shards 1 --compare --pairs 15
      """)

  @Option(help: "Records of the backlog.") var records = 5_000_000
  @Option(help: "Shards.") var shards = 8
  @Option(help: "BatchSize.") var batchSize = 500
  @Option(help: "ParallelizationFactor; above 1 each shard has 1,000 partition keys instead of one.") var factor = 1
  @Option(help: "How long the handler waits for each batch.") var handlerMilliseconds = 0
  @Option(help: "Shards whose handler takes longer.") var slowShards = 0
  @Option(help: "How much longer, for each batch.") var slowMilliseconds = 1_000
  @Flag(help: "Measure what the slow shards take from the others, and what blocked ones do.") var compare = false
  @Option(help: "Counted pairs of --compare.") var pairs = 9
  @OptionGroup var bench: BenchOptions

  func validate() throws {
    guard shards > 0, records >= shards else { throw ValidationError("--records is less than one for each shard.") }
    guard (0..<shards).contains(slowShards) else {
      throw ValidationError("--slow-shards is \(slowShards): allowed are 0 to one less than --shards, \(shards - 1).")
    }
    guard (1...10).contains(factor) else { throw ValidationError("--factor is \(factor): allowed are 1 to 10.") }
    if compare, slowShards == 0 { throw ValidationError("--compare needs --slow-shards 1 or more.") }
    if pairs < 1 { throw ValidationError("--pairs is \(pairs): allowed is 1 or more.") }
  }

  func run() async throws {
    let place = try await BenchStore.make(bench, shards: shards)
    defer { place.remove() }
    var progress = ProgressLine(isQuiet: bench.output.isJSON)
    try await place.fill(
      records: records, recordBytes: bench.recordBytes, keys: factor > 1 ? 1_000 : 1, progress: &progress)
    if compare {
      for trouble in [ShardTrouble.slow(milliseconds: slowMilliseconds), .blocked] {
        try await comparison(with: trouble, on: place).print(isJSON: bench.output.isJSON)
      }
    } else {
      try await median(on: place).print(isJSON: bench.output.isJSON)
    }
  }

  private func drain(_ name: String, _ trouble: ShardTrouble) -> DrainRun {
    DrainRun(
      mapping: name, records: records, shards: shards, batchSize: batchSize, factor: factor,
      handlerMilliseconds: handlerMilliseconds,
      troubledShards: slowShards, trouble: trouble)
  }

  // MARK: One drain after the other

  private func median(on place: BenchStore) async throws -> BenchReport {
    let trouble: ShardTrouble = slowShards > 0 ? .slow(milliseconds: slowMilliseconds) : .none
    var reports: [BenchReport] = []
    for run in 0...bench.runs {
      let result = try await drain("drain-\(run)", trouble).measure(on: place)
      if run > 0 { reports.append(report(result)) }
    }
    reports.sort { $0.recordsPerSecond < $1.recordsPerSecond }
    return reports[reports.count / 2]
  }

  private func report(_ result: DrainRun.Result) -> BenchReport {
    let meter = result.others
    let seconds = result.seconds(of: meter)
    var report = BenchReport(
      name: slowShards > 0 ? "drain, \(slowShards) slow" : "drain", records: meter.records,
      recordBytes: bench.recordBytes, seconds: seconds, durability: bench.durability)
    report.shards = shards
    report.batchesPerSecond = (Double(meter.batches) / seconds).rounded()
    report.greatestInFlight = result.all.greatestInFlight
    report.firstDeliveryMilliseconds = result.all.firstDelivery.map { ($0 - result.begun).inSeconds * 1_000 }
    return report
  }

  // MARK: Pairs

  /// The order within a pair changes from pair to pair, so that a machine that gets faster or slower favours neither.
  private func comparison(with trouble: ShardTrouble, on place: BenchStore) async throws -> DrainComparison {
    var comparison = DrainComparison(trouble: trouble, troubledShards: slowShards, shards: shards, records: records)
    for pair in 0...pairs {
      let calm: DrainRun.Result
      let troubled: DrainRun.Result
      if pair.isMultiple(of: 2) {
        calm = try await drain("\(trouble.word)-\(pair)-calm", .none).measure(on: place)
        troubled = try await drain("\(trouble.word)-\(pair)", trouble).measure(on: place)
      } else {
        troubled = try await drain("\(trouble.word)-\(pair)", trouble).measure(on: place)
        calm = try await drain("\(trouble.word)-\(pair)-calm", .none).measure(on: place)
      }
      if pair > 0 { comparison.add(calm: calm, troubled: troubled) }
    }
    return comparison
  }
}
