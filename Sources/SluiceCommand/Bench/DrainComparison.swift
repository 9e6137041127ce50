import Foundation

/// What troubled shards take from the others: the ratios of paired drains.
struct DrainComparison: Encodable {
  let name: String
  let shards: Int
  let records: Int
  /// The rate of the others beside the troubled shards ÷ their rate in the calm drain of the same pair, where those
  /// shards were drained too and took their share of the machine.
  private(set) var othersRatio = Spread()
  /// The rate of the others beside the troubled shards ÷ the rate of all shards in the calm drain: 1 when the others
  /// have the whole machine to themselves. The stricter one.
  private(set) var machineRatio = Spread()
  /// Records a second of the others beside the troubled shards.
  private(set) var othersRecordsPerSecond = Spread()

  init(trouble: ShardTrouble, troubledShards: Int, shards: Int, records: Int) {
    name = "drain, \(troubledShards) of \(shards) \(trouble.word)"
    self.shards = shards
    self.records = records
  }

  mutating func add(calm: DrainRun.Result, troubled: DrainRun.Result) {
    let rate = troubled.rate(of: troubled.others)
    othersRatio.add(rate / calm.rate(of: calm.others))
    machineRatio.add(rate / calm.rate(of: calm.all))
    othersRecordsPerSecond.add(rate.rounded())
  }

  func print(isJSON: Bool) throws {
    if isJSON { return try printJSON(self) }
    Swift.print(
      """
      \(name):  the others at \(othersRatio.text) of their rate without it, \
      \(machineRatio.text) of the rate of all shards  \
      \(Text.count(Int(othersRecordsPerSecond.median))) records/s  \(othersRatio.count) pairs
      """)
  }
}

/// Repeated measurements of one thing: their median, and how far they lie apart.
struct Spread: Encodable {
  private var sorted: [Double] = []

  var count: Int { sorted.count }
  var median: Double { quantile(0.5) }
  var least: Double { quantile(0) }
  var greatest: Double { quantile(1) }

  mutating func add(_ value: Double) {
    sorted.insert(value, at: sorted.firstIndex { $0 > value } ?? sorted.count)
  }

  /// Between two measurements in proportion; `nan` without any.
  func quantile(_ part: Double) -> Double {
    guard let last = sorted.last else { return .nan }
    let position = Double(sorted.count - 1) * part
    let below = Int(position)
    guard below + 1 < sorted.count else { return last }
    return sorted[below] + (sorted[below + 1] - sorted[below]) * (position - Double(below))
  }

  /// The median and the middle half: `0.996 (0.981–1.010)`.
  var text: String { String(format: "%.3f (%.3f–%.3f)", median, quantile(0.25), quantile(0.75)) }

  private enum CodingKeys: String, CodingKey {
    case count, least, lowerQuartile, median, upperQuartile, greatest
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(count, forKey: .count)
    try container.encode(least, forKey: .least)
    try container.encode(quantile(0.25), forKey: .lowerQuartile)
    try container.encode(median, forKey: .median)
    try container.encode(quantile(0.75), forKey: .upperQuartile)
    try container.encode(greatest, forKey: .greatest)
  }
}
