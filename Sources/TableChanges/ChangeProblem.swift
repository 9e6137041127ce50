/// Why the data of a record is not a change of a table: the field, its value, and the rule that it breaks.
public struct ChangeProblem: Error, Hashable, Sendable, CustomStringConvertible {
  /// The path from the top of the record, as `dynamodb.Keys.id`; `Data` for the whole.
  public var field: String
  /// The beginning of it.
  public var value: String
  public var rule: String

  init(_ field: String, _ value: String, _ rule: String) {
    self.field = field
    self.value = value
    self.rule = rule
  }

  /// The same, seen from one level above.
  func inside(_ name: String) -> ChangeProblem { ChangeProblem(field.isEmpty ? name : "\(name).\(field)", value, rule) }

  public var description: String { "\(field) is \(value): \(rule)" }
}
