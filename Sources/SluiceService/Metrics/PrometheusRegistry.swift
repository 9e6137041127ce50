public import CoreMetrics
import Locks

/// Takes in what swift-metrics reports and shows it as Prometheus text (exposition format 0.0.4).
///
/// | swift-metrics | Prometheus |
/// | --- | --- |
/// | counter, floating point counter | counter, under its own name: the mappings' metrics are AWS's |
/// | meter, recorder that does not aggregate | gauge |
/// | recorder that aggregates | histogram |
/// | timer | histogram in seconds, `_seconds` |
///
/// Asking for a metric takes a lock; keep it. Recording takes none.
public final class PrometheusRegistry: MetricsFactory {
  /// Series of one metric at most. Further label values share the one series whose labels all read `other`.
  public static let seriesLimit = 1_000

  private let families = Mutex<[String: Family]>([:])

  private struct Family {
    var kind: Kind
    var series: [[Label]: Series] = [:]
  }

  private enum Kind: String {
    case counter, gauge, histogram
    /// A counter with a fraction. Apart from the others, so that each kind has one type of series.
    case total

    var typeName: String { self == .total ? "counter" : rawValue }
  }

  private enum Series {
    case counter(PrometheusCounter)
    case total(PrometheusGauge)
    case gauge(PrometheusGauge)
    case histogram(PrometheusHistogram)
  }

  private struct Label: Hashable, Comparable {
    var name: String
    var value: String

    static func < (left: Label, right: Label) -> Bool { (left.name, left.value) < (right.name, right.value) }
  }

  public init() {}

  // MARK: MetricsFactory

  public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    let series = series(label, suffix: "", .counter, dimensions) { .counter(PrometheusCounter()) }
    guard case .counter(let counter) = series else { return PrometheusCounter() }
    return counter
  }

  public func makeFloatingPointCounter(
    label: String, dimensions: [(String, String)]
  ) -> any FloatingPointCounterHandler {
    let series = series(label, suffix: "", .total, dimensions) { .total(PrometheusGauge()) }
    guard case .total(let total) = series else { return PrometheusGauge() }
    return total
  }

  public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    gauge(label, dimensions)
  }

  public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
    guard aggregate else { return gauge(label, dimensions) }
    return histogram(label, suffix: "", dimensions, bounds: PrometheusHistogram.amountBounds)
  }

  public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    histogram(label, suffix: "_seconds", dimensions, bounds: PrometheusHistogram.secondsBounds)
  }

  // A series keeps its value when the one that recorded it goes: its counter must not start again from zero.
  public func destroyCounter(_ handler: any CounterHandler) {}
  public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
  public func destroyMeter(_ handler: any MeterHandler) {}
  public func destroyRecorder(_ handler: any RecorderHandler) {}
  public func destroyTimer(_ handler: any TimerHandler) {}

  // MARK: Exposition

  /// All metrics, ordered by name and labels.
  public func render() -> String {
    let families = self.families.withLock { $0 }
    var text = ""
    for (name, family) in families.sorted(by: { $0.key < $1.key }) {
      text += "# TYPE \(name) \(family.kind.typeName)\n"
      for (labels, series) in family.series.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
        Self.render(series, name: name, labels: labels, to: &text)
      }
    }
    return text
  }

  private static func render(_ series: Series, name: String, labels: [Label], to text: inout String) {
    switch series {
    case .counter(let counter): text += "\(name)\(braces(labels)) \(counter.current)\n"
    case .total(let gauge), .gauge(let gauge): text += "\(name)\(braces(labels)) \(number(gauge.current))\n"
    case .histogram(let histogram):
      let current = histogram.current
      for (bound, count) in zip(histogram.bounds, current.cumulative) {
        text += "\(name)_bucket\(braces(labels + [Label(name: "le", value: number(bound))])) \(count)\n"
      }
      text += "\(name)_bucket\(braces(labels + [Label(name: "le", value: "+Inf")])) \(current.count)\n"
      text += "\(name)_sum\(braces(labels)) \(number(current.sum))\n"
      text += "\(name)_count\(braces(labels)) \(current.count)\n"
    }
  }

  private static func braces(_ labels: [Label]) -> String {
    guard !labels.isEmpty else { return "" }
    return "{" + labels.map { "\($0.name)=\"\(escaped($0.value))\"" }.joined(separator: ",") + "}"
  }

  private static func escaped(_ value: String) -> String {
    var result = ""
    for character in value.unicodeScalars {
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  /// Whole numbers without a fraction.
  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return Int64(exactly: value).map(String.init) ?? "\(value)"
  }

  // MARK: Series

  private func gauge(_ label: String, _ dimensions: [(String, String)]) -> PrometheusGauge {
    let series = series(label, suffix: "", .gauge, dimensions) { .gauge(PrometheusGauge()) }
    guard case .gauge(let gauge) = series else { return PrometheusGauge() }
    return gauge
  }

  private func histogram(
    _ label: String, suffix: String, _ dimensions: [(String, String)], bounds: [Double]
  ) -> PrometheusHistogram {
    let series = series(label, suffix: suffix, .histogram, dimensions) {
      .histogram(PrometheusHistogram(bounds: bounds))
    }
    guard case .histogram(let histogram) = series else { return PrometheusHistogram(bounds: bounds) }
    return histogram
  }

  /// The series of a metric for these labels. A name that is already used for another kind gets a suffix that says so:
  /// two kinds under one name would make the whole page unreadable.
  private func series(
    _ label: String, suffix: String, _ kind: Kind, _ dimensions: [(String, String)], make: () -> Series
  ) -> Series {
    var name = Self.name(label)
    if !name.hasSuffix(suffix) { name += suffix }
    let labels = dimensions.map { Label(name: Self.name($0.0), value: $0.1) }.sorted()
    return families.withLock { families in
      if let family = families[name], family.kind != kind { name += "_\(kind.rawValue)" }
      var family = families[name] ?? Family(kind: kind)
      var key = labels
      if family.series[key] == nil, family.series.count >= Self.seriesLimit {
        for position in key.indices { key[position].value = "other" }
      }
      if let series = family.series[key] { return series }
      let series = make()
      family.series[key] = series
      families[name] = family
      return series
    }
  }

  /// Letters, digits and underscores; anything else becomes an underscore.
  private static func name(_ label: String) -> String {
    let characters = label.unicodeScalars.map { scalar -> Character in
      let isAllowed = scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
      return isAllowed ? Character(scalar) : "_"
    }
    let name = String(characters)
    return name.first?.isNumber ?? true ? "_" + name : name
  }
}
