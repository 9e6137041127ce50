package import EventPattern
import LambdaRuntime
public import Logging
public import ServiceLifecycle
import ShardCore
public import StreamModel
public import StreamRuntime
public import StreamStore

/// Runs handlers over the streams of a store, until its task is cancelled.
///
/// ```swift
/// var processor = StreamProcessor(store: try .open(at: "/var/lib/sluice"))
/// processor.map(orders) { batch in .succeeded }
/// try await processor.run()
/// ```
///
/// Cancelling the task, or a graceful shutdown of its service group, drains: nothing new is started, what is in flight
/// ends, progress is stored. After ``drainLimit`` handlers in flight are cancelled.
public struct StreamProcessor: Service {
  public let store: StreamStore
  /// How long a drain may take before handlers are cancelled.
  public var drainLimit: Duration = .seconds(30)
  public var logger = Logger(label: "sluice")
  /// Called once by ``run()``, when every lane is open and ``poller`` is there. Must be quick.
  public var lanesAreOpen: @Sendable () -> Void = {}
  /// How often the last results of mappings are stored, if they have changed.
  static let resultInterval = Duration.seconds(1)
  private var plans: [(EventSourceMapping, any BatchHandler)] = []
  private let started = StartedPoller()

  public init(store: StreamStore) {
    self.store = store
  }

  /// Calls `handler` with the batches of the mapping. A verdict is returned, a surprise is thrown; both lead to a retry.
  public mutating func map(
    _ mapping: EventSourceMapping, _ handler: @escaping @Sendable (RecordBatch) async throws -> HandlerOutcome
  ) {
    map(mapping, to: ClosureHandler(body: handler))
  }

  /// Calls `handler` with the batches of the mapping and the tables that it may write: see ``TransactionalBatchHandler``.
  public mutating func map(
    _ mapping: EventSourceMapping,
    transactionally handler: @escaping @Sendable (RecordBatch, inout TableScope) async throws -> HandlerOutcome
  ) {
    map(mapping, to: TransactionalClosure(body: handler))
  }

  /// Calls `handler` with the batches of the mapping.
  public mutating func map(_ mapping: EventSourceMapping, to handler: any BatchHandler) {
    plans.append((mapping, handler))
  }

  /// Calls `handler` with the invocations of the mapping's tumbling windows.
  public mutating func mapWindows(
    _ mapping: EventSourceMapping, _ handler: @escaping @Sendable (WindowedBatch) async throws -> WindowedOutcome
  ) {
    map(mapping, to: WindowClosureHandler(body: handler))
  }

  /// The poller, as soon as ``run()`` has opened every lane. For status and operators.
  public var poller: StreamPoller? { started.poller }

  /// Works off every record before the bound, none behind it, and returns. Failing batches go on with their retries until
  /// they succeed or leave. What waits for an operator does not hold it up: it is in the report, as is everything that is
  /// left when it is shut down before.
  public func run(until bound: RunBound) async throws -> BoundedRunReport { try await run(bound) }

  /// Opens the lanes and drives them. Throws at once, before anything is delivered, if a mapping breaks a rule or its
  /// stream does not exist. Returns when drained.
  public func run() async throws { _ = try await run(nil) }

  private func run(_ bound: RunBound?) async throws -> BoundedRunReport {
    let problems = try allProblems()
    guard problems.isEmpty else { throw MappingProblems(problems: problems) }
    var generator = SystemRandomNumberGenerator()
    let poller = StreamPoller(store: store, seed: generator.next(), bound: bound, logger: logger)
    defer { poller.close() }
    do {
      for (mapping, handler) in plans {
        let stream = try store.catalog().stream(named: mapping.stream)
        try await poller.add(try mapping.plan(handler, on: stream))
      }
    } catch {
      // Mappings that were added before this one run already.
      await poller.drain(isStopping: true)
      throw error
    }
    // Before anybody can ask for a redrive: what was asked for earlier is over.
    let failures = FailureKeeper(store: store, logger: logger)
    started.set(poller)
    lanesAreOpen()
    let retention = RetentionKeeper(store: store, logger: logger)
    let keeping = Task { await retention.run() }
    defer { keeping.cancel() }
    let keepingFailures = Task { await failures.run() }
    defer { keepingFailures.cancel() }
    let noting = Task {
      while !Task.isCancelled {
        do { try await Task.sleep(for: Self.resultInterval) } catch { return }
        await poller.storeResults()
      }
    }
    defer { noting.cancel() }
    let stop = AsyncStream<Void>.makeStream()
    let limit = drainLimit
    let bounding = bound.map { _ in
      Task {
        await poller.waitForBound()
        // As they are before the drain: afterwards all of them rest.
        defer { stop.continuation.finish() }
        return try poller.lanesBeforeBound()
      }
    }
    await withTaskCancellationHandler {
      await withGracefulShutdownHandler {
        for await _ in stop.stream {}
      } onGracefulShutdown: {
        stop.continuation.finish()
      }
    } onCancel: {
      stop.continuation.finish()
    }
    await Self.drain(poller, within: limit, logger: logger)
    return BoundedRunReport(laneCount: poller.laneCount, left: try await bounding?.value ?? [])
  }

