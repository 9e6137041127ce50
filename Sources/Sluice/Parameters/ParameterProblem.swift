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

/// An error of AWS Lambda about an event source mapping. HTTP 400, but for a conflict, which is 409.
public enum AWSAnswer: Hashable, Sendable, CustomStringConvertible {
  /// A constraint of the service model is broken. Several are answered together.
  case validation(constraint: String)
  /// `InvalidParameterValueException`
  case invalidParameterValue(String)
  /// `ResourceConflictException`
  case resourceConflict(String)

  /// The header `x-amzn-ErrorType`.
  public var type: String {
    switch self {
    case .validation: "ValidationException"
    case .invalidParameterValue: "InvalidParameterValueException"
    case .resourceConflict: "ResourceConflictException"
    }
  }

  public var message: String {
    switch self {
    case .validation(let constraint): Self.message(ofConstraints: [constraint])
    case .invalidParameterValue(let message), .resourceConflict(let message): message
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

  public static let functionMissing = AWSAnswer.invalidParameterValue("Function does not exist")

  public static func streamMissing(arn: String) -> AWSAnswer { .invalidParameterValue("Stream not found: \(arn)") }

  /// A second mapping of the same source to the same function. `existing` is a UUID on AWS, and a name here. The blanks within
  /// the quotes are AWS's.
  public static func mappingExists(source arn: String, function: String, existing: String) -> AWSAnswer {
    .resourceConflict(
      "The event source arn (\" \(arn) \") and function (\" \(function) \") provided mapping already exists. "
        + "Please update or delete the existing mapping with UUID \(existing)")
  }

  public static let invalidFilterPattern = AWSAnswer.invalidParameterValue("Invalid filter pattern definition.")
}
