/// Durations and sizes as they stand in a configuration: a whole number and a unit.
package enum Quantity {
  /// Reads `500ms`, `30s`, `5m`, `24h`, `7d`.
  package static func duration(_ text: String) -> Duration? {
    guard let (number, unit) = split(text), let milliseconds = durationUnits.first(where: { $0.0 == unit })?.1 else {
      return nil
    }
    let (product, overflow) = number.multipliedReportingOverflow(by: milliseconds)
    return overflow ? nil : .milliseconds(product)
  }

  /// Reads `512B`, `64KiB`, `256MiB`, `1GiB`, `1TiB`, and the decimal `kB`, `KB`, `MB`, `GB`, `TB`.
  static func size(_ text: String) -> Int64? {
    guard let (number, unit) = split(text), let bytes = sizeUnits.first(where: { $0.0 == unit })?.1 else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: bytes)
    return overflow ? nil : product
  }

  /// In the largest unit that leaves a whole number.
  static func text(_ duration: Duration) -> String {
    let milliseconds = duration.wholeMilliseconds
    guard milliseconds != 0 else { return "0s" }
    // Days only when they say more than hours: `24h` is how a retention is known.
    let units = durationUnits.filter { $0.0 != "d" || milliseconds >= 2 * $0.1 }
    let unit = units.last { milliseconds % $0.1 == 0 } ?? durationUnits[0]
    return "\(milliseconds / unit.1)\(unit.0)"
  }

  static func text(bytes: Int64) -> String {
    let binary = sizeUnits.filter { $0.0.hasSuffix("iB") || $0.0 == "B" }
    let unit = binary.last { bytes % $0.1 == 0 && bytes != 0 } ?? binary[0]
    return "\(bytes / unit.1)\(unit.0)"
  }

  private static let durationUnits: [(String, Int64)] = [
    ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
  ]
  private static let sizeUnits: [(String, Int64)] = [
    ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("kB", 1_000), ("KB", 1_000),
    ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
  ]

  private static func split(_ text: String) -> (Int64, String)? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int64(digits) else { return nil }
    return (number, String(text.dropFirst(digits.count).drop { $0 == " " }))
  }
}