  /// What keeps the mappings from running: broken rules, names used twice, streams that do not exist.
  private func allProblems() throws -> [String] {
    var problems: [String] = []
    var names: Set<String> = []
    let catalog = try store.catalog()
    for (mapping, handler) in plans {
      if mapping.tumblingWindow > .zero, !(handler is any WindowedBatchHandler) {
        problems.append(
          "mapping \(mapping.name): tumblingWindow is \(mapping.tumblingWindow): its handler must take windows")
      }
      let stream = catalog.stream(named: mapping.stream)
      problems += mapping.problems(of: MappedStream(stream, name: mapping.stream)).map {
        "mapping \(mapping.name): \($0)"
      }
      if !names.insert(mapping.name).inserted {
        problems.append("mapping \(mapping.name): the name is used twice, and progress is kept under it")
      }
      if stream == nil {
        problems.append("mapping \(mapping.name): stream \(mapping.stream) does not exist: create it first")
      }
    }
    return problems
  }

  /// Outside of the cancelled task: a drain must not be cut short by the cancellation that asked for it.
  private static func drain(_ poller: StreamPoller, within limit: Duration, logger: Logger) async {
    await Task.detached {
      let deadline = Task {
        try await Task.sleep(for: limit)
        logger.warning("the drain takes too long: handlers in flight are cancelled")
        await poller.drain(isStopping: true)
      }
      await poller.drain()
      deadline.cancel()
    }.value
  }
}

/// How far a bounded run came.
public struct BoundedRunReport: Hashable, Sendable {
  /// Lanes of all mappings.
  public var laneCount: Int
  /// Those with records before the bound that are not settled.
  public var left: [UnboundLane]

  /// Every record before the bound is settled.
  public var isComplete: Bool { left.isEmpty }
}

/// Settings of mappings that break rules, all of them.
public struct MappingProblems: Error, Hashable, Sendable, CustomStringConvertible {
  public var problems: [String]

  public var description: String { problems.joined(separator: "\n") }
}

extension EventSourceMapping {
  /// As a poller runs it. `info` is the stream, if it is there.
  package func plan(_ handler: any BatchHandler, on info: StreamInfo?) throws(PatternError) -> MappingPlan {
    let source = MappedStream(info, name: stream)
    var plan = MappingPlan(
      name: name, stream: stream, start: startingPosition, policy: policy(for: source), handler: handler,
      recordOverhead: source.sizing, retryRules: retry.rules, destination: destinationPlan(source.identity))
    plan.parallelizationFactor = parallelizationFactor
    plan.countsEvents = countsEvents
    plan.failureRetention = onFailure.keepFor
    plan.idempotency = idempotency
    plan.marksRedeliveries = marksRedeliveries ?? (idempotency != nil)
    if plan.marksRedeliveries { plan.recordOverhead.overhead += EventWriter.markByteCount }
    plan.parameters = parameters
    guard !filters.isEmpty else { return plan }
    plan.makeSelection = source.selection(try EventFilter(filters, source: source.filterSource))
    return plan
  }
}

private struct TransactionalClosure: TransactionalBatchHandler {
  let body: @Sendable (RecordBatch, inout TableScope) async throws -> HandlerOutcome

  func handle(_ batch: RecordBatch, in scope: inout TableScope) async throws -> HandlerOutcome {
    try await body(batch, &scope)
  }
}

private struct ClosureHandler: BatchHandler {
  let body: @Sendable (RecordBatch) async throws -> HandlerOutcome

  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome { try await body(batch) }
}

private struct WindowClosureHandler: BatchHandler, WindowedBatchHandler {
  let body: @Sendable (WindowedBatch) async throws -> WindowedOutcome

  func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome { try await body(batch) }

  /// Records that were put outside of any window, as by a mapping whose windows were taken away.
  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    throw HandlerFailure(
      kind: .error, type: "TakesOnlyWindows",
      message: "The handler takes tumbling windows, and mapping of stream \(batch.origin.stream) has none.")
  }
}
