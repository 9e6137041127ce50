import Foundation
import StreamModel

/// How times, ages and counts read on a terminal.
enum Text {
  /// `14:03:07` today, with the date when it is another day. Local time.
  static func moment(_ milliseconds: Int64, now: Int64) -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    let sameDay = Calendar.current.isDate(
      Date(timeIntervalSince1970: Double(milliseconds) / 1_000),
      inSameDayAs: Date(timeIntervalSince1970: Double(now) / 1_000))
    formatter.dateFormat = sameDay ? "HH:mm:ss" : "yyyy-MM-dd HH:mm:ss"
    return formatter.string(from: Date(timeIntervalSince1970: Double(milliseconds) / 1_000))
  }

  /// `in 3.2 s`, `4 min ago`, `now`.
  static func relative(_ milliseconds: Int64, now: Int64) -> String {
    let distance = milliseconds - now
    if abs(distance) < 50 { return "now" }
    return distance > 0 ? "in \(duration(distance))" : "\(duration(-distance)) ago"
  }

  /// `in 3 d`; `now` once the worker removes it with its next look.
  static func expiry(_ milliseconds: Int64, now: Int64) -> String {
    milliseconds <= now ? "now" : relative(milliseconds, now: now)
  }

  /// Two significant units at most: `850 ms`, `3.2 s`, `4 min 10 s`, `23 h 5 min`, `6 d 4 h`.
  static func duration(_ milliseconds: Int64) -> String {
    switch milliseconds {
    case ..<1_000: return "\(milliseconds) ms"
    case ..<60_000: return String(format: "%.1f s", Double(milliseconds) / 1_000)
    case ..<3_600_000: return two(milliseconds / 60_000, "min", milliseconds % 60_000 / 1_000, "s")
    case ..<86_400_000: return two(milliseconds / 3_600_000, "h", milliseconds % 3_600_000 / 60_000, "min")
    default: return two(milliseconds / 86_400_000, "d", milliseconds % 86_400_000 / 3_600_000, "h")
    }
  }

  private static func two(_ first: Int64, _ unit: String, _ second: Int64, _ smaller: String) -> String {
    second == 0 ? "\(first) \(unit)" : "\(first) \(unit) \(second) \(smaller)"
  }

  /// `27,004`.
  static func count(_ value: some BinaryInteger) -> String { value.withThousands }

  /// `1 record`, `27,004 records`.
  static func records(_ value: some BinaryInteger) -> String {
    "\(count(value)) record\(value == 1 ? "" : "s")"
  }

  /// What a function wrote, with a line break at each carriage return: runtimes put one between the lines of a traceback, so
  /// that it is one event of the log. A terminal would write these lines over each other.
  static func lines(_ message: String) -> String {
    var message = message[...]
    while message.last == "\r" { message.removeLast() }
    return String(message.replacing("\r", with: "\n"))
  }

  /// The last digits of a sequence number, enough to tell records of one shard apart.
  static func short(_ sequenceNumber: String) -> String {
    sequenceNumber.count > 16 ? "…" + sequenceNumber.suffix(12) : sequenceNumber
  }
}

/// A plain table: columns as wide as their widest cell.
struct TextTable {
  private var rows: [[String]]

  init(_ header: [String]) {
    rows = [header]
  }

  mutating func add(_ row: [String]) {
    rows.append(row)
  }

  var text: String {
    let columns = rows[0].count
    let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      row.enumerated().map { column, cell in
        column == columns - 1 ? cell : cell.padding(toLength: widths[column], withPad: " ", startingAt: 0)
      }.joined(separator: "  ")
    }.joined(separator: "\n")
  }
}
