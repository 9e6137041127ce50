/// Sets of conditions that can be met together, on a stack.
///
/// Objects in an array are alternatives: a pattern `{"a":{"x":[1],"y":[2]}}` wants both in the same element. So what an
/// array contributes is not a set of conditions but one set for each element, of which a match picks one. A *family*
/// is such a list of sets; it begins somewhere on the stack and goes up to its top. Without arrays of objects, every
/// family is a single set.
struct ConditionSets: Sendable {
  /// 64 conditions to the word, `width` words to the set.
  private var words: [UInt64] = []
  let width: Int
  /// More sets than this are forgotten.
  private let limit: Int
  /// Some were.
  private(set) var hasForgotten = false

  init(wordCount: Int, limit: Int) {
    self.width = wordCount
    self.limit = limit
  }

  /// One set that holds what `base` does, and nothing else on the stack.
  @inline(__always)
  mutating func restart(_ base: [UInt64]) {
    hasForgotten = false
    if words.count != width { words = base }
    for word in 0..<width { words[word] = base[word] }
  }

  /// Where the next family will begin.
  @inline(__always)
  var top: Int { words.count }

  /// Begins a family with one empty set and returns where.
  mutating func beginFamily() -> Int {
    let start = top
    for _ in 0..<width { words.append(0) }
    return start
  }

  /// Adds a condition to the sets from `start` to `end`.
  @inline(__always)
  mutating func insert(_ condition: Int, from start: Int, to end: Int) {
    var word = start &+ condition >> 6
    while word < end {
      words[word] |= 1 << UInt64(condition & 63)
      word &+= width
    }
  }

  /// The 64 conditions of word `word` of the set at `set`.
  @inline(__always)
  func word(_ word: Int, ofSet set: Int) -> UInt64 { words[set &+ word] }

  /// Makes the sets from `element` to the top members of the family at `family`, which lies right below them. Sets
  /// that are part of another are dropped: whatever they allow, the other does.
  mutating func unite(family: Int, element: Int) {
    let end = top
    var kept = element
    for candidate in stride(from: element, to: end, by: width) {
      if contains(candidate, from: family, to: kept) { continue }
      kept = removeParts(of: candidate, from: family, to: kept)
      guard (kept - family) / width < limit else {
        hasForgotten = true
        continue
      }
      // `kept` never lies behind `candidate`.
      for word in 0..<width { words[kept + word] = words[candidate + word] }
      kept += width
    }
    words.removeLast(end - kept)
  }

  /// Replaces the family at `family` and the one right above it, at `other`, by all unions of a set of each.
  mutating func multiply(family: Int, by other: Int) {
    let end = top
    if end - other == width, other - family == width {
      for word in 0..<width { words[family + word] |= words[other + word] }
      words.removeLast(width)
      return
    }
    for left in stride(from: family, to: other, by: width) {
      for right in stride(from: other, to: end, by: width) {
        let product = top
        for word in 0..<width { words.append(words[left + word] | words[right + word]) }
        unite(family: end, element: product)
      }
    }
    words.removeSubrange(family..<end)
  }

  /// Adds what the set at `set` holds to every set from `family` to the top.
  mutating func insert(set: Int, inFamily family: Int) {
    for target in stride(from: family, to: top, by: width) {
      for word in 0..<width { words[target + word] |= words[set + word] }
    }
  }

  /// Removes the one set at `set`, which lies below the top.
  mutating func remove(set: Int) { words.removeSubrange(set..<(set + width)) }

  private func contains(_ candidate: Int, from start: Int, to end: Int) -> Bool {
    for set in stride(from: start, to: end, by: width) where isPart(candidate, of: set) { return true }
    return false
  }

  private mutating func removeParts(of candidate: Int, from start: Int, to end: Int) -> Int {
    var kept = start
    for set in stride(from: start, to: end, by: width) where !isPart(set, of: candidate) {
      if kept != set { for word in 0..<width { words[kept + word] = words[set + word] } }
      kept += width
    }
    return kept
  }

  private func isPart(_ part: Int, of whole: Int) -> Bool {
    for word in 0..<width where words[part + word] & ~words[whole + word] != 0 { return false }
    return true
  }
}
