import EventPattern

/// An explanation for people.
enum FilterText {
  static func describe(_ explanation: FilterExplanation, _ advice: [PatternAdvice]) -> String {
    var lines = [headline(explanation.verdict)]
    for pattern in explanation.patterns {
      lines += pattern.parts.flatMap { describe($0, indent: "  ") }
      if let note = pattern.note { lines.append("  note: \(note)") }
    }
    lines += advice.map { "  advice: \($0.path): \($0.sentence)" }
    return lines.joined(separator: "\n")
  }

  private static func headline(_ verdict: FilterVerdict) -> String {
    switch verdict {
    case .matched: "match"
    case .notMatched: "no match"
    case .notJSON: "no match: the data is not JSON, so it is dropped"
    case .tooManyCombinations: "no match was found, but the record is let through"
    }
  }

  private static func describe(_ part: PatternPart, indent: String) -> [String] {
    switch part {
    case .field(let field): return ["\(indent)\(field.isMet ? "yes" : "no ")  \(field.sentence)"]
    case .oneOf(let alternatives):
      var lines = ["\(indent)\(part.isMet ? "yes" : "no ")  one of these:"]
      for (number, alternative) in alternatives.enumerated() {
        if number > 0 { lines.append("\(indent)     or") }
        lines += alternative.flatMap { describe($0, indent: indent + "     ") }
      }
      return lines
    }
  }
}

/// An explanation for scripts.
struct FilterReport: Encodable {
  /// `matched`, `notMatched`, `notJSON` or `tooManyCombinations`.
  var verdict: String
  var passes: Bool
  var parts: [Part]
  var note: String?
  var advice: [Advice]

  struct Advice: Encodable {
    var path: String
    var sentence: String
  }

  /// Either a field with what it is and should be, or `oneOf`.
  struct Part: Encodable {
    var isMet: Bool
    var field: String?
    var found: [String]?
    var wanted: String?
    var oneOf: [[Part]]?

    init(_ part: PatternPart) {
      isMet = part.isMet
      switch part {
      case .field(let explained):
        field = explained.name
        found = explained.found
        wanted = explained.wanted
      case .oneOf(let alternatives): oneOf = alternatives.map { $0.map(Part.init) }
      }
    }
  }

  init(_ explanation: FilterExplanation, _ advice: [PatternAdvice]) {
    verdict =
      switch explanation.verdict {
      case .matched: "matched"
      case .notMatched: "notMatched"
      case .notJSON: "notJSON"
      case .tooManyCombinations: "tooManyCombinations"
      }
    passes = explanation.verdict.passes
    parts = explanation.patterns.flatMap { $0.parts.map(Part.init) }
    note = explanation.patterns.compactMap(\.note).first
    self.advice = advice.map { Advice(path: $0.path, sentence: $0.sentence) }
  }
}
