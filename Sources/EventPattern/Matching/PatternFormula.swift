/// When a pattern is met, in terms of its conditions, which are numbered through all patterns of a filter.
struct PatternFormula: Sendable {
  /// All of these, a bit for each condition.
  var required: [UInt64]
  /// And of each of these lists, at least one.
  var choices: [[PatternFormula]] = []

  init(wordCount: Int) {
    required = [UInt64](repeating: 0, count: wordCount)
  }

  mutating func require(_ condition: Int) { required[condition >> 6] |= 1 << UInt64(condition & 63) }

  /// The pattern is met if the conditions that `isMet` gives, 64 at a time, are.
  @inline(__always)
  func holds(_ met: (Int) -> UInt64) -> Bool {
    for word in 0..<required.count where required[word] & ~met(word) != 0 { return false }
    return choices.isEmpty || choicesHold(met)
  }

  private func choicesHold(_ met: (Int) -> UInt64) -> Bool {
    for choice in choices {
      var holds = false
      for alternative in choice where alternative.holds(met) {
        holds = true
        break
      }
      guard holds else { return false }
    }
    return true
  }
}
