/// What the rules over several parameters of a mapping look at.
public struct ParameterCombination: Hashable, Sendable {
  public var startingPosition = "TRIM_HORIZON"
  public var hasTimestamp = false
  public var hasMaximumRecordAge = false
  public var hasOwnMaximumRecordAge = false
  public var parallelizationFactor = 1
  public var tumblingWindowSeconds = 0
  public var filterCount = 0
  public var hasOnSuccess = false
  /// The kind of stream, and the name that AWS uses for it in its messages.
  public var source = Source.kinesis

  public init() {}

  public enum Source: Hashable, Sendable {
    case kinesis
    case dynamoDB(arn: String)
  }

  /// Each rule that is broken, with the parameter to blame: that of the narrower meaning.
  public var problems: [ParameterProblem] {
    var problems: [ParameterProblem] = []
    func refuse(_ parameter: MappingParameter, _ text: String) {
      problems.append(ParameterProblem(parameter, text, aws: .invalidParameterValue(text)))
    }
    if hasTimestamp, startingPosition != "AT_TIMESTAMP" {
      problems.append(
        ParameterProblem(
          .startingPositionTimestamp, "is only valid with StartingPosition AT_TIMESTAMP",
          aws: .invalidParameterValue("Timestamp only valid with StartingPosition AT_TIMESTAMP")))
    }
    if startingPosition == "AT_TIMESTAMP" {
      if case .dynamoDB(let arn) = source {
        refuse(.startingPosition, "Unsupported starting position for arn type: \(arn)")
      }
      if !hasTimestamp {
        problems.append(
          ParameterProblem(.startingPositionTimestamp, "is missing: StartingPosition AT_TIMESTAMP needs it"))
      }
    }
    if hasMaximumRecordAge, hasOwnMaximumRecordAge {
      problems.append(
        ParameterProblem(
          .ownMaximumRecordAge, "must not stand beside MaximumRecordAgeInSeconds: they set the same"))
    }
    if tumblingWindowSeconds > 0, parallelizationFactor > 1 {
      refuse(
        .parallelizationFactor, "Parallelization factor must be equal to 1 when tumbling window period is configured")
    }
    if tumblingWindowSeconds > 0, filterCount > 0 {
      // AWS refuses it too; its words are not known.
      problems.append(
        ParameterProblem(.filters, "Filter criteria is not supported when tumbling window period is configured"))
    }
    if hasOnSuccess {
      refuse(.destination, "OnSuccess configuration is not supported for event source mappings.")
    }
    return problems
  }
}
