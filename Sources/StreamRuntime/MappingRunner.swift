import CoreMetrics
import Logging
import ShardCore
import StreamModel

/// What all lanes of one mapping share. Immutable.
final class MappingRunner: Sendable {
  let name: String
  let streamName: String
  let policy: LanePolicy
  let handler: any BatchHandler
  let source: any LaneSource
  let retryRules: RetryRuleMatcher?
  let makeSelection: (@Sendable () -> any RecordSelecting)?
  let metrics: MappingMetrics
  /// Takes failure entries out of the store; `nil` if that is where they stay.
  let courier: FailureCourier?
  let logger: Logger

  init(
    name: String, streamName: String, policy: LanePolicy, handler: any BatchHandler, source: any LaneSource,
    retryRules: RetryRuleMatcher?, makeSelection: (@Sendable () -> any RecordSelecting)?, metrics: MappingMetrics,
    courier: FailureCourier? = nil, logger: Logger
  ) {
    self.name = name
    self.streamName = streamName
    self.policy = policy
    self.handler = handler
    self.source = source
    self.retryRules = retryRules
    self.makeSelection = makeSelection
    self.metrics = metrics
    self.courier = courier
    self.logger = logger
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
