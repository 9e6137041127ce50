/// Reads what stands in a parameter. Throws the rule that it breaks.
extension MappingParameter {
  /// For parameters of whole numbers; `-1` where that stands for no end.
  public func integer(_ text: String) throws(ParameterProblem) -> Int {
    guard case .integer(let range, let unit, let endless) = rule.values else {
      preconditionFailure("\(rawValue) is no whole number")
    }
    let number = Int(text)
    if let number, range.contains(number) || (endless != nil && number == -1) { return number }
    let bounds = "a whole number of \(unit) from \(range.lowerBound) to \(range.upperBound)"
    throw ParameterProblem(
      self, "must be " + (endless.map { "-1 (\($0.meaning)) or " } ?? "") + bounds,
      aws: isOurs ? nil : number.map { outOfRange($0, range, endless) })
  }

  private func outOfRange(
    _ number: Int, _ range: ClosedRange<Int>, _ endless: ParameterRule.Endless?
  ) -> AWSAnswer {
    if number > range.upperBound {
      return .value("\(number)", at: self, breaks: "Member must have value less than or equal to \(range.upperBound)")
    }
    if let endless, endless.isException, number >= 0 {
      return .invalidParameterValue(
        "\(rawValue) must be either -1 (\(endless.meaning)) or between \(range.lowerBound) and "
          + "\(range.upperBound) (inclusive)")
    }
    let least = endless == nil ? range.lowerBound : -1
    return .value("\(number)", at: self, breaks: "Member must have value greater than or equal to \(least)")
  }

  /// For parameters that are true or false.
  public func boolean(_ text: String) throws(ParameterProblem) -> Bool {
    guard let value = Bool(text.lowercased()) else { throw ParameterProblem(self, "must be true or false") }
    return value
  }

  /// For parameters that are one of a few words.
  public func choice(_ text: String) throws(ParameterProblem) -> String {
    guard case .choice(let known) = rule.values else { preconditionFailure("\(rawValue) is no choice") }
    guard known.contains(text) else {
      // The order of the enumeration in the message is not that of the documentation.
      let set = self == .startingPosition ? ["LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"] : known
      throw ParameterProblem(
        self, "must be one of \(known.joined(separator: ", "))",
        aws: isOurs
          ? nil
          : .value(text, at: self, breaks: "Member must satisfy enum value set: [\(set.joined(separator: ", "))]"))
    }
    return text
  }

  /// For lists of words. The problem of a word carries its position.
  public func choices(_ texts: [String]) throws(ParameterListProblem) -> [String] {
    guard case .choices(let known, let limit) = rule.values else { preconditionFailure("\(rawValue) is no list") }
    if let position = texts.firstIndex(where: { !known.contains($0) }) {
      let words = known.joined(separator: ", ")
      throw ParameterListProblem(
        position: position,
        problem: ParameterProblem(
          self, known.count == 1 ? "must be \(words)" : "must be one of \(words)",
          aws: self == .functionResponseTypes
            ? .value(
              "[\(texts.joined(separator: ", "))]", at: self,
              breaks:
                "Member must satisfy constraint: [Member must satisfy enum value set: [\(words)], "
                + "Member must not be null]") : nil))
    }
    guard texts.count <= limit else {
      throw ParameterListProblem(
        position: nil,
        problem: ParameterProblem(self, "must have at most \(limit) entr\(limit == 1 ? "y" : "ies")"))
    }
    return texts
  }

  /// For `StartingPositionTimestamp`, already read as milliseconds since 1970; `nil` is what could not be read.
  public func moment(milliseconds: Int64?, now: Int64) throws(ParameterProblem) -> Int64 {
    guard let milliseconds, (0...now).contains(milliseconds) else {
      throw ParameterProblem(
        self, "must be Unix seconds or a time like 2026-01-31T12:00:00Z, not in the future")
    }
    return milliseconds
  }
}

/// A list of words that breaks a rule: as a whole, or with one word.
public struct ParameterListProblem: Error, Hashable, Sendable {
  public var position: Int?
  public var problem: ParameterProblem
}
