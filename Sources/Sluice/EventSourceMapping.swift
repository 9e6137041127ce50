import EventPattern
import LambdaRuntime
public import ShardCore
public import StreamModel
public import StreamRuntime

/// Joins a stream to a handler: which records, in what batches, and what happens when they fail. A plain value.
///
/// ```swift
/// var orders = EventSourceMapping(stream: "orders", from: .trimHorizon)
/// orders.batch = .init(upTo: 500, within: .milliseconds(200))
/// orders.retry = .init(attempts: 5, recordAge: .hours(6))
/// ```
public struct EventSourceMapping: Hashable, Sendable {
  /// The name under which progress is kept. The default is the stream's name; two mappings of one stream need two.
  public var name: String
  public var stream: String
  /// Where a shard begins that this mapping has never worked on; `latest` is when the mapping first runs. Shards that
  /// appear later begin at their first record.
  public var startingPosition: StartingPosition
  public var batch = Batch()
  public var retry = Retry()
  /// What waits while a record fails: its shard, as on AWS, or its partition key alone.
  public var blocking = Blocking.shard
  /// The records are events of asynchronous invocations, each under its request id: what goes to `onFailure` is told in
  /// the words for those.
  public var holdsInvocations = false
  /// How what the handler has done is remembered, so that a record that comes again is not done again. `nil`: it is not,
  /// as on AWS. Not with `blocking` by key, a `tumblingWindow`, or a handler that writes to tables. Progress is stored
  /// after each batch then, whatever ``unstoredBatchLimit`` says.
  public var idempotency: Idempotency?
  /// The handler sees live records, and whatever it answers the lanes go on behind each batch: no retries, no failure entries,
  /// nothing waits for it or expires. What it answers is counted, see ``StreamPoller/shadowOutcomes(of:)``. Not with what says
  /// what becomes of failures or hands something on: `retry`, `blocking` by key, a `tumblingWindow`, an `idempotency` store, a
  /// destination in `onFailure`, a handler that writes to tables.
  public var isShadow = false
  /// Whether handlers are told which records were delivered before: a batch's origin says so, and in the event such a
  /// record has a member of our own, `"sluice":{"redelivery":"retry"}`. Otherwise events are exactly those of AWS. `nil`: if
  /// the mapping has an ``idempotency`` store.
  public var marksRedeliveries: Bool?
  /// `FilterCriteria`: patterns, of which a record must match one to be delivered; the others are passed as done. Empty:
  /// every record is delivered. At most 5.
  public var filters: [String] = []
  /// `ParallelizationFactor`: lanes that share each shard, 1 ... 10. Records of one partition key stay in one lane and in
  /// order; a batch that fails holds up its lane alone. It may be another one each time the mapping runs.
  public var parallelizationFactor = 1
  /// `DestinationConfig.OnFailure`: where batches go that leave without success.
  public var onFailure = OnFailure()
  /// Records that come from so many invocations of functions, one after the other, leave without a delivery: a function's
  /// output feeds its own input. 1 ... 255, `nil`: they are delivered. What is counted is what functions pass on with the
  /// trace header of their invocation.
  public var recursiveLoopLimit: Int? = 16
  /// `MetricsConfig` holds `EventCount`: the counters of records are among the metrics. On AWS they are not unless asked
  /// for.
  public var countsEvents = true
  /// What failure documents call the function. The default is the mapping's name.
  public var function: String?
  /// `TumblingWindowInSeconds`, 0 ... 900 whole seconds: batches are parts of windows of this length, and a
  /// `WindowedBatchHandler` hands on state in each. Zero: no windows. Goes neither with filters nor with several lanes.
  public var tumblingWindow: Duration = .zero
  /// How long a handler may take for one batch; then it is cancelled. 1 ms or more.
  public var timeout: Duration = .seconds(60)
  /// Deliveries in flight at once, over all lanes. 1 or more.
  public var concurrency = 1_000
  /// Batches of a lane that may be settled before the first of them is durable, 1 or more: after a crash at most so
  /// many, and the one in flight, come again. At the limit the lane waits for the store, which costs a quick handler
  /// some of its speed; below 128 progress is stored at once, which costs a trickle of records a sync for each batch.
  public var unstoredBatchLimit = 256
  /// The settings in words, by the name that they have in a configuration: `status` shows them, and a later
  /// configuration is compared with them. A library may leave them out.
  public var parameters: [String: String] = [:]

  public init(_ name: String? = nil, stream: String, from startingPosition: StartingPosition) {
    self.name = name ?? stream
    self.stream = stream
    self.startingPosition = startingPosition
  }

