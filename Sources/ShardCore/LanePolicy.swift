public import StreamModel

/// What a lane does with its batches: the settings of one event source mapping, in the units of the core.
public struct LanePolicy: Hashable, Sendable {
  /// `BatchSize`: records per batch at most, 1 ... 10,000.
  public var batchSize: Int
  /// The encoded event's bytes at most. A single record above it is never delivered.
  public var payloadByteLimit: Int
  /// `MaximumBatchingWindowInSeconds`, in milliseconds. Zero: a batch goes as soon as any record is there.
  public var windowMilliseconds: Int64
  /// `TumblingWindowInSeconds`, in milliseconds: batches are parts of windows, and state is handed on in each. Zero: no
  /// windows.
  public var tumblingWindowMilliseconds: Int64
  /// `MaximumRetryAttempts`: N means up to N+1 deliveries of one batch. `nil`: without end.
  public var maximumRetryAttempts: Int?
  /// `MaximumRecordAgeInSeconds`, in milliseconds. `nil`: records never expire by age.
  public var maximumRecordAgeMilliseconds: Int64?
  /// `BisectBatchOnFunctionError`: a failing batch of several records is split in two instead of being delivered again.
  public var bisectsBatchOnError: Bool
  /// How long a handler may take. At the deadline it is cancelled and the attempt has failed.
  public var handlerTimeoutMilliseconds: Int64
  /// Waits between deliveries of a failing batch.
  public var retryBackoff: Backoff
  /// Waits after throttles and system errors, which use up no attempt.
  public var systemBackoff: Backoff
  /// What some failures lead to instead. `nil`: nothing else than what the other settings say.
  public var retryRules: RetryRules?
  /// Deliveries of this mapping in flight at once, over all its lanes, 1 or more.
  public var deliveriesInFlightLimit: Int
  /// Batches that a lane may settle before the first of them is durable, 1 or more. At the limit the lane holds. After
  /// a crash at most so many batches, and the one in flight, are delivered again.
  public var unstoredBatchLimit: Int

  /// Blocking by key. `nil`: a failing batch blocks its lane, as on AWS.
  public var parking: ParkingPolicy?

  /// Records that come from so many invocations, one after the other, are not delivered: a function's output feeds its own
  /// input. `nil`: they are.
  public var recursiveLoopLimit: Lineage?

  /// A batch whose next delivery would come when it is too old leaves at once, as events of asynchronous invocations do. A
  /// batch of a stream waits until it is.
  public var leavesAheadOfAge = false

  /// Deliveries write to tables of the store, the handler or those who remember what it has done: what is written counts
  /// with the progress that its batch led to. Not with `parking`, whose records are settled out of the checkpoint's order.
  public var keepsWrites = false

  /// The handler's outcome moves nothing: whatever it answers the lane goes on behind the batch. No retries, no failure
  /// entries, nothing expires. Not with `keepsWrites`, `parking` or tumbling windows. It stays so while the mapping runs.
  public var isShadow = false

  /// Whether progress may wait a moment for company in its transaction, which saves a sync. Not with a small limit: the
  /// lane would come to it meanwhile and stand still.
  public var progressIsPatient: Bool { unstoredBatchLimit >= 128 }

  public init(
    batchSize: Int = 100, payloadByteLimit: Int = 6_291_456, windowMilliseconds: Int64 = 0,
    tumblingWindowMilliseconds: Int64 = 0,
    maximumRetryAttempts: Int? = nil, maximumRecordAgeMilliseconds: Int64? = nil,
    bisectsBatchOnError: Bool = false, handlerTimeoutMilliseconds: Int64 = 60_000, retryBackoff: Backoff = .retry,
    systemBackoff: Backoff = .system, retryRules: RetryRules? = nil,
    deliveriesInFlightLimit: Int = 1_000, unstoredBatchLimit: Int = 256, parking: ParkingPolicy? = nil
  ) {
    precondition(unstoredBatchLimit >= 1, "a lane must be able to settle one batch before it is stored")
    self.batchSize = batchSize
    self.payloadByteLimit = payloadByteLimit
    self.windowMilliseconds = windowMilliseconds
    self.tumblingWindowMilliseconds = tumblingWindowMilliseconds
    self.maximumRetryAttempts = maximumRetryAttempts
    self.maximumRecordAgeMilliseconds = maximumRecordAgeMilliseconds
    self.bisectsBatchOnError = bisectsBatchOnError
    self.handlerTimeoutMilliseconds = handlerTimeoutMilliseconds
    self.retryBackoff = retryBackoff
    self.systemBackoff = systemBackoff
    self.retryRules = retryRules
    self.deliveriesInFlightLimit = deliveriesInFlightLimit
    self.unstoredBatchLimit = unstoredBatchLimit
    self.parking = parking
  }
}

/// Blocking by key: how much of a lane may be parked. At a limit the lane waits as it would without parking.
public struct ParkingPolicy: Hashable, Sendable {
  /// Keys that are parked at once, 1 or more.
  public var keyLimit: Int
  /// Records of all parked keys that wait, 1 or more.
  public var recordLimit: Int
  /// Deliveries of parked keys in flight at once, beside the lane's own, 1 or more.
  public var deliveryLimit: Int

  public static let keyLimits = 1...10_000
  public static let recordLimits = 1...100_000_000
  public static let deliveryLimits = 1...16

  public init(keyLimit: Int = 1_000, recordLimit: Int = 100_000, deliveryLimit: Int = 2) {
    precondition(keyLimit >= 1 && recordLimit >= 1 && deliveryLimit >= 1, "a limit of parking is one or more")
    self.keyLimit = keyLimit
    self.recordLimit = recordLimit
    self.deliveryLimit = deliveryLimit
  }
}

/// Exponential waits: `first · growth^(n−1)` for the n-th failure in a row, at most `cap`, spread by ± `jitterPercent`.
public struct Backoff: Hashable, Sendable {
  public var firstMilliseconds: Int64
  public var capMilliseconds: Int64
  /// 0 ... 100.
  public var jitterPercent: Int
  /// How much longer each wait is than the one before, in percent of it: 200 doubles, 100 is always the same.
  public var growthPercent: Int

  public init(firstMilliseconds: Int64, capMilliseconds: Int64, jitterPercent: Int, growthPercent: Int = 200) {
    self.firstMilliseconds = firstMilliseconds
    self.capMilliseconds = capMilliseconds
    self.jitterPercent = jitterPercent
    self.growthPercent = growthPercent
  }

  /// 250 ms doubling to 60 s, ± 20 %.
  public static let retry = Backoff(firstMilliseconds: 250, capMilliseconds: 60_000, jitterPercent: 20)
  /// 1 s doubling to 60 s, ± 20 %.
  public static let system = Backoff(firstMilliseconds: 1_000, capMilliseconds: 60_000, jitterPercent: 20)
}
