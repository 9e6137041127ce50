@testable import Sluice
import Testing

@Suite("Parameters of a mapping: AWS's names, ranges, defaults and words")
struct ParameterTests {
  // MARK: One parameter

  static let integers: [(MappingParameter, inside: [Int], standard: Int)] = [
    (.batchSize, [1, 10_000], 100),
    (.maximumBatchingWindow, [0, 300], 0),
    (.parallelizationFactor, [1, 10], 1),
    (.maximumRecordAge, [-1, 60, 604_800], -1),
    (.maximumRetryAttempts, [-1, 0, 10_000], -1),
    (.tumblingWindow, [0, 900], 0),
  ]

  @Test("whole numbers: the ends of the range are inside, and the default is AWS's", arguments: integers)
  func insideRange(parameter: MappingParameter, inside: [Int], standard: Int) throws {
    for number in inside { #expect(try parameter.integer("\(number)") == number) }
    #expect(try parameter.integer(parameter.rule.standard) == standard)
    #expect(throws: ParameterProblem.self) { try parameter.integer("1.5") }
    #expect(throws: ParameterProblem.self) { try parameter.integer("") }
    #expect(throws: ParameterProblem.self) { try parameter.integer("99999999999999999999") }
  }

  static let outside: [(MappingParameter, Int, String)] = [
    (
      .batchSize, 0,
      "'0' at 'batchSize' failed to satisfy constraint: Member must have value greater than or equal to 1"
    ),
    (
      .batchSize, 10_001,
      "'10001' at 'batchSize' failed to satisfy constraint: Member must have value less than or equal to 10000"
    ),
    (
      .maximumBatchingWindow, 301,
      "'301' at 'maximumBatchingWindowInSeconds' failed to satisfy constraint: "
        + "Member must have value less than or equal to 300"
    ),
    (
      .maximumBatchingWindow, -1,
      "'-1' at 'maximumBatchingWindowInSeconds' failed to satisfy constraint: "
        + "Member must have value greater than or equal to 0"
    ),
    (
      .parallelizationFactor, 11,
      "'11' at 'parallelizationFactor' failed to satisfy constraint: Member must have value less than or equal to 10"
    ),
    (
      .parallelizationFactor, 0,
      "'0' at 'parallelizationFactor' failed to satisfy constraint: Member must have value greater than or equal to 1"
    ),
    (
      .tumblingWindow, 901,
      "'901' at 'tumblingWindowInSeconds' failed to satisfy constraint: Member must have value less than or equal to 900"
    ),
    (
      .maximumRetryAttempts, 10_001,
      "'10001' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value less than or equal to 10000"
    ),
    (
      .maximumRetryAttempts, -2,
      "'-2' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value greater than or equal to -1"
    ),
    (
      .maximumRecordAge, 604_801,
      "'604801' at 'maximumRecordAgeInSeconds' failed to satisfy constraint: "
        + "Member must have value less than or equal to 604800"
    ),
    (
      .maximumRecordAge, -2,
      "'-2' at 'maximumRecordAgeInSeconds' failed to satisfy constraint: "
        + "Member must have value greater than or equal to -1"
    ),
  ]

  @Test("outside of the range stands a constraint of the model", arguments: outside)
  func outsideRange(parameter: MappingParameter, number: Int, message: String) {
    let problem = #expect(throws: ParameterProblem.self) { try parameter.integer("\(number)") }
    #expect(problem?.aws?.type == "ValidationException")
    #expect(problem?.aws?.message == "1 validation error detected: Value " + message)
  }

  @Test("an age below a minute is refused by the service, in its own words", arguments: [0, 1, 59])
  func shortAge(seconds: Int) {
    let problem = #expect(throws: ParameterProblem.self) { try MappingParameter.maximumRecordAge.integer("\(seconds)") }
    #expect(
      problem?.aws
        == .invalidParameterValue(
          "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)"))
    #expect(problem?.rule == "must be -1 (forever) or a whole number of seconds from 60 to 604800")
  }

