/// What the values of a record that were read so far say about the conditions of a filter.
struct Findings: Sendable {
  /// What can be met together.
  var sets: ConditionSets
  /// Conditions whose field has had a value, a bit for each.
  var seen: [UInt64]

  init(wordCount: Int, limit: Int) {
    sets = ConditionSets(wordCount: wordCount, limit: limit)
    seen = [UInt64](repeating: 0, count: wordCount)
    sets.restart(seen)
  }

  /// Tries a text that stands at `node`, for the sets from `start` to `end`.
  @inline(__always)
  mutating func test(_ text: RawSpan, at node: Int, of filter: EventFilter, from start: Int, to end: Int) {
    for condition in filter.map.nodes[node].conditions {
      see(condition)
      if filter.accepts(condition, text: text) { sets.insert(condition, from: start, to: end) }
    }
  }

  /// Tries a text that had to be decoded first.
  mutating func test(decoded text: [UInt8], at node: Int, of filter: EventFilter, from start: Int, to end: Int) {
    unsafe test(text.span.bytes, at: node, of: filter, from: start, to: end)
  }

  /// Tries a number that stands at `node`, written as `literal`.
  @inline(__always)
  mutating func test(number literal: RawSpan, at node: Int, of filter: EventFilter, from start: Int, to end: Int) {
    let number = DecimalNumber(literal)
    for condition in filter.map.nodes[node].conditions {
      see(condition)
      if filter.accepts(condition, number: number, literal: literal) {
        sets.insert(condition, from: start, to: end)
      }
    }
  }

  /// Tries `true`, `false` or `null`, which stands at `node`.
  @inline(__always)
  mutating func test(_ word: JSONWord, at node: Int, of filter: EventFilter, from start: Int, to end: Int) {
    for condition in filter.map.nodes[node].conditions {
      see(condition)
      if filter.accepts(condition, word: word) { sets.insert(condition, from: start, to: end) }
    }
  }

  /// Tries the value of one of the record's own fields, if it has one.
  mutating func test(_ value: FieldValue, at node: Int, of filter: EventFilter) {
    switch value.kind {
    case .missing: break
    case .text: unsafe test(value.bytes.span.bytes, at: node, of: filter, from: 0, to: sets.top)
    case .number: unsafe test(number: value.bytes.span.bytes, at: node, of: filter, from: 0, to: sets.top)
    }
  }

  @inline(__always)
  private mutating func see(_ condition: Int) { seen[condition >> 6] |= 1 << UInt64(condition & 63) }
}
