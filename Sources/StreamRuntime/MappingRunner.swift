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
  let logger: Logger

  init(
    name: String, streamName: String, policy: LanePolicy, handler: any BatchHandler, source: any LaneSource,
    retryRules: RetryRuleMatcher?, makeSelection: (@Sendable () -> any RecordSelecting)?, logger: Logger
  ) {
    self.name = name
    self.streamName = streamName
    self.policy = policy
    self.handler = handler
    self.source = source
    self.retryRules = retryRules
    self.makeSelection = makeSelection
    self.metrics = MappingMetrics(mapping: name)
    var logger = logger
    logger[metadataKey: "mapping"] = "\(name)"
    self.logger = logger
  }
}