  /// What a record that fails holds up.
  public enum Blocking: Hashable, Sendable {
    /// Its lane: nothing behind the failing batch is delivered. AWS's way, and the default.
    case shard
    /// Its partition key: a batch that fails is taken apart until the record that fails is known, if the handler does
    /// not name it; then the key is parked with everything behind it of that key, durably, and all other keys go on.
    /// Attempts, waits and record age count for each key. At a limit the lane waits, as it would without parking.
    /// `keys` and `records` are the limits of each lane, 1 ... 10,000 keys and 1 ... 100,000,000 records of theirs, which
    /// take 16 bytes of memory each at most; `deliveries` of parked keys go on at once beside the lane's own, 1 ... 16.
    case key(keys: Int = 1_000, records: Int = 100_000, deliveries: Int = 2)

    public static let keyLimits = ParkingPolicy.keyLimits
    public static let recordLimits = ParkingPolicy.recordLimits
    public static let deliveryLimits = ParkingPolicy.deliveryLimits
  }

  /// How batches are formed.
  public struct Batch: Hashable, Sendable {
    /// `BatchSize`, 1 ... 10,000.
    public var limit: Int
    /// `MaximumBatchingWindowInSeconds`: how long to wait for a full batch, 0 ... 300 s.
    public var window: Duration

    public init(upTo limit: Int = 100, within window: Duration = .zero) {
      self.limit = limit
      self.window = window
    }
  }

  /// How long a failing batch is tried again.
  public struct Retry: Hashable, Sendable {
    /// `MaximumRetryAttempts`: deliveries after the first, 0 ... 10,000. `nil`: without end.
    public var attempts: Int?
    /// `MaximumRecordAgeInSeconds`: records older than this leave the lane undelivered. `nil`: none do.
    public var recordAge: Duration?
    /// `BisectBatchOnFunctionError`: a failing batch of several records is split in two, without a wait and without
    /// using up an attempt, until the record that fails stands alone.
    public var bisects: Bool
    /// The waits between deliveries.
    public var backoff: Backoff
    /// What some failures lead to instead, in order of precedence; at most 32.
    public var rules: [RetryRule] = []

    public init(attempts: Int? = nil, recordAge: Duration? = nil, bisects: Bool = false, backoff: Backoff = .retry) {
      self.attempts = attempts
      self.recordAge = recordAge
      self.bisects = bisects
      self.backoff = backoff
    }
  }

  /// The largest event that a handler gets: 6 MiB, as Lambda's.
  public static let eventByteLimit = 6_291_456

  /// `unstoredBatchLimit` for handlers in other processes: a batch takes them long enough for the store to keep up.
  public static let unstoredBatchLimitOfProcesses = 8

  public static let recursiveLoopLimits = 1...Lineage.greatestHops

  /// Everything about this mapping that breaks a rule, all at once, if its stream is of this kind.
  func problems(of source: MappedStream) -> [String] {
    var problems: [String] = []
    if source.kind == .dynamodb, case .atTimestamp = startingPosition {
      problems.append("startingPosition: Unsupported starting position for arn type: \(source.arn)")
    }
    if name.isEmpty { problems.append("name is empty: a mapping needs a name to keep its progress under") }
    if !MappingParameter.batchSize.range.contains(batch.limit) {
      problems.append("batch.limit is \(batch.limit): allowed are 1 to 10,000")
    }
    let windows = MappingParameter.maximumBatchingWindow.range
    if !(Duration.seconds(windows.lowerBound) ... .seconds(windows.upperBound)).contains(batch.window) {
      problems.append("batch.window is \(batch.window): allowed are 0 to 300 seconds")
    }
    if let attempts = retry.attempts, !MappingParameter.maximumRetryAttempts.range.contains(attempts) {
      problems.append("retry.attempts is \(attempts): allowed are 0 to 10,000, or nil for no end")
    }
    if let age = retry.recordAge, !(Duration.milliseconds(1) ... .seconds(604_800)).contains(age) {
      problems.append("retry.recordAge is \(age): allowed are 1 ms to 7 days, or nil for none")
    }
    if !LaneSharing.factors.contains(parallelizationFactor) {
      problems.append("parallelizationFactor is \(parallelizationFactor): allowed are 1 to 10 lanes for each shard")
    }
    if retry.rules.count > RetryRule.limit {
      problems.append("retry.rules holds \(retry.rules.count): allowed are up to \(RetryRule.limit)")
    }
    problems += retry.rules.flatMap(\.problems)
    if !(Duration.milliseconds(1) ... .seconds(86_400)).contains(timeout) {
      problems.append("timeout is \(timeout): allowed are 1 ms to one day")
    }
    do {
      _ = try EventFilter(filters, source: source.filterSource)
    } catch {
      problems += error.problems.map(\.description)
    }
    problems += onFailure.problems
    if onFailure.deadLetter != .store, !holdsInvocations {
      problems.append(
        "onFailure.deadLetter is \(onFailure.deadLetter): only events of asynchronous invocations are dead letters")
    }
    if let recursiveLoopLimit, !Self.recursiveLoopLimits.contains(recursiveLoopLimit) {
      problems.append(
        "recursiveLoopLimit is \(recursiveLoopLimit): allowed are 1 to 255 invocations, or nil for any number")
    }
    if let idempotency {
      problems += idempotency.problems
      if blocking != .shard { problems.append("idempotency is set: blocking must be by shard") }
      if tumblingWindow > .zero { problems.append("idempotency is set: there must be no tumblingWindow") }
    }
    if isShadow { problems += shadowProblems }
    if case .key(let keys, let records, let deliveries) = blocking {
      if !ParkingPolicy.keyLimits.contains(keys) {
        problems.append("blocking keys is \(keys): allowed are 1 to 10,000 parked keys for each lane")
      }
      if !ParkingPolicy.recordLimits.contains(records) {
        problems.append("blocking records is \(records): allowed are 1 to 100,000,000 parked records for each lane")
      }
      if !ParkingPolicy.deliveryLimits.contains(deliveries) {
        problems.append("blocking deliveries is \(deliveries): allowed are 1 to 16 at once for each lane")
      }
      if tumblingWindow > .zero {
        problems.append("blocking is by key: with a tumblingWindow it must be by shard, whose state is handed on")
      }
    }
    let tumbling = MappingParameter.tumblingWindow.range
    if !(Duration.seconds(tumbling.lowerBound) ... .seconds(tumbling.upperBound)).contains(tumblingWindow)
      || tumblingWindow.components.attoseconds != 0
    {
      problems.append("tumblingWindow is \(tumblingWindow): allowed are 0 to 900 whole seconds")
    }
    if tumblingWindow > .zero, parallelizationFactor > 1 {
      problems.append("parallelizationFactor is \(parallelizationFactor): with a tumblingWindow it must be 1")
    }
    if tumblingWindow > .zero, !filters.isEmpty {
      problems.append("filters hold \(filters.count): with a tumblingWindow there must be none")
    }
    if concurrency < 1 { problems.append("concurrency is \(concurrency): allowed is 1 or more") }
    if unstoredBatchLimit < 1 {
      problems.append("unstoredBatchLimit is \(unstoredBatchLimit): allowed is 1 or more")
    }
    return problems
  }

