import CoreMetrics
import Logging
import ShardCore
import StreamModel
import Synchronization

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
    let (id, work) = state.withLock { state -> (LaneID, [Work]) in
      let id = LaneID(state.lanes.count)
      let runner = makeRunner(id)
      state.lanes.append(runner)
      state.lanesOfShard[runner.shard, default: []].append(id)
      return (id, step(.laneOpened(opening), &state))
    }
    _ = carryOut(work, continuing: nil)
    return id
  }

  /// Steps the poller with what happened. An order for `lane`, whose task is the caller, is handed back to it.
  @discardableResult
  func post(_ event: PollerEvent, continuing lane: LaneID? = nil) -> LaneOrder? {
    let work = state.withLock { step(event, &$0) }
    return carryOut(work, continuing: lane)
  }

  /// The shards have more records than before, or were closed.
  func shardsChanged(_ shards: some Sequence<ShardAddress>) {
    let work = state.withLock { state in
      var work: [Work] = []
      for shard in shards {
        guard let lanes = state.lanesOfShard[shard] else { continue }
        for lane in lanes { work += step(.shardChanged(lane), &state) }
      }
      return work
    }
    _ = carryOut(work, continuing: nil)
  }

  /// Asks for a drain, or with `isStopping` for a stop, and returns when nothing is in flight and all is stored.
  func drain(isStopping: Bool) async {
    await withCheckedContinuation { continuation in
      let work = state.withLock { state -> [Work]? in
        let work = step(isStopping ? .stopRequested : .drainRequested, &state)
        if state.isDrained { return nil }
        state.drainWaiters.append(continuation)
        return work
      }
      if let work { _ = carryOut(work, continuing: nil) } else { continuation.resume() }
    }
  }

  /// A look at the poller and the runners of its lanes, under the lock: keep it short.
  func look<Result>(_ body: (borrowing Poller, [LaneRunner]) -> sending Result) -> sending Result {
    state.withLock { body($0.poller, $0.lanes) }
  }

  // MARK: - Stepping

  private struct Work {
    var effect: PollerEffect
    var lane: LaneRunner?
  }

  private func step(_ event: PollerEvent, _ state: inout State) -> [Work] {
    var effects: [PollerEffect] = []
    state.poller.step(event, at: clock(), random: &state.random, effects: &effects)
    var work: [Work] = []
    work.reserveCapacity(effects.count)
    for effect in effects {
      switch effect {
      case .armTimer(let moment): timer.arm(at: moment.nanoseconds)
      case .drained:
        state.isDrained = true
        for waiter in state.drainWaiters { waiter.resume() }
        state.drainWaiters.removeAll()
      case .read(let lane, _), .deliver(let lane, _), .cancelHandler(let lane, _), .storeProgress(let lane, _, _),
        .storeFailure(let lane, _, _), .settleRedrive(let lane, _, _), .countLost(let lane, _):
        work.append(Work(effect: effect, lane: state.lanes[lane.rawValue]))
      }
    }
    return work
  }

  private func carryOut(_ work: [Work], continuing own: LaneID?) -> LaneOrder? {
    var ownOrder: LaneOrder?
    for item in work {
      guard let lane = item.lane else { continue }
      switch item.effect {
      case .read(let id, let request):
        if id == own, ownOrder == nil { ownOrder = .read(request) } else { start(lane, with: .read(request)) }
      case .deliver(let id, let delivery):
        if id == own, ownOrder == nil { ownOrder = .deliver(delivery) } else { start(lane, with: .deliver(delivery)) }
      case .cancelHandler(_, let delivery):
        lane.cancel(delivery)
      case .storeProgress(let id, let progress, let revision):
        let history = progress.failing.map { lane.history(ofBatchAt: $0.extent.first) } ?? AttemptHistory()
        lane.mapping.source.store(progress, history: history, of: lane.shard) { [self] isStored in
          post(isStored ? .progressStored(id, revision: revision) : .progressRefused(id, revision: revision))
        }
      case .storeFailure(let id, let order, let ticket):
        storeFailure(order, of: lane, id: id, ticket: ticket)
      case .settleRedrive(_, let entry, let succeeded):
        lane.mapping.source.settleRedrive(of: entry, failure: succeeded ? nil : lane.takeRedriveFailure())
      case .countLost(_, let count):
        lane.mapping.metrics.dropped.increment(by: Int(clamping: count))
        lane.mapping.logger.error(
          "records were removed by retention before they could be delivered",
          metadata: ["shard": "\(lane.shard.shard)", "records": "\(count)"])
      case .armTimer, .drained:
        continue
      }
    }
    return ownOrder
  }

  private func storeFailure(_ order: FailureOrder, of lane: LaneRunner, id: LaneID, ticket: UInt64) {
    let history = lane.history(ofBatchAt: order.extent.first)
    lane.mapping.source.store(order, history: history, of: lane.shard) { [self] entry in
      guard let entry else {
        post(.failureRefused(id, ticket: ticket))
        return
      }
      lane.mapping.metrics.deliveredToDestination.increment(by: order.extent.count)
      lane.mapping.logger.error(
        "batch gave up",
        metadata: [
          "shard": "\(lane.shard.shard)", "first": "\(order.extent.first.rawValue)", "count": "\(order.extent.count)",
          "condition": "\(order.condition.name)", "attempts": "\(order.attempts)", "entry": "\(entry)",
        ])
      post(.failureStored(id, ticket: ticket))
    }
  }

  // MARK: - Lanes

  private func start(_ lane: LaneRunner, with order: LaneOrder) {
    Task { await run(lane, order) }
  }

  /// Works for the lane until the poller has nothing more for it to do.
  private func run(_ lane: LaneRunner, _ first: LaneOrder) async {
    var order = first
    while true {
      let event: PollerEvent
      switch order {
      case .read(let request):
        event = .readAnswered(lane.id, lane.read(request))
      case .deliver(let delivery):
        event = .handlerAnswered(lane.id, delivery.id, await lane.deliver(delivery, clock: clock))
      }
      guard let next = post(event, continuing: lane.id) else { return }
      order = next
    }
  }
}
