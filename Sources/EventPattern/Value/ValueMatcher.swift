/// One element of a field's list in a pattern, ready to be tried on a value.
enum ValueMatcher: Sendable {
  case text(TextTest)
  /// A number of this value.
  case number(PatternNumber)
  case range(NumericRange)
  case word(JSONWord)
  case anythingBut(Exclusion)
  /// Any value, as long as it is not an object, an array or missing.
  case present
  /// No value. Tried on fields, not on values: see ``FieldCondition/acceptsAbsence``.
  case absent

  @inline(__always)
  func accepts(text: RawSpan) -> Bool {
    switch self {
    case .text(let test): test.accepts(text)
    case .anythingBut(let exclusion): !exclusion.names(text: text)
    case .present: true
    case .number, .range, .word, .absent: false
    }
  }

  @inline(__always)
  func accepts(number: DecimalNumber, literal: RawSpan) -> Bool {
    switch self {
    case .number(let wanted): wanted.compare(number, literal) == 0
    case .range(let range): range.contains(number, literal)
    case .anythingBut(let exclusion): !exclusion.names(number: number, literal: literal)
    case .present: true
    case .text, .word, .absent: false
    }
  }

  @inline(__always)
  func accepts(word: JSONWord) -> Bool {
    switch self {
    case .word(let wanted): wanted == word
    // A value of another type is something else, null included.
    case .anythingBut, .present: true
    case .text, .number, .range, .absent: false
    }
  }
}

/// What a text must be like. Texts are compared byte by byte in UTF-8: nothing is normalised.
enum TextTest: Sendable {
  case equal([UInt8])
  case prefix([UInt8])
  case suffix([UInt8])
  case equalIgnoringCase(FoldedText)
  case prefixIgnoringCase(FoldedText)
  case suffixIgnoringCase(FoldedText)
  case wildcard(Wildcard)
  case address(AddressBlock)

  @inline(__always)
  func accepts(_ text: RawSpan) -> Bool {
    switch self {
    case .equal(let wanted): text.isEqual(to: wanted)
    case .prefix(let wanted): text.hasPrefix(wanted)
    case .suffix(let wanted): text.hasSuffix(wanted)
    case .equalIgnoringCase(let wanted): wanted.isEqual(to: text)
    case .prefixIgnoringCase(let wanted): wanted.isPrefix(of: text)
    case .suffixIgnoringCase(let wanted): wanted.isSuffix(of: text)
    case .wildcard(let wildcard): wildcard.matches(text)
    case .address(let block): block.contains(text)
    }
  }
}

/// The values that `anything-but` rules out: texts or numbers, never both.
enum Exclusion: Sendable {
  case texts([TextTest])
  case numbers([PatternNumber])

  func names(text: RawSpan) -> Bool {
    guard case .texts(let tests) = self else { return false }
    for test in tests where test.accepts(text) { return true }
    return false
  }

  func names(number: DecimalNumber, literal: RawSpan) -> Bool {
    guard case .numbers(let numbers) = self else { return false }
    for excluded in numbers where excluded.compare(number, literal) == 0 { return true }
    return false
  }
}

/// What `numeric` compares with: one bound, two that form a range, or one number.
struct NumericRange: Sendable {
  struct Bound: Sendable {
    var number: PatternNumber
    var isIncluded: Bool
  }

  var lower: Bound?
  var upper: Bound?

  func contains(_ number: DecimalNumber, _ literal: RawSpan) -> Bool {
    if let lower {
      let order = lower.number.compare(number, literal)
      guard order > 0 || lower.isIncluded && order == 0 else { return false }
    }
    if let upper {
      let order = upper.number.compare(number, literal)
      guard order < 0 || upper.isIncluded && order == 0 else { return false }
    }
    return true
  }
}
