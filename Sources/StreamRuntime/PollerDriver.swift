import CoreMetrics
import Locks
import Logging
import ShardCore
import StreamModel
import StreamStore

/// Runs a poller: feeds it what happened and carries out what it orders, without an opinion of its own.
///
/// The poller is a value behind one lock. Whoever learns of something steps it there and then: the task of a lane with
/// an answer of its handler, the writer thread with a commit, the timer with its moment. What the step orders is done
/// outside the lock. A read or delivery of the lane whose task stepped is handed back to that task, so a busy lane runs
/// batch after batch without a new task or a hop between threads; other lanes get a task of their own.
///
/// Orders carried out by different threads may overtake each other. That is safe: a lane has at most one read, one
/// delivery, one progress and one failure under way, each named in its answer. The timer has no such name and so it is
/// armed inside the lock.
final class PollerDriver: Sendable {
  private let state: Mutex<State>
  private let timer = SharedTimer()
  private let clock: @Sendable () -> Now
  private let logger: Logger

  private struct State {
    var poller: Poller
    var random: SplitMix64
    var lanes: [LaneRunner] = []
    var lanesOfShard: [ShardAddress: [LaneID]] = [:]
    var isDrained = false
    var drainWaiters: [CheckedContinuation<Void, Never>] = []
    /// Those who wait for every lane to come to its bound.
    var boundWaiters: [CheckedContinuation<Void, Never>] = []
    /// Those who wait for a mapping to be closed.
    var closeWaiters: [MappingID: [CheckedContinuation<Void, Never>]] = [:]
  }

  /// What a lane's task does next.
  enum LaneOrder: Sendable {
    case read(ReadRequest)
    case deliver(Delivery)
  }

  init(limits: PollerLimits, seed: UInt64, clock: @escaping @Sendable () -> Now, logger: Logger) {
    self.state = Mutex(State(poller: Poller(limits: limits), random: SplitMix64(seed: seed)))
    self.clock = clock
    self.logger = logger
    timer.start(now: { clock().monotonic.nanoseconds }) { [weak self] in self?.post(.timerFired) }
  }

  /// Ends the timer's thread. Nothing may be posted afterwards.
  func close() {
    timer.stop()
  }

  func addMapping(_ policy: LanePolicy) -> MappingID {
    state.withLock { $0.poller.addMapping(policy) }
  }

  /// Opens a lane and starts it. Parents must have been opened before.
  func open(_ opening: LaneOpening, runner makeRunner: (LaneID) -> LaneRunner) -> LaneID {
    var work = Work()
    let id = state.withLock { state in
      let id = LaneID(state.lanes.count)
      let runner = makeRunner(id)
      state.lanes.append(runner)
      state.lanesOfShard[runner.shard, default: []].append(id)
      step(.laneOpened(opening), &state, &work)
      // A track works as its lane does, with a batch of its own. The poller says how many there are.
      let tracks = (state.lanes.count..<state.poller.laneCount).map { makeRunner(LaneID($0)) }
      state.lanes += tracks
      runner.tracks.withLock { $0 = tracks }
      work.lanes = state.lanes
      return id
    }
    _ = carryOut(&work, continuing: nil)
    return id
  }

  /// Steps the poller with what happened.
  func post(_ event: PollerEvent) {
    var work = Work()
    _ = post(event, continuing: nil, &work)
  }

  /// The same for a lane's own task, which gets the lane's next order handed back. It brings the memory along.
  private func post(_ event: PollerEvent, continuing lane: LaneID?, _ work: inout Work) -> LaneOrder? {
    state.withLock { step(event, &$0, &work) }
    return carryOut(&work, continuing: lane)
  }

  /// Notes what an operator is about to do to records of a lane.
  func note(_ intervention: RecordEvent, of lane: LaneID) {
    look { _, lanes in lanes[lane.rawValue] }.note(intervention)
  }

  /// Looks at the clock again, for clocks that can be set.
  func clockWasSet() {
    timer.lookAgain()
  }

  /// The shards have more records than before, or were closed.
  func shardsChanged(_ shards: some Sequence<ShardAddress>) {
    var work = Work()
    state.withLock { state in
      for shard in shards {
        guard let lanes = state.lanesOfShard[shard] else { continue }
        for lane in lanes { step(.shardChanged(lane), &state, &work) }
      }
    }
    _ = carryOut(&work, continuing: nil)
  }

