import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// One line of `bench --format json`. The names are a contract.
struct BenchReport: Encodable {
  var name: String
  var records: Int
  var recordBytes: Int
  var recordsPerSecond: Double
  var megabytesPerSecond: Double
  var p50Milliseconds: Double?
  var p99Milliseconds: Double?
  /// Puts that were refused for now, and made again.
  var refusedPuts: Int?
  /// Memory of the process without the mapped file.
  var residentBytes: Int
  var durability: String
  var shards: Int?
  var batchesPerSecond: Double?
  var greatestInFlight: Int?
  var cpuPercent: Double?
  /// Where a filter held some back: those that it let through.
  var deliveredRecords: Int?
  /// Records for each second of processor time that the process used.
  var recordsPerCoreSecond: Double?
  var firstDeliveryMilliseconds: Double?
  /// Megabytes of the events that records became.
  var eventMegabytesPerSecond: Double?

  init(name: String, records: Int, recordBytes: Int, seconds: Double, durability: BenchDurability) {
    self.name = name
    self.records = records
    self.recordBytes = recordBytes
    recordsPerSecond = (Double(records) / seconds).rounded()
    megabytesPerSecond = (Double(records * recordBytes) / seconds / 10_000).rounded() / 100
    residentBytes = ResidentMemory.bytes()
    self.durability = durability.rawValue
  }

  func print(isJSON: Bool) throws {
    if isJSON { return try printJSON(self) }
    var parts = ["\(name):", "\(Text.count(Int(recordsPerSecond))) records/s", "\(megabytesPerSecond) MB/s"]
    if let recordsPerCoreSecond { parts.append("\(Text.count(Int(recordsPerCoreSecond))) per second of a core") }
    if let deliveredRecords { parts.append("\(Text.count(deliveredRecords)) of \(Text.count(records)) let through") }
    if let batchesPerSecond { parts.append("\(Text.count(Int(batchesPerSecond))) batches/s") }
    if let greatestInFlight { parts.append("\(Text.count(greatestInFlight)) in flight") }
    if let p50Milliseconds, let p99Milliseconds {
      parts.append(String(format: "p50 %.3f ms, p99 %.3f ms", p50Milliseconds, p99Milliseconds))
    }
    if let refusedPuts { parts.append("\(Text.count(refusedPuts)) refused") }
    if let eventMegabytesPerSecond { parts.append("\(Text.count(Int(eventMegabytesPerSecond))) MB/s of events") }
    if let cpuPercent { parts.append(String(format: "%.1f %% of a core", cpuPercent)) }
    if let firstDeliveryMilliseconds {
      parts.append(String(format: "first delivery after %.0f ms", firstDeliveryMilliseconds))
    }
    parts.append("\(residentBytes >> 20) MiB resident")
    parts.append("durability \(durability)")
    Swift.print(parts.joined(separator: "  "))
  }
}

enum ResidentMemory {
  /// Anonymous memory of this process: what it allocated, without files that are mapped.
  static func bytes() -> Int {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
    for line in status.split(separator: "\n") where line.hasPrefix("RssAnon:") {
      return (Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0) * 1_024
    }
    return 0
  }
}

/// Sorted times and their quantiles.
struct Latencies {
  private let sorted: [Double]

  /// `nanoseconds` in any order; not empty.
  init(nanoseconds: [Int64]) {
    sorted = nanoseconds.map { Double($0) / 1_000_000 }.sorted()
  }

  func quantile(_ part: Double) -> Double { sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))] }
}

enum ProcessTime {
  /// User and system time of this process so far, in seconds.
  static func seconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let seconds = { (time: timeval) in Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }
}
