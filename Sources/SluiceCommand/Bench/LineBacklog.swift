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

  private init(_ lines: [[UInt8]]) { self.lines = lines }

  /// Flights such as those of Examples/flights, of 240 bytes each.
  static let flights = LineBacklog(
    (0..<1_000).map { number in
      let (hour, minute) = (5 + number % 18, number % 60)
      var line = #"{"year":2013,"month":\#(1 + number % 9),"day":\#(1 + number % 28)"#
      line += #","dep_time":\#(hour * 100 + minute)"#
      line += #","sched_dep_time":\#(hour * 100),"dep_delay":\#(minute),"arr_time":\#((hour + 1) * 100 + minute)"#
      line += #","sched_arr_time":\#((hour + 1) * 100),"arr_delay":\#(minute),"flight":\#(1_000 + number)"#
      line += #","air_time":\#(60 + number % 300),"distance":\#(200 + number % 2_000),"carrier":"UA""#
      line += #","tailnum":"N\#(10_000 + number)","origin":"EWR","dest":"IAH"}"#
      return Array(line.utf8)
    })

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