  /// Asks for a drain, or with `isStopping` for a stop, and returns when nothing is in flight and all is stored.
  func drain(isStopping: Bool) async {
    await withCheckedContinuation { continuation in
      var work = Work()
      let isDrained = state.withLock { state in
        step(isStopping ? .stopRequested : .drainRequested, &state, &work)
        if !state.isDrained { state.drainWaiters.append(continuation) }
        return state.isDrained
      }
      _ = carryOut(&work, continuing: nil)
      if isDrained { continuation.resume() }
    }
  }

  /// Returns when no lane of a bounded run is under way to its bound, or when the poller is drained.
  func waitForBound() async {
    await withCheckedContinuation { continuation in
      state.withLock { state in
        state.boundWaiters.append(continuation)
        endWaitForBound(&state)
      }
    }
  }

  private func endWaitForBound(_ state: inout State) {
    guard !state.boundWaiters.isEmpty, state.isDrained || state.poller.lanesUnderWayToBound == 0 else { return }
    for waiter in state.boundWaiters { waiter.resume() }
    state.boundWaiters.removeAll()
  }

  /// Closes a mapping and returns when nothing of it is in flight and all its progress is stored.
  func close(_ mapping: MappingID, isStopping: Bool) async {
    await withCheckedContinuation { continuation in
      var work = Work()
      state.withLock { state in
        // Before the step, which may find that it is closed already.
        state.closeWaiters[mapping, default: []].append(continuation)
        step(.mappingCloseRequested(mapping, isStopping: isStopping), &state, &work)
        // A drained poller steps no more: nothing of it is in flight.
        if state.isDrained { for waiter in state.closeWaiters.removeValue(forKey: mapping) ?? [] { waiter.resume() } }
      }
      _ = carryOut(&work, continuing: nil)
    }
  }

  /// Cancels what is in flight of a mapping that is being closed.
  func stop(_ mapping: MappingID) {
    post(.mappingCloseRequested(mapping, isStopping: true))
  }

  /// Forgets closed lanes: commits to their shards are no news to them any more.
  func retire(_ lanes: Set<LaneID>) {
    state.withLock { state in
      for lane in lanes {
        let runner = state.lanes[lane.rawValue]
        state.lanesOfShard[runner.shard]?.removeAll { $0 == lane }
        runner.retire()
      }
    }
  }

  /// A look at the poller and the runners of its lanes, under the lock: keep it short.
  func look<Result>(_ body: (borrowing Poller, [LaneRunner]) -> sending Result) -> sending Result {
    state.withLock { body($0.poller, $0.lanes) }
  }

  // MARK: - Stepping

  /// What steps ordered and the lanes it is for, taken out of the lock to be carried out.
  private struct Work {
    var effects: [PollerEffect] = []
    var lanes: [LaneRunner] = []
    /// Why handlers are cancelled, if any are.
    var cause = LaneRunner.CancelCause.deadline
  }

  private func step(_ event: PollerEvent, _ state: inout State, _ work: inout Work) {
    let first = work.effects.count
    state.poller.step(event, at: clock(), random: &state.random, effects: &work.effects)
    work.lanes = state.lanes
    switch event {
    case .stopRequested, .mappingCloseRequested(_, isStopping: true): work.cause = .stop
    case .skipRequested, .keySkipRequested: work.cause = .skip
    default: work.cause = .deadline
    }
    for position in first..<work.effects.count {
      switch work.effects[position] {
      case .armTimer(let moment): timer.arm(at: moment.nanoseconds)
      case .drained:
        state.isDrained = true
        for waiters in state.closeWaiters.values { for waiter in waiters { waiter.resume() } }
        state.closeWaiters.removeAll()
        for waiter in state.drainWaiters { waiter.resume() }
        state.drainWaiters.removeAll()
      case .mappingClosed(let mapping):
        for waiter in state.closeWaiters.removeValue(forKey: mapping) ?? [] { waiter.resume() }
      // Which writes go with which progress is decided in the order of the steps, and so in the lock.
      case .keepWrites(let id, let delivery): state.lanes[id.rawValue].keepWrites(of: delivery)
      case .storeProgress(let id, _, _): state.lanes[id.rawValue].orderWrites()
      case .read, .deliver, .cancelHandler, .storeFailure, .settleRedrive, .tooLarge, .recursiveLoop, .countLost:
        continue
      }
    }
    endWaitForBound(&state)
  }

