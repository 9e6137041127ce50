import EventPattern
import StreamModel

/// The lines of a file as the data of a backlog's records: each in turn, and again from the first.
struct LineBacklog {
  private let lines: [[UInt8]]

  init(path: String) throws {
    var reader = try LineReader(path: path)
    var lines: [[UInt8]] = []
    var byteCount = 0
    while let line = try reader.next() {
      byteCount += line.count
      guard byteCount <= Self.byteLimit else {
        throw Problem(Exit.badInput, "\(path) has more than \(Self.byteLimit >> 20) MiB: they are kept in memory")
      }
      if !line.isEmpty { lines.append(Array(line)) }
    }
    guard !lines.isEmpty else { throw Problem(Exit.badInput, "\(path) has no line with anything in it") }
    self.lines = lines
  }

  private static let byteLimit = 256 << 20

  /// The data of the record that is put as number `position`, from 0 on.
  func data(at position: Int) -> [UInt8] { lines[position % lines.count] }

  /// Bytes of data in a record, over all lines.
  var meanByteCount: Int { lines.reduce(0) { $0 + $1.count } / lines.count }

  /// Of so many records from the first on, those that the filter lets through.
  func count(of records: Int, passing filter: EventFilter) -> Int {
    var matcher = EventMatcher(filter)
    let passes = lines.map { matcher.verdict(on: PlainRecord(body: $0)).passes }
    let rest = records % lines.count
    return passes.count { $0 } * (records / lines.count) + passes[..<rest].count { $0 }
  }
}
