/// Some of a shard's records, by index: one bit each.
struct RecordSet: Hashable {
  private var words: (UInt64, UInt64, UInt64) = (0, 0, 0)

  /// A record above is in no set.
  static let limit = 192

  var isEmpty: Bool { words == (0, 0, 0) }

  func contains(_ index: Int) -> Bool {
    switch index >> 6 {
    case 0: words.0 & 1 << UInt64(index & 63) != 0
    case 1: words.1 & 1 << UInt64(index & 63) != 0
    case 2: words.2 & 1 << UInt64(index & 63) != 0
    default: false
    }
  }

  mutating func insert(_ index: Int) {
    precondition(index >= 0 && index < Self.limit, "a record of a small world")
    switch index >> 6 {
    case 0: words.0 |= 1 << UInt64(index & 63)
    case 1: words.1 |= 1 << UInt64(index & 63)
    default: words.2 |= 1 << UInt64(index & 63)
    }
  }

  func intersects(_ other: RecordSet) -> Bool {
    words.0 & other.words.0 | words.1 & other.words.1 | words.2 & other.words.2 != 0
  }

  mutating func formUnion(_ other: RecordSet) {
    words.0 |= other.words.0
    words.1 |= other.words.1
    words.2 |= other.words.2
  }

  mutating func subtract(_ other: RecordSet) {
    words.0 &= ~other.words.0
    words.1 &= ~other.words.1
    words.2 &= ~other.words.2
  }

  static func == (left: RecordSet, right: RecordSet) -> Bool { left.words == right.words }

  func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
  }
}
