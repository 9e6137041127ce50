/// Everything that is wrong with the patterns of one mapping, in their order.
public struct PatternError: Error, Hashable, Sendable, CustomStringConvertible {
  public var problems: [PatternProblem]

  /// One problem a line.
  public var description: String { problems.map(\.description).joined(separator: "\n") }

  /// All that AWS says about any of them (`InvalidParameterValueException`).
  public static let awsMessage = "Invalid filter pattern definition."
}

/// One thing that is wrong with a pattern.
public struct PatternProblem: Hashable, Sendable, CustomStringConvertible {
  /// From 0; `nil` if the problem is the number of patterns.
  public var pattern: Int?
  /// From the pattern's top, as in `$.data.type[0].numeric`.
  public var path: String
  /// What stands there, cut after 60 characters.
  public var value: String
  /// What is wrong, in the words of EventBridge where it has any.
  public var rule: String

  public init(pattern: Int?, path: String, value: String, rule: String) {
    self.pattern = pattern
    self.path = path
    self.value = value
    self.rule = rule
  }

  /// `Filters[0].Pattern: $.data.type: []: Empty arrays are not allowed`
  public var description: String {
    let place = pattern.map { "Filters[\($0)].Pattern" } ?? "Filters"
    return [place, path, value, rule].filter { !$0.isEmpty }.joined(separator: ": ")
  }
}

/// Something in a pattern that is allowed but probably not meant.
public struct PatternAdvice: Hashable, Sendable, CustomStringConvertible {
  /// From 0.
  public var pattern: Int
  public var path: String
  public var sentence: String

  public var description: String { "Filters[\(pattern)].Pattern: \(path): \(sentence)" }
}
