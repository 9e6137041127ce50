internal import StreamModel

/// Moments as other programs write them.
enum MomentReading {
  /// What a number counts.
  enum Unit: Int64 {
    case seconds = 1_000_000
    case milliseconds = 1_000
    case microseconds = 1
  }

  /// A number since 1970 in the unit, or a text as ``calendar(_:)`` takes it.
  static func moment(
    _ node: JSONNode, of bytes: [UInt8], named name: String, unit: Unit
  ) throws(LineFault) -> WallTime {
    switch node.value {
    case .number:
      guard let time = number(bytes[node.range], unit: unit) else { break }
      return time
    case .text(let text):
      guard let time = calendar(text[...]) else { break }
      return time
    default: break
    }
    let text = String(decoding: bytes[node.range].prefix(60), as: UTF8.self)
    throw LineFault(
      "\(name) is \(text): write a time such as 2026-11-21T08:00:00Z, or a number since 1970", at: node.range.lowerBound
    )
  }

  /// Whole numbers and those with a fraction or an exponent, as `1.789651658E9`.
  static func number(_ text: ArraySlice<UInt8>, unit: Unit) -> WallTime? {
    let text = String(decoding: text, as: UTF8.self)
    if let whole = Int64(text) {
      let (microseconds, overflow) = whole.multipliedReportingOverflow(by: unit.rawValue)
      return overflow ? nil : WallTime(milliseconds: floored(microseconds))
    }
    guard let value = Double(text) else { return nil }
    let milliseconds = (value * Double(unit.rawValue) / 1_000).rounded()
    guard abs(milliseconds) < 9e15 else { return nil }
    return WallTime(milliseconds: Int64(milliseconds))
  }

  private static func floored(_ microseconds: Int64) -> Int64 {
    let (quotient, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000)
    return rest < 0 ? quotient - 1 : quotient
  }

  /// `2026-11-21T08:00:00Z`, also with a space for the T, a fraction of the second, an offset such as `+01:00`, without
  /// seconds, or as a date alone. Without a zone it is UTC.
  static func calendar(_ text: ArraySlice<UInt8>) -> WallTime? {
    var reader = Digits(text: text)
    guard let year = reader.number(4), reader.pass("-"), let month = reader.number(2), (1...12).contains(month),
      reader.pass("-"), let day = reader.number(2), day >= 1, day <= dayCount(year, month)
    else { return nil }
    var milliseconds = days(year, month, day) * 86_400_000
    guard !reader.isAtEnd else { return WallTime(milliseconds: milliseconds) }
    guard reader.pass("T") || reader.pass("t") || reader.pass(" "), let hour = reader.number(2), hour < 24,
      reader.pass(":"), let minute = reader.number(2), minute < 60
    else { return nil }
    milliseconds += hour * 3_600_000 + minute * 60_000
    if reader.pass(":") {
      guard let second = reader.number(2), second <= 60 else { return nil }
      milliseconds += second * 1_000
      if reader.pass(".") || reader.pass(",") {
        guard let fraction = reader.fraction() else { return nil }
        milliseconds += fraction
      }
    }
    if reader.pass("Z") || reader.pass("z") || reader.isAtEnd {
      return reader.isAtEnd ? WallTime(milliseconds: milliseconds) : nil
    }
    let isWest = reader.pass("-")
    guard isWest || reader.pass("+"), let hours = reader.number(2), hours < 24 else { return nil }
    _ = reader.pass(":")
    guard let minutes = reader.isAtEnd ? 0 : reader.number(2), minutes < 60, reader.isAtEnd else { return nil }
    let offset = (hours * 60 + minutes) * 60_000
    return WallTime(milliseconds: isWest ? milliseconds + offset : milliseconds - offset)
  }

  private static func dayCount(_ year: Int64, _ month: Int64) -> Int64 {
    let isLeap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0
    return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
  }

  /// Days since 1970-01-01: years begin in March, so that the leap day is the last of its year.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private struct Digits {
    var text: ArraySlice<UInt8>

    var isAtEnd: Bool { text.isEmpty }

    mutating func pass(_ character: Unicode.Scalar) -> Bool {
      guard text.first == UInt8(ascii: character) else { return false }
      text.removeFirst()
      return true
    }

    mutating func number(_ count: Int) -> Int64? {
      guard text.count >= count, text.prefix(count).allSatisfy({ (48...57).contains($0) }) else { return nil }
      defer { text = text.dropFirst(count) }
      return text.prefix(count).reduce(0) { $0 * 10 + Int64($1 - 48) }
    }

    /// Of a second, as whole milliseconds.
    mutating func fraction() -> Int64? {
      let digits = text.prefix { (48...57).contains($0) }
      guard !digits.isEmpty else { return nil }
      text = text[digits.endIndex...]
      let three = digits.prefix(3).map { Int64($0 - 48) } + [0, 0]
      return three[0] * 100 + three[1] * 10 + three[2]
    }
  }
}
