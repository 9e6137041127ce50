/// A pattern that a test made up, before it is written.
struct GeneratedPattern {
  indirect enum Node {
    case object(GeneratedPattern)
    case list([Element])
  }

  enum Element {
    case value(GeneratedJSON)
    case prefix(String)
    case suffix(String)
    case ignoringCase(String)
    case wildcard(String)
    case numeric(lower: Int?, lowerIncluded: Bool, upper: Int?, upperIncluded: Bool)
    case anythingBut([GeneratedJSON])
    case anythingButPrefix([String])
    case exists(Bool)
  }

  /// A key may repeat.
  var members: [(key: String, value: Node)] = []
  var alternatives: [GeneratedPattern] = []
}

extension Generator {
  mutating func pattern(depth: Int = 3) -> GeneratedPattern {
    var pattern = GeneratedPattern()
    for _ in 0..<(1 + below(2)) {
      let node: GeneratedPattern.Node =
        depth > 0 && chance(45) ? .object(self.pattern(depth: depth - 1)) : .list((0...below(2)).map { _ in element() })
      pattern.members.append((one(of: Self.keys), node))
    }
    if depth > 0, chance(20) { pattern.alternatives = (0..<(2 + below(2))).map { _ in self.pattern(depth: depth - 1) } }
    return pattern
  }

  private mutating func element() -> GeneratedPattern.Element {
    switch below(16) {
    case 0, 1, 2: return .value(.string(one(of: Self.texts)))
    case 3, 4: return .value(.number(one(of: Self.numbers)))
    case 5: return .value(.word(one(of: ["true", "false", "null"])))
    case 6: return .prefix(one(of: ["", "x", "xy", "😀"]))
    case 7: return .suffix(one(of: ["", "x", "Yx", "y"]))
    case 8: return .ignoringCase(one(of: ["x", "XY", "É", "xyx"]))
    case 9: return .wildcard(one(of: ["*", "", "x*", "*x", "x*x", "*y*"]))
    case 10, 11:
      let bounds = [-100, 0, 100, 150, 200]
      let lower = below(bounds.count)
      let kind = below(3)
      let upper = lower + 1 < bounds.count ? bounds[lower + 1 + below(bounds.count - lower - 1)] : nil
      return .numeric(
        lower: kind == 1 ? nil : bounds[lower], lowerIncluded: chance(50),
        upper: kind == 0 ? nil : kind == 1 ? bounds[lower] : upper, upperIncluded: chance(50))
    case 12: return .anythingBut((0...below(2)).map { _ in .string(one(of: Self.texts)) })
    case 13: return .anythingBut((0...below(2)).map { _ in .number(one(of: Self.numbers)) })
    case 14: return .anythingButPrefix((0...below(2)).map { _ in one(of: ["x", "X", "y"]) })
    default: return .exists(chance(50))
    }
  }

  // MARK: Events that come close

  /// An event that has much of what `pattern` asks for, and other things.
  mutating func event(near pattern: GeneratedPattern) -> GeneratedJSON { .object(members(near: pattern)) }

  private mutating func members(near pattern: GeneratedPattern) -> [(key: String, value: GeneratedJSON)] {
    var members: [(key: String, value: GeneratedJSON)] = []
    for member in GeneratedJSON.last(pattern.members) where chance(92) {
      switch member.value {
      case .object(let inner): members.append((member.key, value(near: inner)))
      case .list(let elements):
        guard let value = value(near: one(of: elements)) else { continue }
        members.append((member.key, chance(15) ? .array([self.value(depth: 1), value]) : value))
      }
    }
    if !pattern.alternatives.isEmpty { members += self.members(near: one(of: pattern.alternatives)) }
    if chance(15) { members.insert((one(of: Self.keys), value(depth: 1)), at: below(members.count + 1)) }
    return members
  }

  private mutating func value(near pattern: GeneratedPattern) -> GeneratedJSON {
    guard chance(30) else { return event(near: pattern) }
    // Once whole among others, or torn into parts of which no element has all.
    let members = members(near: pattern)
    if chance(40) { return .array(members.map { .object([$0]) } + [value(depth: 1)]) }
    let array = GeneratedJSON.array([event(depth: 1), .object(members), .object(Array(members.dropFirst()))])
    return chance(20) ? .array([array, .array([.object(members)])]) : array
  }

  /// A value that `element` wants, if it wants any.
  private mutating func value(near element: GeneratedPattern.Element) -> GeneratedJSON? {
    switch element {
    case .value(let value): return value
    case .prefix(let text): return .string(text + one(of: ["", "x", "y"]))
    case .suffix(let text): return .string(one(of: ["", "x", "y"]) + text)
    case .ignoringCase(let text): return .string(chance(50) ? text.uppercased() : text.lowercased())
    case .wildcard(let text): return .string(text.replacing("*", with: one(of: ["", "x", "y*"])))
    case .numeric(let lower, _, let upper, _):
      return .number(one(of: [lower, upper].compactMap(\.self)) + below(3) - 1)
    case .anythingBut, .anythingButPrefix: return value(depth: 0)
    case .exists(let exists): return exists ? value(depth: 0) : nil
    }
  }

  // MARK: Writing

  mutating func write(_ pattern: GeneratedPattern) -> String {
    var written = pattern.members.map { member in
      switch member.value {
      case .object(let inner): write(text: member.key) + space() + ":" + write(inner)
      case .list(let elements):
        write(text: member.key) + ":[" + elements.map { space() + write($0) }.joined(separator: ",") + "]"
      }
    }
    if !pattern.alternatives.isEmpty {
      written.append(#""$or":["# + pattern.alternatives.map { write($0) }.joined(separator: ",") + "]")
    }
    return "{" + written.joined(separator: ",") + "}"
  }

  private mutating func write(_ element: GeneratedPattern.Element) -> String {
    switch element {
    case .value(let value): return write(value)
    case .prefix(let text): return #"{"prefix":\#(write(text: text))}"#
    case .suffix(let text): return #"{"suffix":\#(write(text: text))}"#
    case .ignoringCase(let text): return #"{"equals-ignore-case":\#(write(text: text))}"#
    case .wildcard(let text): return #"{"wildcard":\#(write(text: text))}"#
    case .numeric(let lower, let lowerIncluded, let upper, let upperIncluded):
      var parts: [String] = []
      if let lower { parts.append(#"">\#(lowerIncluded ? "=" : "")",\#(write(hundredths: lower))"#) }
      if let upper { parts.append(#""<\#(upperIncluded ? "=" : "")",\#(write(hundredths: upper))"#) }
      return #"{"numeric":[\#(parts.joined(separator: ","))]}"#
    case .anythingBut(let values): return #"{"anything-but":[\#(values.map { write($0) }.joined(separator: ","))]}"#
    case .anythingButPrefix(let texts):
      return #"{"anything-but":{"prefix":[\#(texts.map { write(text: $0) }.joined(separator: ","))]}}"#
    case .exists(let exists): return #"{"exists":\#(exists)}"#
    }
  }
}
