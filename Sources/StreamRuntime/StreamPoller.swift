import Locks
public import Logging
public import ShardCore
public import StreamModel
public import StreamStore

/// Drives the lanes of all mappings of one store: opens them, wakes them after each commit, opens the children of
/// resharded shards, and drains.
public final class StreamPoller: Sendable {
  public let store: StreamStore
  let driver: PollerDriver
  private let clock: @Sendable () -> Now
  private let seed: UInt64
  let bound: RunBound?
  let logger: Logger
  let readAhead = ReadAheadBudget()
  private let unstoredWrites = UnstoredWrites()
  let state = Mutex(State())
  private let observer = Mutex<StreamStore.ObserverID?>(nil)

  struct State {
    var mappings: [OpenMapping] = []
    var isDraining = false
    /// Handlers were told to end.
    var isStopping = false
  }

  /// A mapping with its open lanes.
  struct OpenMapping: Sendable {
    var runner: MappingRunner
    var id: MappingID
    var info: MappingInfo
    var stream: StreamNumber
    var factor: Int
    var settings: MappingSettings
    /// What it was added or changed with.
    var plan: MappingPlan
    /// Nothing new is opened for it.
    var isClosing = false
    /// By slot.
    var lanes: [ShardNumber: [LaneID]] = [:]
  }

  /// `clock` is read once for each step, and for the times of what is stored. `seed` decides the jitter of waits. With
  /// `bound` no record behind it is delivered.
  public init(
    store: StreamStore, limits: PollerLimits = PollerLimits(), seed: UInt64, bound: RunBound? = nil,
    clock: @escaping @Sendable () -> Now = { SystemClock.now() }, logger: Logger
  ) {
    self.store = store
    self.clock = clock
    self.seed = seed
    self.bound = bound
    self.logger = logger
    self.driver = PollerDriver(limits: limits, seed: seed, clock: clock, logger: logger)
    let id = store.observeCommits { [weak self] notice in self?.committed(notice) }
    observer.withLock { $0 = id }
  }

  /// Opens the lanes of a mapping and starts them. Stores where they begin if the mapping is new.
  public func add(_ plan: MappingPlan) async throws {
    guard !state.withLock({ $0.isDraining }) else { throw PollerError.draining }
    guard let stream = try store.catalog().stream(named: plan.stream) else {
      throw PollerError.noSuchStream(mapping: plan.name, stream: plan.stream)
    }
    let added = plan
    var plan = plan
    let isTransactional = plan.handler is any TransactionalBatchHandler
    plan.policy.keepsWrites = isTransactional || plan.idempotency != nil
    if plan.idempotency != nil {
      if isTransactional { throw PollerError.writesWithIdempotency(mapping: plan.name) }
      if plan.policy.parking != nil || plan.policy.tumblingWindowMilliseconds > 0 {
        throw PollerError.idempotencyAlone(mapping: plan.name)
      }
    }
    if plan.policy.keepsWrites, plan.policy.parking != nil { throw PollerError.writesWithParking(mapping: plan.name) }
    if plan.policy.keepsWrites, plan.policy.tumblingWindowMilliseconds > 0 {
      throw PollerError.writesWithWindows(mapping: plan.name)
    }
    if plan.policy.isShadow {
      guard !plan.policy.keepsWrites, plan.policy.parking == nil, plan.policy.tumblingWindowMilliseconds == 0 else {
        throw PollerError.shadowMovesNothing(mapping: plan.name)
      }
    }
    let (info, settings) = try await register(plan, stream)
    let hasOtherLanes = try await changeFactor(of: plan, info, stream)
    var logger = logger
    logger[metadataKey: "mapping"] = "\(plan.name)"
    let metrics = MappingMetrics(mapping: plan.name, countsEvents: plan.countsEvents)
    let courier = plan.destination.map {
      FailureCourier($0, of: info, stream, in: store, metrics: metrics, seed: seed, clock: clock, logger: logger)
    }
    let settledKeys = try plan.idempotency.map { settings throws(StoreError) in
      try SettledKeys(settings, of: info.number, in: store, clock: clock)
    }
    let redeliveries = try await RedeliveryLog(
      of: info.number, in: store, suspects: RedeliveryTracker.suspects(plan.policy), hasOtherLanes: hasOtherLanes,
      clock: clock, logger: logger)
    let runner = MappingRunner(
      name: plan.name, stream: stream, handling: plan.handling,
      source: StoreLaneSource(
        store: store, mapping: info, stream: stream,
        reader: LaneReader(
          log: store, recordOverhead: plan.recordOverhead, readAhead: readAhead, clock: clock, logger: logger),
        makeSelection: plan.makeSelection, progressIsPatient: plan.policy.progressIsPatient,
        entriesAreDelivered: courier != nil, clock: clock, logger: logger),
      unstoredWrites: unstoredWrites, retryRules: plan.retryRules, makeSelection: plan.makeSelection, metrics: metrics,
      courier: courier, lastResult: settings.lastResult, filterExamples: settings.filterExamples,
      settledKeys: settledKeys, redeliveries: redeliveries,
      marksRedeliveries: plan.marksRedeliveries, shadow: plan.policy.isShadow ? ShadowRegister() : nil, logger: logger)
    let id = driver.addMapping(plan.policy)
    try state.withLock { state in
      var mapping = OpenMapping(
        runner: runner, id: id, info: info, stream: stream.number, factor: plan.parallelizationFactor,
        settings: settings, plan: added)
      try openLanes(of: &mapping)
      state.mappings.append(mapping)
    }
  }

