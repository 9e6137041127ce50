/// A setting of an event source mapping, under the name that it has in a configuration. Names that begin with a capital
/// are those of AWS.
public enum MappingParameter: String, Hashable, Sendable, CaseIterable {
  case stream
  case function
  case name
  case enabled = "Enabled"
  case startingPosition = "StartingPosition"
  case startingPositionTimestamp = "StartingPositionTimestamp"
  case batchSize = "BatchSize"
  case maximumBatchingWindow = "MaximumBatchingWindowInSeconds"
  case parallelizationFactor = "ParallelizationFactor"
  case maximumRecordAge = "MaximumRecordAgeInSeconds"
  /// Ours, in place of the one before: AWS takes no age below a minute.
  case ownMaximumRecordAge = "maximumRecordAge"
  case maximumRetryAttempts = "MaximumRetryAttempts"
  case bisectsBatch = "BisectBatchOnFunctionError"
  case functionResponseTypes = "FunctionResponseTypes"
  case tumblingWindow = "TumblingWindowInSeconds"
  case destination = "DestinationConfig"
  /// Ours: what some failures lead to instead.
  case retryRules
  /// Ours: what a failing record holds up, and how much of a lane may wait for keys of its own.
  case blocking
  case parkedKeyLimit
  case parkedRecordLimit
  case parkedDeliveryLimit
  /// Ours: from how many invocations, one after the other, a record may come.
  case recursiveLoopLimit
  case filters = "FilterCriteria"
  case metrics = "MetricsConfig"

  /// AWS has no such parameter, and no words for what is wrong with it.
  var isOurs: Bool { rawValue.first?.isLowercase ?? false }

  /// As AWS names it in its messages: the first letter is small.
  var memberName: String { rawValue.prefix(1).lowercased() + rawValue.dropFirst() }
}

/// When a changed value of a mapping that runs takes effect.
///
/// Whatever changes, a batch that is being retried keeps its records and the attempts it has used up.
public enum ChangeMoment: String, Hashable, Sendable, Codable, CaseIterable {
  /// Now: open windows, waits and limits are looked at again.
  case atOnce
  /// With the next batch that is formed. One that is frozen or in flight stays as it is.
  case nextBatch
  /// With the next delivery, be it of a batch under retry.
  case nextDelivery
  /// The lanes start nothing new, what is in flight ends, and then they go on with the new value: order demands it.
  case afterDraining
  /// When the process starts the next time.
  case restart
  /// Not at all; something else has to be done for it. The rest of the configuration applies.
  case notTaken
  /// Never: it is fixed when the mapping is made.
  case refused

  /// For people.
  public var sentence: String {
    switch self {
    case .atOnce: "at once"
    case .nextBatch: "with the next batch"
    case .nextDelivery: "with the next delivery"
    case .afterDraining: "after draining the lanes"
    case .restart: "after a restart"
    case .notTaken: "not taken"
    case .refused: "refused: it is fixed when the mapping is made"
    }
  }
}
