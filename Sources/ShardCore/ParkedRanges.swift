import StreamModel

/// The records of a parked key that wait, in order: ranges of neighbours, so that a key that has the shard to itself takes
/// no more than one that is rare.
struct ParkedRanges: Hashable {
  private var ranges: [RecordRange] = []
  /// Those before this place are settled.
  private var start = 0
  /// The number of records.
  private(set) var count: UInt64 = 0

  init() {}

  init(_ ranges: [RecordRange]) {
    for range in ranges { append(range) }
  }

  var isEmpty: Bool { start == ranges.count }
  var first: RecordIndex? { isEmpty ? nil : ranges[start].first }
  var last: RecordIndex? { ranges.last?.last }
  var all: ArraySlice<RecordRange> { ranges[start...] }

  /// Takes records behind all that are there. Those that are not behind them are there already.
  mutating func append(_ range: RecordRange) {
    if isEmpty { removeAll() }
    guard let last = ranges.last else {
      ranges.append(range)
      count += range.count
      return
    }
    precondition(range.first >= last.end, "parked records come in the order of the shard")
    if range.first == last.end {
      ranges[ranges.count - 1].count += range.count
    } else {
      ranges.append(range)
    }
    count += range.count
  }

  /// The first `limit` records, which must be one or more.
  func prefix(_ limit: Int) -> [RecordRange] {
    var left = UInt64(limit)
    var result: [RecordRange] = []
    for range in all {
      guard left > 0 else { break }
      let taken = min(left, range.count)
      result.append(RecordRange(first: range.first, count: taken))
      left -= taken
    }
    return result
  }

  /// How many of the records stand before `index`.
  func count(before index: RecordIndex) -> UInt64 {
    var result: UInt64 = 0
    for range in all {
      guard range.first < index else { break }
      result += min(range.count, range.first.distance(to: index))
    }
    return result
  }

  /// Takes away the records before `index` and says how many they were.
  mutating func removeAll(before index: RecordIndex) -> UInt64 {
    var removed: UInt64 = 0
    while start < ranges.count, ranges[start].first < index {
      let range = ranges[start]
      guard range.end > index else {
        removed += range.count
        start += 1
        continue
      }
      let cut = range.first.distance(to: index)
      ranges[start] = RecordRange(first: index, count: range.count - cut)
      removed += cut
    }
    count -= removed
    if start > 32, start * 2 > ranges.count {
      ranges.removeFirst(start)
      start = 0
    }
    return removed
  }

  private mutating func removeAll() {
    ranges.removeAll(keepingCapacity: true)
    start = 0
    count = 0
  }
}
