/// A parameter that breaks its rule.
public struct ParameterProblem: Error, Hashable, Sendable {
  public var parameter: MappingParameter
  /// What should stand there.
  public var rule: String
  /// What AWS answers, where that is known.
  public var aws: AWSAnswer?

  public init(_ parameter: MappingParameter, _ rule: String, aws: AWSAnswer? = nil) {
    self.parameter = parameter
    self.rule = rule
    self.aws = aws
  }
}

/// An error of AWS Lambda about an event source mapping. Both kinds are HTTP 400.
public enum AWSAnswer: Hashable, Sendable, CustomStringConvertible {
  /// A constraint of the service model is broken. Several are answered together.
  case validation(constraint: String)
  /// `InvalidParameterValueException`
  case invalidParameterValue(String)

  /// The header `x-amzn-ErrorType`.
  public var type: String {
    switch self {
    case .validation: "ValidationException"
    case .invalidParameterValue: "InvalidParameterValueException"
    }
  }

  public var message: String {
    switch self {
    case .validation(let constraint): Self.message(ofConstraints: [constraint])
    case .invalidParameterValue(let message): message
    }
  }

  /// All broken constraints in one message.
  public static func message(ofConstraints constraints: [String]) -> String {
    "\(constraints.count) validation error\(constraints.count == 1 ? "" : "s") detected: "
      + constraints.joined(separator: "; ")
  }

  public var description: String { "\(type): \(message)" }

  static func value(_ value: String, at parameter: MappingParameter, breaks constraint: String) -> AWSAnswer {
    .validation(
      constraint: "Value '\(value)' at '\(parameter.memberName)' failed to satisfy constraint: \(constraint)")
  }

  /// `StartingPosition` has no default on AWS. The model's own constraint, answered by the service.
  public static let startingPositionMissing = AWSAnswer.invalidParameterValue(
    message(ofConstraints: [
      "Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."
    ]))

  public static let invalidFilterPattern = AWSAnswer.invalidParameterValue("Invalid filter pattern definition.")
}
