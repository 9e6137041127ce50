import CoreMetrics
import Locks
import Logging
import ShardCore
import StreamModel
import StreamStore

/// How batches are handed over: what of a mapping can change between two deliveries of a lane.
struct Handling: Sendable {
  var handler: any BatchHandler
  /// For deliveries in tumbling windows; `nil` if the handler takes none.
  var windowHandler: (any WindowedBatchHandler)?
  var timeoutMilliseconds: Int64
}

/// What all lanes of one mapping share. Immutable, but for the handling that new lanes begin with.
final class MappingRunner: Sendable {
  let name: String
  let stream: StreamInfo
  /// What lanes that are opened from now on begin with; each lane has its own.
  let handling: Mutex<Handling>
  /// The handler writes to tables. It stays so for as long as the mapping runs.
  let isTransactional: Bool
  /// What is done and remembered, with an idempotency store.
  let settledKeys: SettledKeys?
  /// Deliveries write to tables, in one way or the other.
  var keepsWrites: Bool { isTransactional || settledKeys != nil }
  /// What waits to become durable, over all mappings.
  let unstoredWrites: UnstoredWrites
  let source: any LaneSource
  let retryRules: RetryRuleMatcher?
  let makeSelection: (@Sendable () -> any RecordSelecting)?
  let metrics: MappingMetrics
  /// Takes failure entries out of the store; `nil` if that is where they stay.
  let courier: FailureCourier?
  let lastResult: ResultRegister
  /// Records that the filter could not judge.
  let filterExamples: FilterExampleRegister
  /// Where deliveries are noted whose records were delivered before.
  let redeliveries: RedeliveryLog?
  /// Whether handlers are told of them.
  let marksRedeliveries: Bool
  /// What the handler answers, where that moves nothing; `nil` where it does.
  let shadow: ShadowRegister?
  let logger: Logger

  init(
    name: String, stream: StreamInfo, handling: Handling, source: any LaneSource,
    unstoredWrites: UnstoredWrites, retryRules: RetryRuleMatcher?,
    makeSelection: (@Sendable () -> any RecordSelecting)?, metrics: MappingMetrics,
    courier: FailureCourier? = nil, lastResult: LastResult = .none,
    filterExamples: FilterExamples = FilterExamples(), settledKeys: SettledKeys? = nil,
    redeliveries: RedeliveryLog? = nil, marksRedeliveries: Bool = false, shadow: ShadowRegister? = nil,
    logger: Logger
  ) {
    self.name = name
    self.stream = stream
    self.isTransactional = handling.handler is any TransactionalBatchHandler
    self.settledKeys = settledKeys
    self.redeliveries = redeliveries
    self.marksRedeliveries = marksRedeliveries
    self.unstoredWrites = unstoredWrites
    self.handling = Mutex(handling)
    self.source = source
    self.retryRules = retryRules
    self.makeSelection = makeSelection
    self.metrics = metrics
    self.courier = courier
    self.shadow = shadow
    self.lastResult = ResultRegister(lastResult)
    self.filterExamples = FilterExampleRegister(filterExamples)
    self.logger = logger
  }

  /// Where a batch of one of the stream's shards comes from.
  func origin(of shard: ShardNumber, createdAtSeconds: UInt64, attempt: Int) -> BatchOrigin {
    BatchOrigin(
      stream: stream.name, kind: stream.kind, streamCreatedAt: stream.createdAt, shard: shard,
      shardCreatedAtSeconds: createdAtSeconds, attempt: attempt)
  }

  /// A failure entry is durable.
  func failureStored(_ entry: UInt64, records: Int) {
    if let courier {
      courier.entryStored(entry)
    } else {
      metrics.deliveredToDestination.increment(by: records)
    }
  }
}
