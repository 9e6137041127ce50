import ArgumentParser
import Sluice

struct BenchKeys: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys", abstract: "What failing keys take from the others in a mapping that blocks by key.",
    discussion: """
      Pairs of drains of the same backlog, put before the clock starts: a calm one, in which nothing fails, and one in which
      so many of the keys always fail. The handler looks at the key of every record in both. It names the first record
      that fails, or with --answer throws fails the batch as a whole. What fails is tried again by the settings of a
      mapping that sets none: after 250 ms, doubling up to 60 s, until --retry-attempts are used up; then the record leaves
      as a failure entry and the next one of its key fails.

      The clock stops when the records of all other keys are processed. A drain of the calm pair is asked for the same
      records. Measured twice: with a handler that does nothing else, and with one that waits for each batch; with --decode
      both decode the data of each record, a JSON document, with Foundation's decoder.

      Examples:
        sluice bench keys
        sluice bench keys --decode --handler-milliseconds 0
        sluice bench keys --records 2000000 --failing-percent 10 --handler-milliseconds 0,1 --format json
      """)

  @Option(help: "Records of the backlog.") var records = 5_000_000
  @Option(help: "Shards.") var shards = 8
  @Option(help: "BatchSize.") var batchSize = 500
  @Option(help: "Partition keys of each shard.") var keys = 1_000
  @Option(help: "How many of them fail, 1 to 90 in a hundred.") var failingPercent = 10
  @Option(help: "MaximumRetryAttempts.") var retryAttempts = 10
  @Option(help: "How long the handler waits for each batch; several are measured one after the other.")
  var handlerMilliseconds: MillisecondList = [0, 1]
  @Flag(help: "The handler decodes the data of each record.") var decode = false
  @Option(help: "names or throws: how the handler says that a record fails.") var answer: FailureAnswer = .names
  @Option(help: "Counted pairs.") var pairs = 5
  @OptionGroup var bench: BenchOptions

  func validate() throws {
    guard shards > 0, records >= shards else { throw ValidationError("--records is less than one for each shard.") }
    guard (1...10_000).contains(batchSize) else {
      throw ValidationError("--batch-size is \(batchSize): allowed are 1 to 10,000.")
    }
    guard (1...90).contains(failingPercent) else {
      throw ValidationError("--failing-percent is \(failingPercent): allowed are 1 to 90.")
    }
    guard keys >= 1, backlog.failingKeys >= 1 else {
      throw ValidationError("--keys is \(keys): \(failingPercent) % of them are less than one key.")
    }
    guard backlog.failingKeys <= EventSourceMapping.Blocking.keyLimits.upperBound else {
      throw ValidationError("--keys is \(keys): at most 10,000 keys of a shard may be parked.")
    }
    guard (0...10_000).contains(retryAttempts) else {
      throw ValidationError("--retry-attempts is \(retryAttempts): allowed are 0 to 10,000.")
    }
    if decode, bench.recordBytes < DecodedData.leastByteCount {
      throw ValidationError(
        "--record-bytes is \(bench.recordBytes): with --decode allowed is \(DecodedData.leastByteCount) or more.")
    }
    if pairs < 1 { throw ValidationError("--pairs is \(pairs): allowed is 1 or more.") }
  }

  private var backlog: KeyBacklog {
    KeyBacklog(records: records, shards: shards, keys: keys, failingPercent: failingPercent)
  }

  func run() async throws {
    let place = try await BenchStore.make(bench, shards: shards)
    defer { place.remove() }
    var progress = ProgressLine(isQuiet: bench.output.isJSON)
    let backlog = backlog
    try await place.fill(
      records: records, recordBytes: bench.recordBytes,
      data: decode ? DecodedData.document(byteCount: bench.recordBytes) : nil, progress: &progress,
      key: backlog.key(at:))
    let otherRecords = (0..<records).count { !backlog.fails(at: $0 / shards) }
    for milliseconds in handlerMilliseconds.values {
      try await compare(milliseconds, backlog, otherRecords, on: place).print(isJSON: bench.output.isJSON)
    }
  }

  /// The order within a pair changes from pair to pair, so that a machine that gets faster or slower favours neither.
  private func compare(
    _ milliseconds: Int, _ backlog: KeyBacklog, _ otherRecords: Int, on place: BenchStore
  ) async throws -> KeysReport {
    let run = KeyDrainRun(
      batchSize: batchSize, decodes: decode, handlerMilliseconds: milliseconds, retryAttempts: retryAttempts,
      answer: answer,
      backlog: backlog, otherRecords: otherRecords)
    var report = KeysReport(run, bench)
    for pair in 0...pairs {
      let name = "keys-\(milliseconds)-\(pair)"
      let calmIsFirst = pair.isMultiple(of: 2)
      let first = try await run.measure(on: place, "\(name)-1", keysFail: !calmIsFirst)
      let second = try await run.measure(on: place, "\(name)-2", keysFail: calmIsFirst)
      if pair > 0 { report.add(calm: calmIsFirst ? first : second, failing: calmIsFirst ? second : first) }
    }
    return report
  }
}

/// How a handler says that a record fails.
enum FailureAnswer: String, ExpressibleByArgument, CaseIterable {
  /// As `ReportBatchItemFailures` does: by its sequence number.
  case names
  /// The batch fails as a whole, and is taken apart until the record is known.
  case throwsError = "throws"
}

/// Whole milliseconds, separated by commas.
struct MillisecondList: ExpressibleByArgument, ExpressibleByArrayLiteral {
  var values: [Int]

  init(arrayLiteral values: Int...) { self.values = values }

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    values = parts.compactMap { $0 }
    guard values.count == parts.count, values.allSatisfy({ (0...60_000).contains($0) }) else { return nil }
  }

  var defaultValueDescription: String { values.map { "\($0)" }.joined(separator: ",") }
}
