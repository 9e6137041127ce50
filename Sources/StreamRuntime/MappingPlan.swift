public import ShardCore
public import StreamModel
public import StreamStore

/// A mapping to run: a stream, a handler, and the rules between them.
public struct MappingPlan: Sendable {
  public var name: String
  public var stream: String
  /// Where to begin in shards that the mapping has never worked on. Shards that appear later begin at their first record.
  public var start: StartingPosition
  public var policy: LanePolicy
  /// `ParallelizationFactor`: lanes that share each shard, 1 ... 10.
  public var parallelizationFactor = 1
  public var handler: any BatchHandler
  /// Called instead of `handler` in tumbling windows. `nil`: the handler itself, if it is one for windows.
  public var windowHandler: (any WindowedBatchHandler)?
  /// How large a record is in the encoded event.
  public var recordOverhead: RecordSizing
  /// What some failures lead to; the core's part of it is in the policy.
  public private(set) var retryRules: RetryRuleMatcher?
  /// Makes the selection of each lane: which records are delivered. `nil`: all are.
  public var makeSelection: (@Sendable () -> any RecordSelecting)?
  /// Whether a batch's origin says which of its records were delivered before, so that handlers can be told.
  public var marksRedeliveries = false
  /// How what the handler has done is remembered. `nil`: it is not.
  public var idempotency: Idempotency?
  /// Where failure entries go from the store. `nil`: they stay there.
  public var destination: DestinationPlan?
  /// How long failure entries are kept.
  public var failureRetention = FailureRetention.ofStore
  /// Whether the counters of records are shown among the metrics.
  public var countsEvents = true
  /// The settings in words, as ``MappingSettings/parameters`` keeps them.
  public var parameters: [String: String] = [:]

  public init(
    name: String, stream: String, start: StartingPosition, policy: LanePolicy, handler: any BatchHandler,
    recordOverhead: RecordSizing, retryRules: [RetryRule] = [],
    makeSelection: (@Sendable () -> any RecordSelecting)? = nil, destination: DestinationPlan? = nil
  ) {
    self.name = name
    self.stream = stream
    self.start = start
    self.policy = policy
    self.handler = handler
    self.windowHandler = handler as? any WindowedBatchHandler
    self.recordOverhead = recordOverhead
    self.makeSelection = makeSelection
    self.retryRules = RetryRuleMatcher(retryRules)
    self.policy.retryRules = self.retryRules?.forCore
    self.destination = destination
  }
}

extension MappingPlan {
  var handling: Handling {
    Handling(
      handler: handler, windowHandler: windowHandler, timeoutMilliseconds: policy.handlerTimeoutMilliseconds)
  }
}
