// Matchers in plain words, for explanations: "wanted …".

extension ValueMatcher {
  var wish: String {
    switch self {
    case .text(let test): test.wish
    case .number(let number): number.shown
    case .range(let range): range.wish
    case .word(let word): word.text
    case .anythingBut(let exclusion): exclusion.wish
    case .present: "any value"
    case .absent: "no value"
    }
  }
}

extension TextTest {
  var wish: String {
    switch self {
    case .equal(let text): ShownText.quoted(text)
    case .prefix(let text): "a text that begins with \(ShownText.quoted(text))"
    case .suffix(let text): "a text that ends with \(ShownText.quoted(text))"
    case .equalIgnoringCase(let text): "\(ShownText.quoted(text.text)) in any case"
    case .prefixIgnoringCase(let text): "a text that begins with \(ShownText.quoted(text.text)) in any case"
    case .suffixIgnoringCase(let text): "a text that ends with \(ShownText.quoted(text.text)) in any case"
    case .wildcard(let wildcard): "a text like \(ShownText.quoted(wildcard.text))"
    case .address(let block): "an address in \(String(decoding: block.text, as: UTF8.self))"
    }
  }
}

extension Exclusion {
  var wish: String {
    let excluded =
      switch self {
      case .texts(let tests): tests.map(\.wish)
      case .numbers(let numbers): numbers.map(\.shown)
      }
    return "any value but \(ShownText.alternatives(excluded))"
  }
}

extension NumericRange {
  var wish: String {
    if let lower, let upper, lower.number.isEqual(to: upper.number) { return "a number = \(lower.number.shown)" }
    let bounds = [
      lower.map { ($0.isIncluded ? ">= " : "> ") + $0.number.shown },
      upper.map { ($0.isIncluded ? "<= " : "< ") + $0.number.shown },
    ]
    return "a number \(bounds.compactMap(\.self).joined(separator: " and "))"
  }
}

extension PatternNumber {
  var shown: String { String(decoding: text, as: UTF8.self) }
}

/// How values and lists of them read in a sentence.
enum ShownText {
  static func quoted(_ text: [UInt8]) -> String { "\"\(String(decoding: text, as: UTF8.self))\"" }

  /// `a`, `a or b`, `a, b or c`.
  static func alternatives(_ texts: [String]) -> String {
    guard let last = texts.last, texts.count > 1 else { return texts.first ?? "" }
    return texts.dropLast().joined(separator: ", ") + " or " + last
  }
}
