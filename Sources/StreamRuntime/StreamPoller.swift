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
  private let bound: RunBound?
  private let logger: Logger
  private let readAhead = ReadAheadBudget()
  private let unstoredWrites = UnstoredWrites()
  private let state = Mutex(State())
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

  // MARK: - Operators

  /// Posts an operator's order to a lane. `false` if there is no such lane. What is noted goes with the records that
  /// the order is about.
  public func order(
    _ makeEvent: (LaneID) -> PollerEvent, mapping: String, shard: ShardNumber, slot: Int = 0,
    noting intervention: RecordEvent? = nil
  ) -> Bool {
    let lane = state.withLock { state -> LaneID? in
      guard let lanes = state.mappings.first(where: { $0.runner.name == mapping })?.lanes[shard] else { return nil }
      return lanes.indices.contains(slot) ? lanes[slot] : nil
    }
    guard let lane else { return false }
    // Before the order, which may make a failure entry at once.
    if let intervention { driver.note(intervention, of: lane) }
    driver.post(makeEvent(lane))
    return true
  }

  /// Where the failure entries of a mapping go from the store, for people; `nil` if they stay there, or the mapping does
  /// not run here.
  public func destination(of mapping: String) -> String? {
    state.withLock { $0.mappings.first { $0.runner.name == mapping }?.runner.courier?.plan.name }
  }

  /// Tells the courier of a mapping that an entry is to be delivered. `false` if the mapping has no destination but the
  /// store, or does not run here.
  public func deliver(_ entry: UInt64, of mapping: String) -> Bool {
    let courier = state.withLock { $0.mappings.first { $0.runner.name == mapping }?.runner.courier }
    courier?.entryStored(entry)
    return courier != nil
  }

  /// Which of the mapping's lanes on the shard has the record: 0 where there is one. `nil` if the mapping does not work
  /// on that shard here.
  public func slot(ofPartitionKey hash: UInt64, mapping: String, shard: ShardNumber) -> Int? {
    state.withLock { state in
      guard let lanes = state.mappings.first(where: { $0.runner.name == mapping })?.lanes[shard] else { return nil }
      return driver.look { _, runners in lanes.first.map { runners[$0.rawValue].place.sharing.slot(of: hash) } }
    }
  }

  /// What the lanes of a mapping look like now, by shard and slot. `nil` if the mapping does not run here.
  public func look(at mapping: String) -> [ShardNumber: [LaneLook]]? {
    state.withLock { state -> [ShardNumber: [LaneLook]]? in
      guard let mapping = state.mappings.first(where: { $0.runner.name == mapping }) else { return nil }
      return driver.look { poller, runners in
        mapping.lanes.mapValues { lanes in
          lanes.map { id in
            LaneLook(
              place: runners[id.rawValue].place, snapshot: poller.lane(id), progress: poller.progress(id),
              policy: mapping.settings.policy, history: runners[id.rawValue].currentHistory,
              ruleNames: mapping.runner.retryRules?.rules.map(\.name) ?? [],
              parkedKeys: poller.parkedKeys(id).map { key in
                ParkedKeyLook(
                  snapshot: key,
                  history: runners[id.rawValue].parkedHistories?.history(of: key.key, first: key.first)
                    ?? AttemptHistory())
              })
          }
        }
      }
    }
  }

  // MARK: - Opening

  private func register(_ plan: MappingPlan, _ stream: StreamInfo) async throws -> (MappingInfo, MappingSettings) {
    var settings = MappingSettings(stream: stream.number, policy: plan.policy)
    settings.retryRules = plan.retryRules?.rules ?? []
    settings.failureRetention = plan.failureRetention
    settings.parameters = plan.parameters
    let known = try store.catalog().mapping(named: plan.name)
    if let known, let old = MappingSettings(decoding: known.settings) {
      if old.stream != stream.number { throw PollerError.mappingMoved(mapping: plan.name, from: old.stream) }
      settings.inherit(from: old)
    }
    guard
      case .mapping(let info) = try await store.perform(
        .storeMapping(name: plan.name, settings: settings.encoded()))
    else { preconditionFailure("storing a mapping answers with the mapping") }
    // A mapping that is known but has no lanes ended before it had fixed its beginning.
    if try known == nil || store.lanes(of: info.number).isEmpty { try await storeStart(plan, of: info, stream) }
    return (info, settings)
  }

  /// Fixes where a new mapping begins, before anything can be delivered: shards that appear from now on are new
  /// and begin at their first record.
  private func storeStart(_ plan: MappingPlan, of info: MappingInfo, _ stream: StreamInfo) async throws {
    guard plan.start != .trimHorizon else { return }
    let updates = try store.catalog().shards(of: stream.number).flatMap { shard in
      let next = try store.index(for: plan.start, in: shard.address)
      // A closed shard that ends before the start has nothing to deliver; its children may begin.
      let isFinished = shard.closing.map { next >= $0.end } ?? false
      return StoredShare(factor: plan.parallelizationFactor, from: next, isFinished: isFinished)
        .updates(of: info.number, shard.address)
    }
    _ = try await store.perform(.storeLanes(updates))
  }

  /// Where other lanes work on a shard than those that did, hands over what those had settled: see
  /// ``ShardCore/LaneSharing``. Each shard is changed at once or not at all, and a shard that was changed stays so. Whether
  /// any was.
  private func changeFactor(of plan: MappingPlan, _ info: MappingInfo, _ stream: StreamInfo) async throws -> Bool {
    var isChanged = false
    for shard in try store.catalog().shards(of: stream.number) {
      guard let share = try storedShare(of: info, shard) else { continue }
      if share.lanes.count != plan.parallelizationFactor, share.lanes.contains(where: \.progress.parksKeys) {
        throw PollerError.keysAreParked(mapping: info.name, shard: shard.address.shard, factor: share.lanes.count)
      }
      let updates = share.changing(to: plan.parallelizationFactor, of: info.number, shard.address)
      guard !updates.isEmpty else { continue }
      _ = try await store.perform(.storeLanes(updates))
      isChanged = true
      logger.info(
        "ParallelizationFactor changed",
        metadata: [
          "mapping": "\(info.name)", "shard": "\(shard.address.shard)", "from": "\(share.lanes.count)",
          "to": "\(plan.parallelizationFactor)",
        ])
    }
    return isChanged
  }

  /// `nil` if the mapping has never worked on the shard.
  private func storedShare(of info: MappingInfo, _ shard: ShardInfo) throws -> StoredShare? {
    let rows = try store.lanes(of: info.number, on: shard.address)
    do {
      return try StoredShare(rows, of: shard)
    } catch {
      throw PollerError.unreadableLane(mapping: info.name, shard: shard.address.shard, error)
    }
  }

  private func storedParkedKeys(
    of info: MappingInfo, _ shard: ShardInfo, _ slot: Int, _ lane: StoredLane
  ) throws -> StoredParkedKeys {
    guard lane.progress.parksKeys else { return try StoredParkedKeys([]) }
    let key = LaneKey(mapping: info.number, address: shard.address, slot: UInt8(slot))
    let records = try store.parkedKeys(of: key)
    do {
      return try StoredParkedKeys(records)
    } catch {
      throw PollerError.unreadableLane(mapping: info.name, shard: shard.address.shard, error)
    }
  }

  /// Opens the lanes of each shard that has none, parents before children.
  private func openLanes(of mapping: inout OpenMapping) throws {
    for shard in try store.catalog().shards(of: mapping.stream) where mapping.lanes[shard.address.shard] == nil {
      let share =
        try storedShare(of: mapping.info, shard) ?? StoredShare(factor: mapping.factor, from: shard.firstAvailable)
      let runner = mapping.runner
      let parents = shard.parents.flatMap { mapping.lanes[$0] ?? [] }
      let soughtEnds = try RedeliveryLog.soughtEnds(
        of: mapping.info.number, on: shard.address.shard, factor: share.lanes.count, in: store)
      mapping.lanes[shard.address.shard] = try share.lanes.enumerated().map { slot, lane in
        readAhead.addLane()
        var opening = LaneOpening(mapping: mapping.id, parents: parents, progress: lane.progress)
        let parked = try storedParkedKeys(of: mapping.info, shard, slot, lane)
        opening.progress.parked = parked.changes
        opening.bound = bound?.end(of: shard.address)
        let blocksByKey = opening.trackCount(mapping.settings.policy) > 0
        let histories = blocksByKey ? ParkedHistories(parked.histories) : nil
        let tracker = RedeliveryTracker(
          lane.progress, suspects: runner.redeliveries?.formerSuspects ?? 0,
          before: try store.shardBounds(shard.address).end, blocksByKey: blocksByKey, soughtEnd: soughtEnds[slot])
        return driver.open(opening) { id in
          LaneRunner(
            id: id, place: LanePlace(shard: shard.address, slot: slot, sharing: lane.sharing),
            shardCreatedAtSeconds: shard.createdAtSeconds, mapping: runner, history: lane.history,
            failing: lane.progress.failing?.extent, hashKeys: shard.hashKeys, tracker: tracker,
            parkedHistories: histories)
        }
      }
    }
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

/// A parked key as a running poller sees it.
public struct ParkedKeyLook: Hashable, Sendable {
  public var snapshot: ParkedKeySnapshot
  public var history: AttemptHistory
}

/// One lane as a running poller sees it.
public struct LaneLook: Hashable, Sendable {
  public var place: LanePlace
  public var snapshot: LaneSnapshot
  public var progress: LaneProgress
  public var policy: LanePolicy
  public var history: AttemptHistory
  /// The retry rules of the mapping, in their order.
  public var ruleNames: [String]
  public var parkedKeys: [ParkedKeyLook]
}
