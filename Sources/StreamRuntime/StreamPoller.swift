public import Logging
public import ShardCore
public import StreamModel
public import StreamStore
import Synchronization

/// A mapping to run: a stream, a handler, and the rules between them.
public struct MappingPlan: Sendable {
  public var name: String
  public var stream: String
  public var startingPosition: ShardPosition
  public var policy: LanePolicy
  public var handler: any BatchHandler
  /// What one record adds to the encoded event, beyond its data in base64 and its key.
  public var recordOverhead: Int

  public init(
    name: String, stream: String, startingPosition: ShardPosition, policy: LanePolicy, handler: any BatchHandler,
    recordOverhead: Int
  ) {
    self.name = name
    self.stream = stream
    self.startingPosition = startingPosition
    self.policy = policy
    self.handler = handler
    self.recordOverhead = recordOverhead
  }
}

/// Drives the lanes of all mappings of a store: opens them, wakes them after each commit, opens the children of
/// resharded shards, and drains.
public final class StreamPoller: Sendable {
  private let store: StreamStore
  private let driver: PollerDriver
  private let clock: @Sendable () -> Now
  private let logger: Logger
  private let state = Mutex(State())

  private struct State {
    var mappings: [OpenMapping] = []
    var observer: StreamStore.ObserverToken?
  }

  private struct OpenMapping {
    var runner: MappingRunner
    var id: MappingID
    var number: MappingNumber
    var stream: StreamNumber
    var lanes: [ShardNumber: LaneID] = [:]
  }

  public init(
    store: StreamStore, limits: PollerLimits = PollerLimits(),
    clock: @escaping @Sendable () -> Now = { SystemClock.now() }, logger: Logger
  ) {
    self.store = store
    self.clock = clock
    self.logger = logger
    var generator = SystemRandomNumberGenerator()
    self.driver = PollerDriver(limits: limits, seed: generator.next(), clock: clock, logger: logger)
  }
}