  @Test("an unknown starting position is answered with all that there are")
  func startingPosition() throws {
    for name in ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"] {
      #expect(try MappingParameter.startingPosition.choice(name) == name)
    }
    let problem = #expect(throws: ParameterProblem.self) { try MappingParameter.startingPosition.choice("X") }
    #expect(
      problem?.aws?.description
        == "ValidationException: 1 validation error detected: Value 'X' at 'startingPosition' failed to satisfy "
        + "constraint: Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]")
    #expect(
      AWSAnswer.startingPositionMissing.description
        == "InvalidParameterValueException: 1 validation error detected: Value null at 'startingPosition' failed to "
        + "satisfy constraint: Member must not be null.")
  }

  @Test("a moment lies between 1970 and now")
  func moment() throws {
    let parameter = MappingParameter.startingPositionTimestamp
    #expect(try parameter.moment(milliseconds: 0, now: 5) == 0)
    #expect(try parameter.moment(milliseconds: 5, now: 5) == 5)
    for bad in [-1, 6, nil] as [Int64?] {
      #expect(throws: ParameterProblem.self) { try parameter.moment(milliseconds: bad, now: 5) }
    }
  }

  @Test("response types and metrics are lists of known words")
  func lists() throws {
    #expect(try MappingParameter.functionResponseTypes.choices([]) == [])
    #expect(
      try MappingParameter.functionResponseTypes.choices(["ReportBatchItemFailures"]) == ["ReportBatchItemFailures"])
    let bad = #expect(throws: ParameterListProblem.self) {
      try MappingParameter.functionResponseTypes.choices(["Bad"])
    }
    #expect(bad?.position == 0)
    #expect(
      bad?.problem.aws?.message
        == "1 validation error detected: Value '[Bad]' at 'functionResponseTypes' failed to satisfy constraint: Member "
        + "must satisfy constraint: [Member must satisfy enum value set: [ReportBatchItemFailures], Member must not be null]"
    )
    let twice = #expect(throws: ParameterListProblem.self) {
      try MappingParameter.functionResponseTypes.choices(["ReportBatchItemFailures", "ReportBatchItemFailures"])
    }
    #expect(twice?.position == nil)
    #expect(try MappingParameter.metrics.choices(["EventCount"]) == ["EventCount"])
    #expect(throws: ParameterListProblem.self) { try MappingParameter.metrics.choices(["EventCount", "KafkaMetrics"]) }
  }

  @Test("true and false are written in any case, and nothing else is")
  func booleans() throws {
    for parameter in [MappingParameter.enabled, .bisectsBatch] {
      #expect(try parameter.boolean("true"))
      #expect(try parameter.boolean("True"))
      #expect(try !parameter.boolean("false"))
      for bad in ["", "1", "yes"] { #expect(throws: ParameterProblem.self) { try parameter.boolean(bad) } }
    }
    #expect(MappingParameter.enabled.rule.standard == "true")
    #expect(MappingParameter.bisectsBatch.rule.standard == "false")
  }

  @Test("several broken constraints are answered in one message")
  func together() {
    #expect(
      AWSAnswer.message(ofConstraints: ["Value a", "Value b"]) == "2 validation errors detected: Value a; Value b")
  }

  // MARK: Several parameters

  static let combinations: [(String, @Sendable (inout ParameterCombination) -> Void, MappingParameter, String?)] = [
    (
      "a timestamp with another position", { $0.hasTimestamp = true }, .startingPositionTimestamp,
      "Timestamp only valid with StartingPosition AT_TIMESTAMP"
    ),
    (
      "AT_TIMESTAMP without a timestamp", { $0.startingPosition = "AT_TIMESTAMP" }, .startingPositionTimestamp, nil
    ),
    (
      "AT_TIMESTAMP on a table",
      {
        $0.startingPosition = "AT_TIMESTAMP"
        $0.hasTimestamp = true
        $0.source = .dynamoDB(arn: "arn:aws:dynamodb:r:1:table/t/stream/l")
      }, .startingPosition, "Unsupported starting position for arn type: arn:aws:dynamodb:r:1:table/t/stream/l"
    ),
    (
      "several lanes in tumbling windows",
      {
        $0.tumblingWindowSeconds = 1
        $0.parallelizationFactor = 2
      }, .parallelizationFactor,
      "Parallelization factor must be equal to 1 when tumbling window period is configured"
    ),
    (
      "a filter in tumbling windows",
      {
        $0.tumblingWindowSeconds = 900
        $0.filterCount = 1
      }, .filters, nil
    ),
    (
      "OnSuccess", { $0.hasOnSuccess = true }, .destination,
      "OnSuccess configuration is not supported for event source mappings."
    ),
    (
      "two ages",
      {
        $0.hasMaximumRecordAge = true
        $0.hasOwnMaximumRecordAge = true
      }, .ownMaximumRecordAge, nil
    ),
  ]

  @Test("what goes not together is refused once, with the parameter to blame", arguments: combinations)
  func together(
    name: String, change: @Sendable (inout ParameterCombination) -> Void, parameter: MappingParameter, message: String?
  ) {
    var combination = ParameterCombination()
    change(&combination)
    let problems = combination.problems
    #expect(problems.map(\.parameter) == [parameter])
    #expect(problems.first?.aws == message.map { .invalidParameterValue($0) })
  }

  @Test("what goes together is not refused")
  func allowed() {
    #expect(ParameterCombination().problems.isEmpty)
    var combination = ParameterCombination()
    combination.startingPosition = "AT_TIMESTAMP"
    combination.hasTimestamp = true
    combination.tumblingWindowSeconds = 900
    #expect(combination.problems.isEmpty)
    combination = ParameterCombination()
    combination.parallelizationFactor = 10
    combination.filterCount = 5
    combination.hasOwnMaximumRecordAge = true
    #expect(combination.problems.isEmpty)
  }

  // MARK: Changes

  @Test(
    "when a change takes effect",
    arguments: [
      (.stream, .refused), (.name, .refused), (.startingPosition, .refused), (.startingPositionTimestamp, .refused),
      (.function, .nextDelivery), (.functionResponseTypes, .nextDelivery), (.batchSize, .nextBatch),
      (.maximumBatchingWindow, .atOnce), (.maximumRecordAge, .atOnce), (.ownMaximumRecordAge, .atOnce),
      (.maximumRetryAttempts, .atOnce), (.bisectsBatch, .atOnce), (.metrics, .afterDraining),
      (.enabled, .afterDraining),
      (.parallelizationFactor, .afterDraining), (.tumblingWindow, .afterDraining), (.destination, .afterDraining),
      (.filters, .afterDraining),
    ] as [(MappingParameter, ChangeMoment)])
  func change(parameter: MappingParameter, moment: ChangeMoment) {
    #expect(parameter.rule.change == moment)
  }
}
