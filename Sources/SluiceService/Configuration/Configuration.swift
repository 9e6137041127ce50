public import Sluice
public import StreamModel
public import StreamRuntime

/// What a Sluice process does: the store, the address, and the streams, functions and mappings that it runs.
public struct Configuration: Hashable, Sendable {
  public var store = StoreConfiguration()
  public var listen = ListenConfiguration()
  public var log = LogConfiguration()
  public var failures = FailuresConfiguration()
  public var streams: [StreamConfiguration] = []
  public var functions: [FunctionConfiguration] = []
  public var mappings: [MappingConfiguration] = []

  public init() {}

  public func stream(named name: String) -> StreamConfiguration? { streams.first { $0.name == name } }
  public func function(named name: String) -> FunctionConfiguration? { functions.first { $0.name == name } }
}

/// Where records are kept and how safely.
public struct StoreConfiguration: Hashable, Sendable {
  /// A directory. A relative path is relative to where the process runs.
  public var path = "./sluice-data"
  public var durability = Durability.commit
  /// Between two flushes with `interval`.
  public var interval = Duration.milliseconds(100)
  /// The bytes of address space for the store, which bounds its size.
  public var mapSize: Int64 = 64 << 30

  public init() {}

  /// What a put waits for before it is answered.
  public enum Durability: String, Hashable, Sendable, CaseIterable {
    /// The disk. A power cut costs nothing.
    case commit
    /// Nothing; the disk follows at intervals. A power cut costs what came since the last one.
    case interval
    /// Nothing; the operating system writes when it likes. A power cut costs what it had not written.
    case system
  }
}

/// Where the service answers.
public struct ListenConfiguration: Hashable, Sendable {
  public var host = "127.0.0.1"
  /// 0 takes any free port.
  public var port = 4_567
  /// How long a lane may be blocked before the service says that it is not ready.
  public var readyBlockedAfter = Duration.seconds(300)
  /// With more failure entries in the store of one mapping the service is not ready. Zero: however many there are.
  public var readyFailureEntries = 0
  /// With a failure entry that is older it is not ready. Zero: however old they are.
  public var readyFailureAge = Duration.zero

  public init() {}
}

public struct LogConfiguration: Hashable, Sendable {
  public var level = LogLevel.info
  public var format = LogFormat.text

  public init() {}
}

/// What is done with failure entries, unless their mapping says something else.
public struct FailuresConfiguration: Hashable, Sendable {
  /// How long an entry stays in the store, from when it was made: 1 minute ... 3,650 days. `nil`: until somebody deletes it.
  public var keepFor: Duration?

  public init() {}
}

public enum LogLevel: String, Hashable, Sendable, CaseIterable {
  case trace, debug, info, notice, warning, error, critical
}

public enum LogFormat: String, Hashable, Sendable, CaseIterable {
  /// For people: time, level, message, key=value.
  case text
  /// For machines: one object a line.
  case json
}

public struct StreamConfiguration: Hashable, Sendable {
  /// 1 … 128 of letters, digits, `_`, `.` and `-`.
  public var name: String
  /// Open shards at the start, 1 … 1,024.
  public var shards = 1
  /// Fixed when the stream is made.
  public var kind = StreamKind.kinesis
  /// 24 h … 8,760 h, as on AWS.
  public var retention = Duration.seconds(24 * 3_600)
  /// The bytes of a record, data and partition key, at most: 1 … 10 MiB.
  public var recordLimit: Int64 = 1 << 20

  public init(name: String) { self.name = name }
}

/// An event source mapping: a stream, a function, and what is done when it fails.
public struct MappingConfiguration: Hashable, Sendable {
  /// `STREAM-FUNCTION` unless the file says something else.
  public var name: String
  public var stream: String
  public var function: String
  public var isEnabled = true
  public var startingPosition = StartingPosition.trimHorizon
  public var batchSize = 100
  /// `MaximumBatchingWindowInSeconds`
  public var batchingWindow = Duration.zero
  /// `nil`: without end.
  public var maximumRetryAttempts: Int?
  /// `nil`: records never expire by age.
  public var maximumRecordAge: Duration?
  /// `FunctionResponseTypes` holds `ReportBatchItemFailures`.
  public var reportsItemFailures = false
  /// `ParallelizationFactor`: lanes that share each shard.
  public var parallelizationFactor = 1
  /// `BisectBatchOnFunctionError`.
  public var bisectsBatchOnError = false
  /// `TumblingWindowInSeconds`
  public var tumblingWindow = Duration.zero
  /// The patterns of `FilterCriteria`.
  public var filters: [String] = []
  /// `blocking`, with `parkedKeyLimit`, `parkedRecordLimit` and `parkedDeliveryLimit`.
  public var blocking = EventSourceMapping.Blocking.shard
  public var idempotency: Idempotency?
  /// `markRedeliveries`; `nil`: it is left out.
  public var marksRedeliveries: Bool?
  /// `shadow: true`: what the function answers moves nothing.
  public var isShadow = false
  /// `idempotency.itemFailures: every`: what is not in `batchItemFailures` is done.
  public var namesEveryFailure = false
  /// What some failures lead to instead.
  public var retryRules: [RetryRule] = []
  /// `nil`: off.
  public var recursiveLoopLimit: Int? = 16
  /// `MetricsConfig` holds `EventCount`.
  public var countsEvents = true
  /// The mapping is that of a function's `async`, whose records are events.
  public var asyncInvocation: AsyncInvocation?
  /// `DestinationConfig.OnFailure` and our `onFailure`.
  public var onFailure = OnFailure()

  public init(name: String? = nil, stream: String, function: String) {
    self.name = name ?? "\(stream)-\(function)"
    self.stream = stream
    self.function = function
  }
}

extension Duration {
  /// Rounded down.
  package var wholeMilliseconds: Int64 {
    components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
  }
}
