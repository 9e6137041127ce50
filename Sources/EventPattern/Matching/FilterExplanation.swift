/// Why a record passes a filter or does not, pattern by pattern.
public struct FilterExplanation: Hashable, Sendable {
  public var verdict: FilterVerdict
  public var patterns: [PatternExplanation]
}

/// Why one pattern matches a record or does not.
public struct PatternExplanation: Hashable, Sendable {
  /// The verdict if this were the only pattern.
  public var verdict: FilterVerdict
  /// All of these must be met.
  public var parts: [PatternPart]

  /// Something to know that no single field shows.
  public var note: String? {
    switch verdict {
    case .notJSON(let fault): return "the data is not JSON: \(fault)"
    case .tooManyCombinations:
      return "the record's arrays combine in more than \(EventMatcher.combinationLimit) ways; it is let through"
    case .notMatched:
      return parts.allSatisfy(\.isMet)
        ? "each field is met, but not all of them in the same element of an array" : nil
    case .matched: return nil
    }
  }
}

/// A field of a pattern, or an `$or`.
public indirect enum PatternPart: Hashable, Sendable {
  case field(FieldExplanation)
  /// One of these must be met, with all its parts.
  case oneOf([[PatternPart]])

  public var isMet: Bool {
    switch self {
    case .field(let field): field.isMet
    case .oneOf(let alternatives): alternatives.contains { $0.allSatisfy(\.isMet) }
    }
  }
}

/// What a pattern wants of one field, and what the record has there.
public struct FieldExplanation: Hashable, Sendable {
  /// The names that lead to the field, joined by dots.
  public var name: String
  public var isMet: Bool
  /// The values, as JSON writes them; several if there are arrays on the way.
  public var found: [String]
  /// An object stands there, which is no value.
  public var isObject: Bool
  public var wanted: String

  /// `data.carrier is "AA"; wanted "UA" or "US"`
  public var sentence: String {
    let shown = found.prefix(Self.shownValues).map { text in
      text.count > Self.shownCharacters ? text.prefix(Self.shownCharacters) + "…" : text
    }
    let rest = found.count > Self.shownValues ? " and \(found.count - Self.shownValues) more" : ""
    let state =
      switch (found.isEmpty, isObject) {
      case (true, true): "is an object, not a value"
      case (true, false): "has no value"
      default: "is \(shown.joined(separator: ", "))\(rest)"
      }
    return "\(name) \(state); wanted \(wanted)"
  }

  private static let shownValues = 5
  private static let shownCharacters = 60
}

extension EventFilter {
  /// Says of every pattern why it matches `record` or does not. Slow: it reads the record into a tree, and once more
  /// for each pattern. The verdicts are those of ``EventMatcher``.
  public func explanation<Record: FilterableRecord & ~Escapable>(
    of record: borrowing Record, constants: KinesisConstants = KinesisConstants()
  ) -> FilterExplanation {
    var matcher = EventMatcher(self, constants: constants)
    let reader = ExplainedRecord(record, source: source, constants: constants)
    var explained: [PatternExplanation] = []
    for number in patterns.indices {
      let tree = trees[number]
      var alone = EventMatcher(EventFilter([patterns[number]], [tree], source, []), constants: constants)
      var verdict = alone.verdict(on: record)
      if case .matched = verdict { verdict = .matched(pattern: number) }
      explained.append(PatternExplanation(verdict: verdict, parts: reader.parts(tree)))
    }
    return FilterExplanation(verdict: matcher.verdict(on: record), patterns: explained)
  }
}

/// A record as a tree, and its own fields.
private struct ExplainedRecord {
  /// `nil` if the body is not JSON.
  private var body: JSONValue?
  private var fields: [String: JSONValue] = [:]
  private let source: FilterSource

  init<Record: FilterableRecord & ~Escapable>(
    _ record: borrowing Record, source: FilterSource, constants: KinesisConstants
  ) {
    self.source = source
    body = try? JSONValue(record.body)
    guard source == .kinesis else { return }
    for field in KinesisField.allCases {
      var value = FieldValue()
      if field.isOfRecord {
        record.write(field, to: &value)
      } else if let constant = constants.values[field] {
        value.append(constant)
      }
      switch value.kind {
      case .missing: break
      case .text: fields[field.rawValue] = JSONValue(content: .string(value.bytes), range: 0..<0)
      case .number: fields[field.rawValue] = JSONValue(content: .number(value.bytes), range: 0..<0)
      }
    }
  }

  func parts(_ tree: PatternTree) -> [PatternPart] {
    tree.fields.map { .field(explanation($0)) } + tree.choices.map { .oneOf($0.map(parts)) }
  }

  private func explanation(_ condition: FieldCondition) -> FieldExplanation {
    var found = FoundValues()
    var isReadable = true
    if source == .dynamodb || condition.path[0] == Array(source.payloadField.utf8) {
      let names = source == .dynamodb ? condition.path[...] : condition.path.dropFirst()
      isReadable = body != nil
      if let body, body.isObject { found.collect(names, in: body) }
    } else if let field = fields[condition.name] {
      found.collect([], in: field)
    }
    let isMissing = found.values.isEmpty && isReadable
    return FieldExplanation(
      name: condition.name,
      isMet: found.values.contains { $0.meets(condition) } || isMissing && condition.acceptsAbsence,
      found: found.values.map(\.shown), isObject: found.hasObject, wanted: ShownText.alternatives(condition.wishes))
  }
}

/// All values at one place of a tree, through all arrays.
private struct FoundValues {
  var values: [JSONValue] = []
  var hasObject = false

  mutating func collect(_ names: ArraySlice<[UInt8]>, in value: JSONValue) {
    switch value.content {
    case .array(let elements):
      for element in elements { collect(names, in: element) }
    case .object:
      guard !names.isEmpty else {
        hasObject = true
        return
      }
      for member in value.lastMembers ?? [] {
        let key = FieldPath.names(in: member.key)
        if names.starts(with: key) { collect(names.dropFirst(key.count), in: member.value) }
      }
    case .string, .number, .word:
      if names.isEmpty { values.append(value) }
    }
  }
}

extension JSONValue {
  /// The value alone is one that `condition` wants.
  fileprivate func meets(_ condition: FieldCondition) -> Bool {
    switch content {
    case .string(let text): unsafe condition.accepts(text: text.span.bytes)
    case .number(let text):
      unsafe condition.accepts(number: DecimalNumber(text.span.bytes), literal: text.span.bytes)
    case .word(let word): condition.accepts(word: word)
    case .array, .object: false
    }
  }

  fileprivate var shown: String {
    switch content {
    case .string(let text): ShownText.quoted(text)
    case .number(let text): String(decoding: text, as: UTF8.self)
    case .word(let word): word.text
    case .array, .object: ""
    }
  }
}

extension FieldCondition {
  fileprivate func accepts(text: RawSpan) -> Bool {
    for matcher in matchers where matcher.accepts(text: text) { return true }
    return false
  }

  fileprivate func accepts(number: DecimalNumber, literal: RawSpan) -> Bool {
    for matcher in matchers where matcher.accepts(number: number, literal: literal) { return true }
    return false
  }

  fileprivate func accepts(word: JSONWord) -> Bool {
    for matcher in matchers where matcher.accepts(word: word) { return true }
    return false
  }
}
