// Reading the elements of a field's list: plain values, and objects with one operator.

extension PatternReader {
  /// The matcher that `element` describes; `nil` with a problem reported if it describes none.
  mutating func matcher(_ element: JSONValue, _ place: Place) -> ValueMatcher? {
    switch element.content {
    case .string(let text): return .text(.equal(text))
    case .number(let text): return .number(PatternNumber(text))
    case .word(let word): return .word(word)
    case .array:
      report(place.path, element, "Match value must be String, number, true, false, or null")
      return nil
    case .object(let members):
      guard let first = members.first else {
        report(place.path, element, "Match expression name not found")
        return nil
      }
      guard members.count == 1 else {
        report(place.path, element, "Only one key allowed in match expression")
        return nil
      }
      return matcher(String(decoding: first.key, as: UTF8.self), first.value, place.member(first.key))
    }
  }

  private mutating func matcher(_ name: String, _ value: JSONValue, _ place: Place) -> ValueMatcher? {
    switch name {
    case "exists": return exists(value, place)
    case "numeric": return numeric(value, place)
    case "anything-but": return exclusion(value, place).map(ValueMatcher.anythingBut)
    case "prefix", "suffix": return end(name, value, place).map(ValueMatcher.text)
    case "equals-ignore-case":
      return text(name, value, place).map { .text(.equalIgnoringCase(FoldedText($0))) }
    case "wildcard":
      adviseUndocumented(name, place)
      return wildcard(value, place).map { .text(.wildcard($0)) }
    case "cidr":
      adviseUndocumented(name, place)
      return addressBlock(value, place).map { .text(.address($0)) }
    default:
      report(place.path, value, "Unrecognized match type \(name)")
      return nil
    }
  }

  private mutating func exists(_ value: JSONValue, _ place: Place) -> ValueMatcher? {
    guard case .word(let word) = value.content, word != .null else {
      report(place.path, value, "exists match pattern must be either true or false.")
      return nil
    }
    return word == .true ? .present : .absent
  }

  private mutating func text(_ name: String, _ value: JSONValue, _ place: Place) -> [UInt8]? {
    if let text = value.text { return text }
    report(place.path, value, "\(name) match pattern must be a string")
    return nil
  }

  /// `{"prefix":"a"}` or `{"prefix":{"equals-ignore-case":"a"}}`, and the same with `suffix`.
  private mutating func end(_ name: String, _ value: JSONValue, _ place: Place) -> TextTest? {
    let isPrefix = name == "prefix"
    if case .object(let members) = value.content {
      guard members.count == 1, members[0].key == Array("equals-ignore-case".utf8) else {
        report(place.path, value, "\(name) match pattern must be a string")
        return nil
      }
      adviseUndocumented("\(name) with equals-ignore-case", place)
      guard let folded = text("equals-ignore-case", members[0].value, place.member(members[0].key)) else { return nil }
      return isPrefix ? .prefixIgnoringCase(FoldedText(folded)) : .suffixIgnoringCase(FoldedText(folded))
    }
    return text(name, value, place).map { isPrefix ? .prefix($0) : .suffix($0) }
  }

  private mutating func wildcard(_ value: JSONValue, _ place: Place) -> Wildcard? {
    guard let text = text("wildcard", value, place) else { return nil }
    do {
      let wildcard = try Wildcard(text)
      guard wildcard.starCount > wildcardStars else { return wildcard }
      report(
        place.path, value,
        "Rule is too complex - try using fewer wildcard characters: at most \(wildcardStars), here \(wildcard.starCount)"
      )
    } catch {
      report(place.path, value, error.rule)
    }
    return nil
  }

  private mutating func addressBlock(_ value: JSONValue, _ place: Place) -> AddressBlock? {
    guard let text = value.text else {
      // The words of EventBridge, odd as they are.
      report(place.path, value, "prefix match pattern must be a string")
      return nil
    }
    do {
      return try AddressBlock(text)
    } catch {
      report(place.path, value, error.rule)
      return nil
    }
  }

  private mutating func adviseUndocumented(_ name: String, _ place: Place) {
    advise(place.path, "Lambda does not document \(name); EventBridge has it")
  }

  // MARK: numeric

  private mutating func numeric(_ value: JSONValue, _ place: Place) -> ValueMatcher? {
    guard case .array(let elements) = value.content else {
      report(place.path, value, "Value of numeric must be an array.")
      return nil
    }
    if isDynamoDBNumber(place) {
      advise(place.path, "never matches: a DynamoDB number is a text. Use equality, prefix or anything-but with texts")
    }
    guard !elements.isEmpty else {
      report(place.path, value, "Invalid member in numeric match: ]")
      return nil
    }
    var bounds: [NumericBound] = []
    for position in stride(from: 0, to: elements.count, by: 2) {
      guard let bound = bound(elements, position, place) else { return nil }
      bounds.append(bound)
    }
    return range(bounds, elements, value, place).map(ValueMatcher.range)
  }

  private struct NumericBound {
    var comparison: String
    var number: PatternNumber

    var isIncluded: Bool { comparison.hasSuffix("=") }
    var isLower: Bool { comparison.hasPrefix(">") }
  }

