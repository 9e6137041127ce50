import StreamRuntime

/// What may stand in a parameter, what it is when nothing does, and when a change takes effect.
public struct ParameterRule: Hashable, Sendable {
  public var values: Values
  /// As one would write it; empty when there is none.
  public var standard: String
  public var isRequired = false
  public var change: ChangeMoment
  /// For people, in one phrase.
  public var meaning: String

  public enum Values: Hashable, Sendable {
    /// 1 to 128 letters, digits, `_`, `.` and `-`.
    case name
    case boolean
    /// A whole number in the range, or `-1` where that stands for no end.
    case integer(ClosedRange<Int>, unit: String, endless: Endless?)
    case choice([String])
    /// A list of some of these, of so many at most.
    case choices([String], limit: Int)
    /// Unix seconds or an ISO 8601 time, not in the future.
    case moment
    /// Seconds and less, with a unit.
    case duration(ClosedRange<Duration>)
    /// `{Filters: [{Pattern: TEXT}]}`
    case filters(limit: Int)
    /// `[{when: …, then: …}]`
    case retryRules(limit: Int)
    /// `{OnFailure: {Destination: TEXT}}`
    case destination(characterLimit: Int)
  }

  /// What `-1` means, and whether AWS knows it as part of the range or as an exception to it.
  public struct Endless: Hashable, Sendable {
    public var meaning: String
    public var isException = false
  }
}

extension MappingParameter {
  /// For parameters of whole numbers, without what stands for no end.
  var range: ClosedRange<Int> {
    guard case .integer(let range, _, _) = rule.values else { preconditionFailure("\(rawValue) is no whole number") }
    return range
  }

  /// The rule of this parameter. Source of ranges and defaults: the service model of AWS Lambda, API version 2015-03-31.
  public var rule: ParameterRule {
    switch self {
    case .stream:
      ParameterRule(
        values: .name, standard: "", isRequired: true, change: .refused, meaning: "a stream of this configuration")
    case .function:
      ParameterRule(
        values: .name, standard: "", isRequired: true, change: .nextDelivery,
        meaning: "a function of this configuration")
    case .name:
      ParameterRule(
        values: .name, standard: "STREAM-FUNCTION", change: .refused,
        meaning: "progress is kept under it; another name is another mapping, so give one if the function may change")
    case .enabled:
      ParameterRule(
        values: .boolean, standard: "true", change: .afterDraining,
        meaning: "false: nothing is delivered, checkpoints are kept")
    case .startingPosition:
      ParameterRule(
        values: .choice(["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]), standard: "TRIM_HORIZON", change: .refused,
        meaning: "where a new mapping begins; required on AWS")
    case .startingPositionTimestamp:
      ParameterRule(
        values: .moment, standard: "", change: .refused, meaning: "with AT_TIMESTAMP, and only with it")
    case .batchSize:
      ParameterRule(
        values: .integer(1...10_000, unit: "records", endless: nil), standard: "100", change: .nextBatch,
        meaning: "records per delivery at most")
    case .maximumBatchingWindow:
      ParameterRule(
        values: .integer(0...300, unit: "seconds", endless: nil), standard: "0", change: .atOnce,
        meaning: "how long to wait for a full batch")
    case .parallelizationFactor:
      ParameterRule(
        values: .integer(1...10, unit: "lanes", endless: nil), standard: "1", change: .afterDraining,
        meaning: "batches of a shard at once; in order per partition key")
    case .maximumRecordAge:
      ParameterRule(
        values: .integer(60...604_800, unit: "seconds", endless: .init(meaning: "forever", isException: true)),
        standard: "-1", change: .atOnce, meaning: "older records leave undelivered")
    case .ownMaximumRecordAge:
      ParameterRule(
        values: .duration(.milliseconds(1)...(.seconds(604_800))), standard: "", change: .atOnce,
        meaning: "ours, instead of the line above: AWS takes no age below a minute")
    case .maximumRetryAttempts:
      ParameterRule(
        values: .integer(0...10_000, unit: "retries", endless: .init(meaning: "without end")), standard: "-1",
        change: .atOnce, meaning: "N means N+1 deliveries at most")
    case .bisectsBatch:
      ParameterRule(
        values: .boolean, standard: "false", change: .atOnce,
        meaning: "a failing batch of several records is split in two, at once and without using up a retry")
    case .functionResponseTypes:
      ParameterRule(
        values: .choices(["ReportBatchItemFailures"], limit: 1), standard: "[]", change: .nextDelivery,
        meaning: "the handler may name the record that failed")
    case .tumblingWindow:
      ParameterRule(
        values: .integer(0...900, unit: "seconds", endless: nil), standard: "0", change: .afterDraining,
        meaning: "state is carried along in windows of this length; 0: none")
    case .destination:
      ParameterRule(
        values: .destination(characterLimit: 350), standard: "{OnFailure: {}}", change: .afterDraining,
        meaning: "where a document about given-up records goes")
    case .retryRules:
      ParameterRule(
        values: .retryRules(limit: RetryRule.limit), standard: "[]", change: .afterDraining,
        meaning: "ours: what some failures lead to instead; see [docs/retry-rules.md](../docs/retry-rules.md)")
    case .blocking:
      ParameterRule(
        values: .choice(["shard", "key"]), standard: "shard", change: .afterDraining,
        meaning: "ours: what a failing record holds up; see [docs/blocking-by-key.md](../docs/blocking-by-key.md)")
    case .parkedKeyLimit:
      ParameterRule(
        values: .integer(EventSourceMapping.Blocking.keyLimits, unit: "keys", endless: nil), standard: "1000",
        change: .atOnce, meaning: "with `blocking: key`: keys of a lane that may wait")
    case .parkedRecordLimit:
      ParameterRule(
        values: .integer(EventSourceMapping.Blocking.recordLimits, unit: "records", endless: nil), standard: "100000",
        change: .atOnce, meaning: "with `blocking: key`: records of theirs")
    case .parkedDeliveryLimit:
      ParameterRule(
        values: .integer(EventSourceMapping.Blocking.deliveryLimits, unit: "deliveries", endless: nil), standard: "2",
        change: .afterDraining, meaning: "with `blocking: key`: deliveries of theirs at once, beside the lane's own")
    case .recursiveLoopLimit:
      ParameterRule(
        values: .integer(EventSourceMapping.recursiveLoopLimits, unit: "invocations", endless: .init(meaning: "off")),
        standard: "16", change: .atOnce,
        meaning: "ours: records that come from so many, one after the other, are not delivered; see "
          + "[docs/functions.md](../docs/functions.md#loops)")
    case .filters:
      ParameterRule(
        values: .filters(limit: 5), standard: "{}", change: .afterDraining,
        meaning: "a record must match one pattern to be delivered; see `sluice filter test`")
    case .metrics:
      ParameterRule(
        values: .choices(["EventCount"], limit: 3), standard: "{Metrics: [EventCount]}", change: .afterDraining,
        meaning: "the counters of records; an empty list leaves them out, as AWS does by default")
    }
  }
}