  /// Starts nothing new and returns when what was in flight has ended and all progress is stored. With `isStopping`
  /// handlers in flight are cancelled; what they were at is delivered again next time.
  public func drain(isStopping: Bool = false) async {
    state.withLock { state in
      state.isDraining = true
      if isStopping { state.isStopping = true }
    }
    await driver.drain(isStopping: isStopping)
    // What is not on its way yet waits in the store for the next start.
    for courier in couriers { await courier.drain(isStopping: isStopping) }
    await storeResults()
    // Of what was in flight when it was stopped nobody can say what became of it.
    let ended = state.withLock { $0.isStopping ? [] : $0.mappings }
    for mapping in ended where !isOwing(mapping) { await mapping.runner.redeliveries?.close() }
  }

  /// Whether a lane has something to redeliver that the worker before has left to it.
  private func isOwing(_ mapping: OpenMapping) -> Bool {
    driver.look { _, runners in mapping.lanes.values.joined().contains { runners[$0.rawValue].isOwing } }
  }

  // MARK: - Changing

  /// Gives a mapping that runs another policy and handler. What is in flight or frozen stays as it is; a window, a wait
  /// or a limit is looked at again now. What else is in the plan must be as it was: change that with
  /// ``close(mapping:within:)`` and ``add(_:)``.
  public func change(_ plan: MappingPlan) async throws {
    guard let known = state.withLock({ $0.mappings.first { $0.runner.name == plan.name } }) else {
      throw PollerError.notRunning(mapping: plan.name)
    }
    let keepsWrites = plan.handler is any TransactionalBatchHandler
    guard keepsWrites == known.runner.isTransactional else { throw PollerError.writesChanged(mapping: plan.name) }
    if known.runner.settledKeys != nil, plan.policy.parking != nil || plan.policy.tumblingWindowMilliseconds > 0 {
      throw PollerError.idempotencyAlone(mapping: plan.name)
    }
    if keepsWrites, plan.policy.parking != nil { throw PollerError.writesWithParking(mapping: plan.name) }
    if keepsWrites, plan.policy.tumblingWindowMilliseconds > 0 {
      throw PollerError.writesWithWindows(mapping: plan.name)
    }
    var settings = known.settings
    settings.policy = plan.policy
    settings.retryRules = plan.retryRules?.rules ?? []
    settings.failureRetention = plan.failureRetention
    settings.parameters = plan.parameters
    settings.lastResult = known.runner.lastResult.result
    settings.filterExamples = known.runner.filterExamples.examples
    await known.runner.redeliveries?.widen(to: RedeliveryTracker.suspects(plan.policy))
    // First what a restart would find: a process that ends between the two begins with the new settings.
    _ = try await store.perform(.storeMapping(name: plan.name, settings: settings.encoded()))
    let id = state.withLock { state -> MappingID? in
      guard let position = state.mappings.firstIndex(where: { $0.runner.name == plan.name }) else { return nil }
      state.mappings[position].settings = settings
      state.mappings[position].plan = plan
      let mapping = state.mappings[position]
      mapping.runner.handling.withLock { $0 = plan.handling }
      driver.look { _, runners in
        for lane in mapping.lanes.values.joined() { runners[lane.rawValue].change(plan.handling) }
      }
      return mapping.id
    }
    // Outside of the lock: its orders may wait for the store, and the store's thread for the lock.
    if let id { driver.post(.policyChanged(id, plan.policy)) }
  }

  /// Starts nothing new for a mapping, and returns when what was in flight of it has ended and all its progress is
  /// stored. Then it does not run here any more; ``add(_:)`` lets it go on where it stood. `false` if it did not run.
  ///
  /// After `limit` handlers in flight are cancelled; what they were at is delivered again.
  @discardableResult
  public func close(mapping name: String, within limit: Duration) async -> Bool {
    let known = state.withLock { state -> OpenMapping? in
      guard let position = state.mappings.firstIndex(where: { $0.runner.name == name && !$0.isClosing }) else {
        return nil
      }
      state.mappings[position].isClosing = true
      return state.mappings[position]
    }
    guard let known else { return false }
    let deadline = Task { [driver, logger] in
      try await Task.sleep(for: limit)
      logger.warning(
        "closing a mapping takes too long: its handlers in flight are cancelled", metadata: ["mapping": "\(name)"])
      driver.stop(known.id)
      await known.runner.courier?.drain(isStopping: true)
      return true
    }
    await driver.close(known.id, isStopping: false)
    // What is not on its way yet waits in the store for the next start of the mapping.
    await known.runner.courier?.drain(isStopping: false)
    deadline.cancel()
    let wasStopped = (try? await deadline.value) ?? false
    let isOwing = state.withLock { $0.mappings.first { $0.runner.name == name } }.map(isOwing) ?? false
    await storeResults()
    state.withLock { state in
      guard let position = state.mappings.firstIndex(where: { $0.runner.name == name }) else { return }
      let lanes = state.mappings.remove(at: position).lanes.values.joined()
      driver.retire(Set(lanes))
      for _ in lanes { readAhead.removeLane() }
    }
    if !wasStopped, !isOwing { await known.runner.redeliveries?.close() }
    known.runner.courier?.close()
    return true
  }

