import CoreMetrics
import Synchronization

/// A number that only grows.
final class PrometheusCounter: CounterHandler {
  private let value = Atomic<Int64>(0)

  var current: Int64 { value.load(ordering: .relaxed) }

  func increment(by amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
  func reset() { value.store(0, ordering: .relaxed) }
}

/// A number with a fraction: one that grows, or one that goes both ways.
final class PrometheusGauge: FloatingPointCounterHandler, MeterHandler, RecorderHandler {
  private let bits = Atomic<UInt64>(0)

  var current: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

  func increment(by amount: Double) {
    bits.add(amount)
  }

  func decrement(by amount: Double) { increment(by: -amount) }
  func reset() { set(0.0) }
  func set(_ value: Int64) { set(Double(value)) }
  func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
  func record(_ value: Int64) { set(Double(value)) }
  func record(_ value: Double) { set(value) }
}

/// A distribution over fixed buckets. Recording finds the bucket and adds to three atomics.
final class PrometheusHistogram: RecorderHandler, TimerHandler {
  /// 1, 2.5 and 5 of each power of ten, from 100 µs to 500 s when the unit is a second.
  static let secondsBounds: [Double] = (-4...2).flatMap { power in
    [1, 2.5, 5].map { $0 * powerOfTen(power) }
  }
  /// The same from 1 to 5,000,000 for what is not a time: records, bytes.
  static let amountBounds: [Double] = (0...6).flatMap { power in
    [1, 2.5, 5].map { $0 * powerOfTen(power) }
  }

  private static let boundCount = 21

  let bounds: [Double]
  // One for each bound, and the last one for what is beyond.
  private let buckets: InlineArray<22, Atomic<UInt64>>
  private let sumBits = Atomic<UInt64>(0)

  init(bounds: [Double]) {
    precondition(bounds.count == Self.boundCount, "a histogram has \(Self.boundCount) bounds")
    self.bounds = bounds
    self.buckets = InlineArray { _ in Atomic(0) }
  }

  func record(_ value: Int64) { record(Double(value)) }

  func record(_ value: Double) {
    var position = 0
    while position < bounds.count && value > bounds[position] { position += 1 }
    buckets[position].wrappingAdd(1, ordering: .relaxed)
    sumBits.add(value)
  }

  func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

  /// The counts up to each bound, the count of all, and the sum. Read one after the other: values recorded meanwhile
  /// may be in one and not in another.
  var current: (cumulative: [UInt64], count: UInt64, sum: Double) {
    var total: UInt64 = 0
    var cumulative: [UInt64] = []
    for position in buckets.indices {
      total += buckets[position].load(ordering: .relaxed)
      if position < bounds.count { cumulative.append(total) }
    }
    return (cumulative, total, Double(bitPattern: sumBits.load(ordering: .relaxed)))
  }

  private static func powerOfTen(_ power: Int) -> Double {
    // Divided, not multiplied by a tenth, so that the bounds print as 0.001.
    let positive = (0..<abs(power)).reduce(1.0) { product, _ in product * 10 }
    return power < 0 ? 1 / positive : positive
  }
}

extension Atomic where Value == UInt64 {
  /// Adds to the number whose bits this holds.
  fileprivate func add(_ amount: Double) {
    var old = load(ordering: .relaxed)
    while true {
      let new = (Double(bitPattern: old) + amount).bitPattern
      let (exchanged, original) = weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
      if exchanged { return }
      old = original
    }
  }
}
