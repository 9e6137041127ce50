import Foundation

/// One line of `bench keys --format json`: what every bench tells, of the drains in which keys fail, and how they compare.
struct KeysReport: Encodable {
  private let run: KeyDrainRun
  private let bench: BenchOptions
  /// Rates of the other keys: with failing keys ÷ without, pair by pair.
  private(set) var ratio = Spread()
  private(set) var recordsPerSecond = Spread()
  private(set) var calmRecordsPerSecond = Spread()
  /// Processor time of a record of the other keys.
  private(set) var nanoseconds = Spread()
  private(set) var calmNanoseconds = Spread()
  private(set) var deliveries = Spread()
  private(set) var failedDeliveries = Spread()
  private(set) var parkedRecords = Spread()

  init(_ run: KeyDrainRun, _ bench: BenchOptions) {
    self.run = run
    self.bench = bench
  }

  mutating func add(calm: KeyDrainRun.Result, failing: KeyDrainRun.Result) {
    ratio.add(calm.seconds / failing.seconds)
    recordsPerSecond.add((Double(run.otherRecords) / failing.seconds).rounded())
    calmRecordsPerSecond.add((Double(run.otherRecords) / calm.seconds).rounded())
    nanoseconds.add(failing.processorSeconds / Double(run.otherRecords) * 1_000_000_000)
    calmNanoseconds.add(calm.processorSeconds / Double(run.otherRecords) * 1_000_000_000)
    deliveries.add(Double(failing.deliveries))
    failedDeliveries.add(Double(failing.failedDeliveries))
    parkedRecords.add(Double(failing.parkedRecords))
  }

  var name: String {
    var parts: [String] = []
    if run.decodes { parts.append("decoding") }
    if run.handlerMilliseconds > 0 { parts.append("\(run.handlerMilliseconds) ms") }
    return
      "keys, \(run.backlog.failingPercent) % failing, \(parts.isEmpty ? "no-op" : parts.joined(separator: ", ")) handler"
  }

  /// The line of every bench: records of the other keys.
  private var base: BenchReport {
    let seconds = Double(run.otherRecords) / max(1, recordsPerSecond.median)
    var report = BenchReport(
      name: name, records: run.otherRecords, recordBytes: bench.recordBytes, seconds: seconds,
      durability: bench.durability)
    report.shards = run.backlog.shards
    return report
  }

  private enum CodingKeys: String, CodingKey {
    case ratio, calmRecordsPerSecond, handlerMilliseconds, decodes, batchSize, keysPerShard, failingKeysPerShard,
      retryAttempts,
      answer, deliveries, failedDeliveries, parkedRecords, processorNanosecondsPerRecord,
      calmProcessorNanosecondsPerRecord
  }

  func encode(to encoder: any Encoder) throws {
    try base.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(ratio, forKey: .ratio)
    try container.encode(calmRecordsPerSecond.median, forKey: .calmRecordsPerSecond)
    try container.encode(run.handlerMilliseconds, forKey: .handlerMilliseconds)
    try container.encode(run.decodes, forKey: .decodes)
    try container.encode(run.batchSize, forKey: .batchSize)
    try container.encode(run.backlog.keys, forKey: .keysPerShard)
    try container.encode(run.backlog.failingKeys, forKey: .failingKeysPerShard)
    try container.encode(run.retryAttempts, forKey: .retryAttempts)
    try container.encode(run.answer.rawValue, forKey: .answer)
    try container.encode(nanoseconds.median.rounded(), forKey: .processorNanosecondsPerRecord)
    try container.encode(calmNanoseconds.median.rounded(), forKey: .calmProcessorNanosecondsPerRecord)
    try container.encode(Int(deliveries.median), forKey: .deliveries)
    try container.encode(Int(failedDeliveries.median), forKey: .failedDeliveries)
    try container.encode(Int(parkedRecords.median), forKey: .parkedRecords)
  }

  func print(isJSON: Bool) throws {
    if isJSON { return try printJSON(self) }
    Swift.print(
      """
      \(name):  the other keys at \(ratio.text) of their rate without failures  \
      \(Text.count(Int(recordsPerSecond.median))) records/s beside \
      \(Text.count(Int(calmRecordsPerSecond.median)))  \
      \(Text.count(Int(nanoseconds.median.rounded()))) ns of a core for each beside \
      \(Text.count(Int(calmNanoseconds.median.rounded())))  \
      \(Text.count(Int(failedDeliveries.median))) of \(Text.count(Int(deliveries.median))) deliveries failed  \
      \(Text.count(Int(parkedRecords.median))) records parked at the end  \(ratio.count) pairs
      """)
  }
}