  /// Ends what is in flight of a mapping, as ``close(mapping:within:)`` does, lets `change` write where its lanes begin, and
  /// opens them there. `false` if the mapping does not run here: then nothing happens.
  ///
  /// What `change` throws is thrown, and the lanes go on where they stood. Of a poller that drains meanwhile the lanes
  /// are not opened any more; what was written is found by the next one.
  public func reposition(
    mapping name: String, within limit: Duration, _ change: () async throws -> Void
  ) async throws -> Bool {
    guard let plan = state.withLock({ $0.mappings.first { $0.runner.name == name }?.plan }),
      await close(mapping: name, within: limit)
    else { return false }
    let result: Result<Void, any Error>
    do { result = .success(try await change()) } catch { result = .failure(error) }
    do {
      try await add(plan)
    } catch PollerError.draining {
      logger.notice("the poller drains: a mapping is not opened at its new position", metadata: ["mapping": "\(name)"])
    } catch {
      logger.critical(
        "a mapping was closed for a change and could not be opened again: restart the worker",
        metadata: ["mapping": "\(name)", "error": "\(error)"])
      // What came first says why.
      try result.get()
      throw error
    }
    try result.get()
    return true
  }

  /// Of the mappings that run here, in the order in which they were added.
  var mappingNames: [String] { state.withLock { $0.mappings.map(\.runner.name) } }

  /// How the last delivery of a mapping ended; `nil` if it does not run here.
  public func lastResult(of mapping: String) -> LastResult? {
    state.withLock { $0.mappings.first { $0.runner.name == mapping }?.runner.lastResult.result }
  }

  /// What the handler of a shadow has answered since it was added; `nil` if the mapping is none, or does not run here.
  public func shadowOutcomes(of mapping: String) -> ShadowOutcomes? {
    state.withLock { $0.mappings.first { $0.runner.name == mapping }?.runner.shadow?.outcomes }
  }

  /// The first records that the filter of a mapping could not judge; `nil` if it does not run here.
  public func filterExamples(of mapping: String) -> FilterExamples? {
    state.withLock { $0.mappings.first { $0.runner.name == mapping }?.runner.filterExamples.examples }
  }

  /// Stores the last results and examples that have changed since they were stored. A refusal is told and tried again next time.
  public func storeResults() async {
    let changed = state.withLock { state in
      state.mappings.indices.compactMap { position -> (String, MappingSettings)? in
        let runner = state.mappings[position].runner
        let (result, examples) = (runner.lastResult.result, runner.filterExamples.examples)
        guard
          state.mappings[position].settings.lastResult != result
            || state.mappings[position].settings.filterExamples != examples
        else { return nil }
        state.mappings[position].settings.lastResult = result
        state.mappings[position].settings.filterExamples = examples
        return (state.mappings[position].runner.name, state.mappings[position].settings)
      }
    }
    for (name, settings) in changed {
      do {
        _ = try await store.perform(.storeMapping(name: name, settings: settings.encoded()))
      } catch {
        logger.warning("the last result was refused", metadata: ["mapping": "\(name)", "error": "\(error)"])
        state.withLock { state in
          guard let position = state.mappings.firstIndex(where: { $0.runner.name == name }) else { return }
          state.mappings[position].settings.lastResult = .none
          state.mappings[position].settings.filterExamples = FilterExamples()
        }
      }
    }
  }

  private var couriers: [FailureCourier] { state.withLock { $0.mappings.compactMap(\.runner.courier) } }

  /// Tells the poller that the clock it was made with jumped: what has fallen due is done now.
  public func clockWasSet() {
    driver.clockWasSet()
    for courier in couriers { courier.clockWasSet() }
  }

  /// Ends the poller's threads. Call it when drained.
  public func close() {
    if let id = observer.withLock({ $0.take() }) { store.removeObserver(id) }
    for courier in couriers { courier.close() }
    driver.close()
  }

  /// On the writer thread, after each commit.
  private func committed(_ notice: CommitNotice) {
    if notice.changesCatalog {
      state.withLock { state in
        guard !state.isDraining else { return }
        for position in state.mappings.indices where !state.mappings[position].isClosing {
          do {
            try openLanes(of: &state.mappings[position])
          } catch {
            logger.critical(
              "new shards could not be opened",
              metadata: ["mapping": "\(state.mappings[position].runner.name)", "error": "\(error)"])
          }
        }
      }
    }
    if !notice.shards.isEmpty { driver.shardsChanged(notice.shards.lazy.map(\.address)) }
  }
}