  /// The operator at `position` and the number behind it.
  private mutating func bound(_ elements: [JSONValue], _ position: Int, _ place: Place) -> NumericBound? {
    guard let name = elements[position].text else {
      report(place.element(position).path, elements[position], "Invalid member in numeric match: must be an operator")
      return nil
    }
    let comparison = String(decoding: name, as: UTF8.self)
    guard ["=", "<", "<=", ">", ">="].contains(comparison) else {
      report(
        place.element(position).path, elements[position], "Unrecognized numeric range operator: \(comparison)")
      return nil
    }
    guard position + 1 < elements.count, case .number(let text) = elements[position + 1].content else {
      let value = position + 1 < elements.count ? elements[position + 1] : elements[position]
      report(place.element(position + 1).path, value, "Value of \(comparison) must be numeric")
      return nil
    }
    let number = PatternNumber(text)
    guard number.isHeldByDouble else {
      report(
        place.element(position + 1).path, elements[position + 1],
        "Cannot compare number : \(String(decoding: text, as: UTF8.self))")
      return nil
    }
    return NumericBound(comparison: comparison, number: number)
  }

  private mutating func range(
    _ bounds: [NumericBound], _ elements: [JSONValue], _ value: JSONValue, _ place: Place
  ) -> NumericRange? {
    let first = bounds[0]
    let firstBound = NumericRange.Bound(number: first.number, isIncluded: first.isIncluded)
    if bounds.count == 1 {
      if first.comparison == "=" { return NumericRange(lower: firstBound, upper: firstBound) }
      return first.isLower ? NumericRange(lower: firstBound) : NumericRange(upper: firstBound)
    }
    // Only a lower bound may be followed by something.
    guard bounds.count == 2, first.isLower else {
      report(place.path, value, "Too many elements in numeric expression")
      return nil
    }
    let second = bounds[1]
    guard second.comparison.hasPrefix("<") else {
      report(place.element(2).path, elements[2], "Bad numeric range operator: \(second.comparison)")
      return nil
    }
    guard unsafe first.number.compare(second.number.value, second.number.text.span.bytes) > 0 else {
      report(place.path, value, "Bottom must be less than top")
      return nil
    }
    return NumericRange(
      lower: firstBound, upper: NumericRange.Bound(number: second.number, isIncluded: second.isIncluded))
  }

  // MARK: anything-but

  private mutating func exclusion(_ value: JSONValue, _ place: Place) -> Exclusion? {
    switch value.content {
    case .string(let text): return .texts([.equal(text)])
    case .number(let text): return .numbers([PatternNumber(text)])
    case .array(let elements): return exclusion(of: elements, value, place)
    case .object(let members):
      guard members.count == 1 else {
        report(place.path, value, "Only one key allowed in match expression")
        return nil
      }
      let name = String(decoding: members[0].key, as: UTF8.self)
      adviseUndocumented("anything-but with \(name)", place)
      return nestedExclusion(name, members[0].value, place.member(members[0].key))
    case .word:
      report(place.path, value, "Value of anything-but must be an array or single string/number value.")
      return nil
    }
  }

  private mutating func exclusion(of elements: [JSONValue], _ value: JSONValue, _ place: Place) -> Exclusion? {
    var texts: [TextTest] = []
    var numbers: [PatternNumber] = []
    var areAllValues = true
    for (position, element) in elements.enumerated() {
      switch element.content {
      case .string(let text): texts.append(.equal(text))
      case .number(let text): numbers.append(PatternNumber(text))
      case .array, .object, .word:
        areAllValues = false
        report(
          place.element(position).path, element,
          "Inside anything but list, start|null|boolean is not supported.")
      }
    }
    guard areAllValues else { return nil }
    guard texts.isEmpty != numbers.isEmpty else {
      report(
        place.path, value,
        "Inside anything but list, either all values are number or string, mixed type is not supported")
      return nil
    }
    return numbers.isEmpty ? .texts(texts) : .numbers(numbers)
  }

  /// `{"prefix":…}`, `{"suffix":…}`, `{"equals-ignore-case":…}` or `{"wildcard":…}`, each with a text or a list of texts.
  private mutating func nestedExclusion(_ name: String, _ value: JSONValue, _ place: Place) -> Exclusion? {
    guard ["prefix", "suffix", "equals-ignore-case", "wildcard"].contains(name) else {
      report(place.path, value, "Unsupported anything-but pattern: \(name)")
      return nil
    }
    var elements = [value]
    if case .array(let list) = value.content {
      if list.isEmpty { report(place.path, value, "Empty arrays are not allowed") }
      elements = list
    }
    var tests: [TextTest] = []
    for (position, element) in elements.enumerated() {
      let inner = value.isArray ? place.element(position) : place
      if let test = excluded(name, element, inner) { tests.append(test) }
    }
    return tests.count == elements.count && !tests.isEmpty ? .texts(tests) : nil
  }

  private mutating func excluded(_ name: String, _ value: JSONValue, _ place: Place) -> TextTest? {
    switch name {
    case "wildcard": return wildcard(value, place).map(TextTest.wildcard)
    case "equals-ignore-case":
      if let text = value.text { return .equalIgnoringCase(FoldedText(text)) }
      report(
        place.path, value,
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.")
      return nil
    default:
      guard let text = value.text else {
        report(place.path, value, "prefix/suffix match pattern must be a string")
        return nil
      }
      guard !text.isEmpty else {
        report(place.path, value, "Null prefix/suffix not allowed")
        return nil
      }
      return name == "prefix" ? .prefix(text) : .suffix(text)
    }
  }
}
