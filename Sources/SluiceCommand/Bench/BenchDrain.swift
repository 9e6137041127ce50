import ArgumentParser
import EventPattern
import Sluice

struct BenchDrain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Delivers a backlog to a native handler, with checkpoints.",
    discussion: """
      The backlog is put before the clock starts. With --handler-milliseconds the handler waits that long for each batch;
      with --slow-shards so many shards wait a second for each batch, and the rate is that of the others.

      With --lines the records hold the lines of a file, each in turn and again from the first. With --filter the mapping
      has that filter pattern: the rate is that of all records, also of those that it holds back, and the clock stops when
      the last that it lets through is processed. With --count-batches the handler is a transactional one, which counts its
      batches in a table: one entry for each lane, written with each checkpoint.

      --compare tells what such shards take from the others: pairs of drains, one calm and one with the troubled shards,
      once slow and once blocked by a handler that always fails. The warm-up is a pair too.

      Examples:
        sluice bench drain --records 5000000 --batch-size 500
        sluice bench drain --shards 100 --factor 10 --batch-size 10 --handler-milliseconds 10
        sluice bench drain --lines Examples/flights/flights-sample.ndjson --filter '{"data":{"carrier":["UA"]}}'
        sluice bench drain --shards 64 --slow-shards 1 --compare --pairs 15
      """)

  @Option(help: "Records of the backlog.") var records = 5_000_000
  @Option(help: "Shards.") var shards = 8
  @Option(help: "BatchSize.") var batchSize = 500
  @Option(help: "ParallelizationFactor; above 1 each shard has 1,000 partition keys instead of one.") var factor = 1
  @Option(help: "A file whose lines are the data of the records, instead of --record-bytes.") var lines: String?
  @Option(help: "A filter pattern: JSON, or a file with it. Needs --lines.") var filter: String?
  @Flag(help: "The handler counts its batches in a table of its own.") var countBatches = false
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
    if filter != nil, lines == nil {
      throw ValidationError("--filter needs --lines: the data of the records is not JSON without it.")
    }
    if slowShards > 0, filter != nil || countBatches {
      throw ValidationError("--slow-shards goes neither with --filter nor with --count-batches.")
    }
    if pairs < 1 { throw ValidationError("--pairs is \(pairs): allowed is 1 or more.") }
  }

  func run() async throws {
    let lines = try lines.map { try LineBacklog(path: $0) }
    let filtering = try filter.map { try Filtering($0, lines, records) }
    let place = try await BenchStore.make(bench, shards: shards)
    defer { place.remove() }
    var progress = ProgressLine(isQuiet: bench.output.isJSON)
    let keys = factor > 1 ? 1_000 : 1
    if let lines {
      try await place.fill(records: records, lines: lines, keys: keys, progress: &progress)
    } else {
      try await place.fill(records: records, recordBytes: bench.recordBytes, keys: keys, progress: &progress)
    }
    if compare {
      for trouble in [ShardTrouble.slow(milliseconds: slowMilliseconds), .blocked] {
        try await comparison(with: trouble, on: place).print(isJSON: bench.output.isJSON)
      }
    } else {
      try await median(on: place, recordBytes: lines?.meanByteCount ?? bench.recordBytes, filtering)
        .print(isJSON: bench.output.isJSON)
    }
  }

  /// A filter, and how many of the records it lets through.
  private struct Filtering {
    var filter: EventFilter
    var passingRecords: Int

    init(_ pattern: String, _ lines: LineBacklog?, _ records: Int) throws {
      filter = try InlineOrFile.filter(pattern, source: .kinesis)
      passingRecords = lines?.count(of: records, passing: filter) ?? 0
      guard passingRecords > 0 else {
        throw Problem(Exit.badInput, "the pattern lets no line through: nothing would be delivered")
      }
    }
  }

  private func drain(_ name: String, _ trouble: ShardTrouble, _ filtering: Filtering? = nil) -> DrainRun {
    DrainRun(
      mapping: name, records: records, shards: shards, batchSize: batchSize, factor: factor,
      handlerMilliseconds: handlerMilliseconds, filter: filtering?.filter,
      passingRecords: filtering?.passingRecords, countsBatches: countBatches, troubledShards: slowShards,
      trouble: trouble)
  }

  // MARK: One drain after the other

  private func median(
    on place: BenchStore, recordBytes: Int, _ filtering: Filtering?
  ) async throws -> BenchReport {
    let trouble: ShardTrouble = slowShards > 0 ? .slow(milliseconds: slowMilliseconds) : .none
    var reports: [BenchReport] = []
    for run in 0...bench.runs {
      let result = try await drain("drain-\(run)", trouble, filtering).measure(on: place)
      if run > 0 { reports.append(report(result, recordBytes: recordBytes)) }
    }
    reports.sort { $0.recordsPerSecond < $1.recordsPerSecond }
    return reports[reports.count / 2]
  }

  private var name: String {
    var parts = ["drain"]
    if slowShards > 0 { parts.append("\(slowShards) slow") }
    if filter != nil { parts.append("filtered") }
    if countBatches { parts.append("transactional handler") }
    return parts.joined(separator: ", ")
  }

  private func report(_ result: DrainRun.Result, recordBytes: Int) -> BenchReport {
    let meter = result.others
    let seconds = result.seconds(of: meter)
    // What a filter holds back is read and judged like the rest.
    let looked = filter == nil ? meter.records : records
    var report = BenchReport(
      name: name, records: looked, recordBytes: recordBytes, seconds: seconds, durability: bench.durability)
    report.shards = shards
    report.residentBytes = result.greatestResidentBytes
    report.recordsPerCoreSecond = (Double(looked) / result.processorSeconds).rounded()
    if filter != nil { report.deliveredRecords = meter.records }
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