  private func carryOut(_ work: inout Work, continuing own: LaneID?) -> LaneOrder? {
    var ownOrder: LaneOrder?
    for effect in work.effects {
      switch effect {
      case .read(let id, let request):
        if id == own { ownOrder = .read(request) } else { start(work.lanes[id.rawValue], with: .read(request)) }
      case .deliver(let id, let delivery):
        if id == own { ownOrder = .deliver(delivery) } else { start(work.lanes[id.rawValue], with: .deliver(delivery)) }
      case .cancelHandler(let id, let delivery):
        work.lanes[id.rawValue].cancel(delivery, because: work.cause)
      case .storeProgress(let id, let progress, let revision):
        let lane = work.lanes[id.rawValue]
        // On the plain path there is no story, and no lock to take.
        let hasStory = progress.failing != nil || !progress.pieces.isEmpty
        let history = hasStory ? lane.history(ofBatchAt: progress.next) : AttemptHistory()
        let parked = progress.parked.isEmpty ? [:] : lane.parkedHistories?.take(progress.parked) ?? [:]
        lane.mapping.source.store(
          progress, history: history, parked: parked, effects: lane.orderedWrites, of: lane.place
        ) { [self] isStored in
          lane.endWrites(isStored: isStored)
          post(isStored ? .progressStored(id, revision: revision) : .progressRefused(id, revision: revision))
        }
      case .storeFailure(let id, let order, let ticket):
        storeFailure(order, of: work.lanes[id.rawValue], id: id, ticket: ticket)
      case .settleRedrive(let id, let entry, let succeeded):
        let lane = work.lanes[id.rawValue]
        // With a handler that writes the entry leaves together with the writes.
        if succeeded, lane.mapping.keepsWrites { continue }
        let failure = lane.takeRedriveFailure(of: entry)
        lane.mapping.source.settleRedrive(
          of: entry, succeeded ? .succeeded : failure.map { .failed($0) } ?? .notDelivered)
      case .tooLarge(let id, let extent, let key, let isParked):
        work.lanes[id.rawValue].noteTooLarge(extent, key: key, isParked: isParked, at: clock().wall)
      case .recursiveLoop(let id, let extent, let lineage, let key):
        work.lanes[id.rawValue].noteLoop(extent, lineage, key: key, at: clock().wall)
      case .countLost(let id, let count):
        let lane = work.lanes[id.rawValue]
        lane.lost()
        // The records of all the shard's lanes are among them.
        let factor = UInt64(lane.place.sharing.factor)
        lane.mapping.metrics.lost.increment(by: Int(clamping: (count &+ factor &- 1) / factor))
        lane.mapping.logger.error(
          "records are lost: retention removed them, or they stood in a damaged block that was skipped",
          metadata: ["shard": "\(lane.place.description)", "records": "\(count)"])
      case .armTimer, .keepWrites, .mappingClosed, .drained:
        continue
      }
    }
    work.effects.removeAll(keepingCapacity: true)
    work.lanes = []
    return ownOrder
  }

  private func storeFailure(_ order: FailureOrder, of lane: LaneRunner, id: LaneID, ticket: UInt64) {
    let history =
      order.key.flatMap { lane.parkedHistories?.history(of: $0, first: order.extent.first) }
      ?? lane.history(ofBatchAt: order.extent.first)
    let events = lane.events(of: order, at: clock().wall)
    let done = lane.settledRecords
    lane.mapping.source.store(order, history: history, events: events, done: done, of: lane.place) { [self] entry in
      guard let entry else {
        post(.failureRefused(id, ticket: ticket))
        return
      }
      lane.parkedHistories?.forget(first: order.extent.first)
      if order.key == nil { lane.left(order.extent.count) }
      lane.mapping.failureStored(entry, records: order.extent.count)
      lane.mapping.logger.error(
        "batch gave up",
        metadata: [
          "shard": "\(lane.place.description)", "first": "\(order.extent.first.rawValue)",
          "count": "\(order.extent.count)",
          "condition": "\(order.condition.name)", "attempts": "\(order.attempts)", "entry": "\(entry)",
        ])
      post(.failureStored(id, ticket: ticket))
    }
  }

  // MARK: - Lanes

  private func start(_ lane: LaneRunner, with order: LaneOrder) {
    lane.start { [self] in await run(lane, order) }
  }

  /// Works for the lane until the poller has nothing more for it to do.
  private func run(_ lane: LaneRunner, _ first: LaneOrder) async {
    var order = first
    var work = Work()
    while true {
      let event: PollerEvent
      var isSpent = false
      switch order {
      case .read(let request):
        event = .readAnswered(lane.id, lane.read(request))
      case .deliver(let delivery):
        let answer: DeliveryAnswer
        (answer, isSpent) = await lane.deliver(delivery, clock: clock)
        event = .handlerAnswered(lane.id, delivery.id, answer)
      }
      guard let next = post(event, continuing: isSpent ? nil : lane.id, &work) else { return }
      order = next
    }
  }
}
