/// The rules of the reference, carried out in the plainest way: the event is flattened into all its values, each with
/// the path to it and the array elements it lies in; a pattern becomes a list of alternatives without `$or`; an
/// alternative matches if each of its fields can be given a value so that no two of them lie in different elements of
/// one array.
enum ReferenceMatcher {
  static func matches(_ pattern: GeneratedPattern, _ event: GeneratedJSON) -> Bool {
    var leaves: [Leaf] = []
    var arrayCount = 0
    if case .object = event { flatten(event, path: [], elements: [:], &arrayCount, &leaves) }
    return alternatives(pattern, path: []).contains { matches($0[...], leaves, elements: [:]) }
  }

  private struct Leaf {
    var path: String
    var value: GeneratedJSON
    /// The position in each array on the way, by the array's number.
    var elements: [Int: Int]
  }

  private struct Field {
    var path: String
    var wanted: [GeneratedPattern.Element]
  }

  private static func flatten(
    _ value: GeneratedJSON, path: [String], elements: [Int: Int], _ arrayCount: inout Int, _ leaves: inout [Leaf]
  ) {
    switch value {
    case .object(let members):
      for member in GeneratedJSON.last(members) {
        flatten(member.value, path: path + [member.key], elements: elements, &arrayCount, &leaves)
      }
    case .array(let values):
      let array = arrayCount
      arrayCount += 1
      for (position, value) in values.enumerated() {
        var inner = elements
        // As in the open engine: a plain value in an array does not belong to one of its elements.
        switch value {
        case .object, .array: inner[array] = position
        case .string, .number, .word: break
        }
        flatten(value, path: path, elements: inner, &arrayCount, &leaves)
      }
    case .string, .number, .word:
      leaves.append(Leaf(path: path.joined(separator: "."), value: value, elements: elements))
    }
  }

  private static func alternatives(_ pattern: GeneratedPattern, path: [String]) -> [[Field]] {
    var result: [[Field]] = [[]]
    for member in GeneratedJSON.last(pattern.members) {
      let inner = path + [member.key]
      let choices: [[Field]] =
        switch member.value {
        case .object(let object): alternatives(object, path: inner)
        case .list(let wanted): [[Field(path: inner.joined(separator: "."), wanted: wanted)]]
        }
      result = result.flatMap { left in choices.map { left + $0 } }
    }
    if !pattern.alternatives.isEmpty {
      let choices = pattern.alternatives.flatMap { alternatives($0, path: path) }
      result = result.flatMap { left in choices.map { left + $0 } }
    }
    return result
  }

  private static func matches(_ fields: ArraySlice<Field>, _ leaves: [Leaf], elements: [Int: Int]) -> Bool {
    guard let field = fields.first else { return true }
    let there = leaves.filter { $0.path == field.path }
    if there.isEmpty, field.wanted.contains(where: { if case .exists(false) = $0 { true } else { false } }) {
      return matches(fields.dropFirst(), leaves, elements: elements)
    }
    return there.contains { leaf in
      field.wanted.contains { accepts($0, leaf.value) }
        && leaf.elements.allSatisfy { elements[$0.key] == nil || elements[$0.key] == $0.value }
        && matches(fields.dropFirst(), leaves, elements: elements.merging(leaf.elements) { old, _ in old })
    }
  }

  private static func accepts(_ element: GeneratedPattern.Element, _ value: GeneratedJSON) -> Bool {
    let text: String? = if case .string(let text) = value { text } else { nil }
    let number: Int? = if case .number(let number) = value { number } else { nil }
    switch element {
    case .value(let wanted): return isEqual(wanted, value)
    // By scalars: Swift's own comparison of texts would normalise them.
    case .prefix(let prefix): return text.map { $0.unicodeScalars.starts(with: prefix.unicodeScalars) } ?? false
    case .suffix(let suffix):
      return text.map { $0.unicodeScalars.reversed().starts(with: suffix.unicodeScalars.reversed()) } ?? false
    case .ignoringCase(let wanted): return text?.lowercased() == wanted.lowercased()
    case .wildcard(let wildcard): return text.map { like(Array(wildcard)[...], Array($0)[...]) } ?? false
    case .numeric(let lower, let lowerIncluded, let upper, let upperIncluded):
      guard let number else { return false }
      let isAbove = lower.map { lowerIncluded ? number >= $0 : number > $0 } ?? true
      let isBelow = upper.map { upperIncluded ? number <= $0 : number < $0 } ?? true
      return isAbove && isBelow
    case .anythingBut(let values): return !values.contains { isEqual($0, value) }
    case .anythingButPrefix(let texts): return !texts.contains { accepts(.prefix($0), value) }
    case .exists(let exists): return exists
    }
  }

  private static func isEqual(_ left: GeneratedJSON, _ right: GeneratedJSON) -> Bool {
    switch (left, right) {
    case (.string(let left), .string(let right)): Array(left.utf8) == Array(right.utf8)
    case (.number(let left), .number(let right)): left == right
    case (.word(let left), .word(let right)): left == right
    default: false
    }
  }

  private static func like(_ wildcard: ArraySlice<Character>, _ text: ArraySlice<Character>) -> Bool {
    guard let first = wildcard.first else { return text.isEmpty }
    if first == "*" {
      return like(wildcard.dropFirst(), text) || !text.isEmpty && like(wildcard, text.dropFirst())
    }
    return text.first == first && like(wildcard.dropFirst(), text.dropFirst())
  }
}
