/// A moment in the calendar of UTC, as events, failure documents and object keys write it.
public struct CalendarTime: Hashable, Sendable {
  public var year: Int
  public var month: Int
  public var day: Int
  public var hour: Int
  public var minute: Int
  public var second: Int
  public var millisecond: Int

  public init(_ moment: WallTime) {
    let (days, rest) = Self.floored(moment.milliseconds, by: 86_400_000)
    (hour, minute) = (Int(rest / 3_600_000), Int(rest / 60_000 % 60))
    (second, millisecond) = (Int(rest / 1_000 % 60), Int(rest % 1_000))
    // Days since 0000-03-01, so that the leap day is the last of its year; then eras of 400 years, which are alike.
    let (era, dayOfEra) = Self.floored(days + 719_468, by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = Int(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    month = Int(monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9)
    year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
  }

  /// `2026-09-17`
  public var date: String { "\(Self.digits(year, 4))-\(Self.digits(month))-\(Self.digits(day))" }

  /// `2026/09/17`
  public var datePath: String { "\(Self.digits(year, 4))/\(Self.digits(month))/\(Self.digits(day))" }

  /// `12` `separator` `50` `separator` `01`
  public func time(separator: String) -> String {
    [hour, minute, second].map { Self.digits($0) }.joined(separator: separator)
  }

  /// `2026-09-17T12:50:01.123Z`. Every line of a log begins with it: the digits are put in their places.
  public var withMilliseconds: String {
    guard (0...9_999).contains(year) else { return "\(date)T\(time(separator: ":")).\(Self.digits(millisecond, 3))Z" }
    var text = Array("0000-00-00T00:00:00.000Z".utf8)
    Self.put(year, before: 4, in: &text)
    Self.put(month, before: 7, in: &text)
    Self.put(day, before: 10, in: &text)
    Self.put(hour, before: 13, in: &text)
    Self.put(minute, before: 16, in: &text)
    Self.put(second, before: 19, in: &text)
    Self.put(millisecond, before: 23, in: &text)
    return String(decoding: text, as: UTF8.self)
  }

  /// `2026-09-17T12:50:01Z`
  public var withSeconds: String { "\(date)T\(time(separator: ":"))Z" }

  /// `2026-09-17T12:50:01.123`, as the label of a table's stream.
  public var withoutZone: String { String(withMilliseconds.dropLast()) }

  private static func digits(_ value: Int, _ count: Int = 2) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
  }

  /// Puts the digits of `value` over the zeros that end before `end`.
  private static func put(_ value: Int, before end: Int, in text: inout [UInt8]) {
    var (rest, place) = (value, end)
    while rest > 0 {
      place -= 1
      text[place] += UInt8(rest % 10)
      rest /= 10
    }
  }

  private static func floored(_ value: Int64, by divisor: Int64) -> (Int64, Int64) {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}
