import CoreMetrics
import Destinations
import LambdaRuntime
public import Logging
import ServiceLifecycle
import ShardCore
import Sluice
public import StreamModel
import StreamRuntime
import StreamStore
import Synchronization
import UnixSignals

#if canImport(Glibc)
  import Glibc
#endif

/// The worker: opens the store, creates what the configuration names, runs its mappings, and answers on its port.
///
/// SIGTERM and SIGINT drain: nothing new starts, what is in flight ends, progress is stored. A second signal cancels
/// what is in flight; its batches are delivered again next time. SIGHUP reads the configuration again and applies it.
public struct ServiceProcess: Sendable {
  private let configuration: Configuration
  private let logger: Logger
  /// Called once with the address, when the worker serves and every lane is open.
  private let isReady: @Sendable (String) -> Void
  private let worker: WorkerConfiguration

  /// `file` is read again at SIGHUP, with `overrides` above it.
  public init(
    configuration: Configuration, file: String? = nil, overrides: ConfigurationOverrides = ConfigurationOverrides(),
    logger: Logger, isReady: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.configuration = configuration
    self.worker = WorkerConfiguration(configuration, file: file, overrides: overrides, logger: logger)
    self.logger = logger
    self.isReady = isReady
  }

  /// Where a bounded run ends.
  public enum End: Sendable {
    /// Everything that is there when it begins.
    case now
    /// Everything that arrived before the moment, which is not in the future.
    case before(WallTime)
  }

  /// Runs until a signal, or until something that it cannot do without fails; with `end` until every record before it is
  /// settled, and says how far it came.
  @discardableResult
  public func run(metrics: PrometheusRegistry, until end: End? = nil) async throws -> BoundedRun? {
    let store = try StreamStore.open(
      at: configuration.store.path, options: configuration.store.options, role: .writer)
    defer { store.close() }
    let readiness = Readiness { [logger, isReady] address in
      logger.notice("ready", metadata: ["address": "\(address)"])
      isReady(address)
    }
    var processor = StreamProcessor(store: store)
    processor.logger = logger
    processor.lanesAreOpen = { readiness.lanesAreOpen() }
    try await worker.prepare(&processor)
    let bounded = try end.map { (end) throws(StoreError) in BoundedProcessor(processor, until: try end.bound(in: store))
    }
    let drain = DrainFlag()
    let group = ServiceGroup(
      configuration: .init(
        // The last is shut down first: the port answers until the drain is over.
        services: [
          .init(service: makePort(processor, metrics: metrics, drain: drain, readiness: readiness)),
          bounded.map { .init(service: $0, successTerminationBehavior: .gracefullyShutdownGroup) }
            ?? .init(service: processor),
        ], logger: logger))
    // Before anything runs: a signal that comes early drains too.
    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      let running = processor
      tasks.addTask { try await group.run() }
      tasks.addTask { await watch(signals, group, running, drain) }
      // The group ends by itself or by a signal; the watcher ends only with it.
      try await tasks.next()
      tasks.cancelAll()
    }
    await worker.shutdown()
    logger.notice("stopped")
    return bounded.flatMap(\.run)
  }

  private func watch(
    _ signals: UnixSignalsSequence, _ group: ServiceGroup, _ processor: StreamProcessor, _ drain: DrainFlag
  ) async {
    var count = 0
    for await signal in signals {
      if signal == .sighup {
        logger.notice("reading the configuration again", metadata: ["signal": "\(signal)"])
        // A drain of its lanes must not hold up the signals behind this one.
        let worker = worker
        Task { await worker.reload(processor) }
        continue
      }
      count += 1
      if count == 1 {
        logger.notice("draining; another signal cancels what is in flight", metadata: ["signal": "\(signal)"])
        drain.isSet.store(true, ordering: .relaxed)
        await group.triggerGracefulShutdown()
      } else {
        logger.warning("cancelling what is in flight", metadata: ["signal": "\(signal)"])
        await processor.poller?.drain(isStopping: true)
      }
    }
  }

  private func makePort(
    _ processor: StreamProcessor, metrics: PrometheusRegistry, drain: DrainFlag, readiness: Readiness
  ) -> ListenPort {
    let store = processor.store
    let operations = StoreOperator(
      store: store, poller: { processor.poller },
      worker: WorkerReport(processID: getpid(), address: readiness.address), transitions: worker.transitions)
    let thresholds = ReadyThresholds(configuration.listen)
    let writing = WorkerOperator(
      store: operations, processor: processor, configuration: worker, thresholds: thresholds)
    let logger = logger
    return ListenPort(
      host: configuration.listen.host, port: configuration.listen.port,
      backend: .init(
        writing: writing,
        unreadiness: {
          if drain.isSet.load(ordering: .relaxed) { return ["the worker drains"] }
          guard processor.poller != nil else { return ["the lanes are being opened"] }
          do {
            return thresholds.passed(try operations.status()).map(\.reason)
          } catch {
            return ["the store cannot be read: \(error)"]
          }
        },
        metrics: {
          let text = metrics.render() + (store.load.map(StoreGauges.render) ?? "")
          do {
            return text + LaneGauges.render(try operations.status())
          } catch {
            logger.error("the lanes could not be read for the metrics", metadata: ["error": "\(error)"])
            return text
          }
        },
        isListening: { bound in
          do {
            try store.setHolderNote(HolderNote(processID: getpid(), listenAddress: bound))
          } catch {
            logger.error("commands cannot find this worker", metadata: ["error": "\(error)"])
          }
          logger.notice("listening", metadata: ["address": "\(bound)"])
          readiness.portIsBound(to: bound)
        }),
      logger: logger)
  }
}

