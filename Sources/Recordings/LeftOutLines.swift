internal import StreamModel

/// The lines of a recording that could not be used, and which records they can have held: what is missing because of them is no
/// damage of its own.
struct LeftOutLines {
  /// Lines that were left out, and gaps that they do not explain.
  private(set) var damageCount = 0
  /// Those that can have held records of which nobody knows yet, in the order of the file.
  private var lines: [Line] = []

  private struct Line {
    var number: UInt64
    /// So many records can it have held.
    var room: UInt64
  }

  /// The least that a record's line can have, in bytes: where line feeds were damaged, one line has taken in others.
  private static let leastLineByteCount = 51

  /// A line that is left out. One that repeats a record has taken none away.
  mutating func add(line number: UInt64, byteCount: Int, isRepeated: Bool) {
    damageCount += 1
    guard !isRepeated else { return }
    lines.append(Line(number: number, room: UInt64(max(1, byteCount / Self.leastLineByteCount))))
  }

  /// So many records of a shard are missing behind its last record, which stands in `line`. `false` if the lines that were
  /// left out since do not explain it, and there are as many damages as there may be.
  mutating func pass(_ count: UInt64, behind line: UInt64, limit: Int) -> Bool {
    var rest = count
    for place in lines.indices.reversed() {
      guard lines[place].number > line, rest > 0 else { break }
      let used = min(rest, lines[place].room)
      lines[place].room -= used
      rest -= used
    }
    while lines.last?.room == 0 { lines.removeLast() }
    guard rest > 0 else { return true }
    guard damageCount < limit else { return false }
    damageCount += 1
    return true
  }
}