  /// What says what becomes of failures, or hands something on.
  private var shadowProblems: [String] {
    var names: [String] = []
    if retry.attempts != nil { names.append("retry.attempts") }
    if retry.recordAge != nil { names.append("retry.recordAge") }
    if retry.bisects { names.append("retry.bisects") }
    if !retry.rules.isEmpty { names.append("retry.rules") }
    if blocking != .shard { names.append("blocking by key") }
    if tumblingWindow > .zero { names.append("tumblingWindow") }
    if idempotency != nil { names.append("idempotency") }
    if onFailure.destination != .store { names.append("onFailure") }
    return names.map { "isShadow is set: \($0) must not be, because the outcome of a shadow moves nothing" }
  }

  /// What an event holds besides its records and its state.
  private func envelopeByteCount(of source: MappedStream) -> Int {
    guard tumblingWindow > .zero else { return EventWriter.envelopeByteCount }
    return EventWriter.envelopeByteCount
      + EventWriter.windowByteCount(
        for: source.identity, stream: source.name, kind: source.kind, createdAt: source.createdAt)
  }

  /// The same in the units of the core, for a Kinesis stream.
  public var policy: LanePolicy { policy(for: MappedStream(name: stream)) }

  /// The same in the units of the core.
  func policy(for source: MappedStream) -> LanePolicy {
    var policy = LanePolicy(
      batchSize: batch.limit, payloadByteLimit: Self.eventByteLimit - envelopeByteCount(of: source),
      windowMilliseconds: batch.window.inMilliseconds, tumblingWindowMilliseconds: tumblingWindow.inMilliseconds,
      maximumRetryAttempts: retry.attempts, maximumRecordAgeMilliseconds: retry.recordAge?.inMilliseconds,
      bisectsBatchOnError: retry.bisects,
      handlerTimeoutMilliseconds: timeout.inMilliseconds, retryBackoff: retry.backoff,
      retryRules: RetryRuleMatcher(retry.rules)?.forCore,
      deliveriesInFlightLimit: concurrency, unstoredBatchLimit: idempotency == nil ? unstoredBatchLimit : 1)
    policy.leavesAheadOfAge = holdsInvocations
    policy.recursiveLoopLimit = recursiveLoopLimit.map { Lineage(hops: $0) }
    policy.isShadow = isShadow
    if case .key(let keys, let records, let deliveries) = blocking {
      policy.parking = ParkingPolicy(keyLimit: keys, recordLimit: records, deliveryLimit: deliveries)
    }
    return policy
  }
}

extension Duration {
  /// So many hours of 3,600 seconds.
  public static func hours(_ count: Int) -> Duration { .seconds(count * 3_600) }

  /// Whole milliseconds, rounded down. Saturates.
  var inMilliseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
    return overflow ? (seconds < 0 ? .min : .max) : product + attoseconds / 1_000_000_000_000_000
  }
}