/// Set when the first signal has come.
private final class DrainFlag: Sendable {
  let isSet = Atomic(false)
}

extension StoreConfiguration {
  var options: StoreOptions {
    var options = StoreOptions()
    options.mapBytes = Int(mapSize)
    switch durability {
    case .commit: options.durability = .commit
    case .interval: options.durability = .interval(milliseconds: Int(interval.wholeMilliseconds))
    case .system: options.durability = .system
    }
    return options
  }
}

extension EventSourceMapping {
  /// The functions that speak the Runtime API watch their time themselves; what is set here then comes after that.
  /// Without `margin` it is the time that an invocation has.
  package init(_ mapping: MappingConfiguration, _ function: FunctionConfiguration, margin: Bool = true) {
    self.init(mapping.name, stream: mapping.stream, from: mapping.startingPosition)
    batch = .init(upTo: mapping.batchSize, within: mapping.batchingWindow)
    retry = .init(
      attempts: mapping.maximumRetryAttempts, recordAge: mapping.maximumRecordAge,
      bisects: mapping.bisectsBatchOnError)
    retry.rules = mapping.retryRules
    if let async = mapping.asyncInvocation {
      retry.backoff = async.backoff
      holdsInvocations = true
    }
    blocking = mapping.blocking
    idempotency = mapping.idempotency
    marksRedeliveries = mapping.marksRedeliveries
    isShadow = mapping.isShadow
    filters = mapping.filters
    parallelizationFactor = mapping.parallelizationFactor
    onFailure = mapping.onFailure
    recursiveLoopLimit = mapping.recursiveLoopLimit
    countsEvents = mapping.countsEvents
    self.function = function.name
    tumblingWindow = mapping.tumblingWindow
    timeout = function.timeout
    if function.handlerProtocol != .lines, margin { timeout += FunctionLimits().invocationMargin }
    // A lane that waits for a process must not use up its handler's time.
    concurrency = function.concurrency
    if let async = mapping.asyncInvocation, async.onSuccess != .store { timeout += SuccessDestination.longestTime }
    unstoredBatchLimit = Self.unstoredBatchLimitOfProcesses
  }
}
