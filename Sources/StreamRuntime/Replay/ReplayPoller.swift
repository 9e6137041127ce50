import Locks
public import Logging
public import ShardCore
public import StreamModel
public import StreamStore

/// How a replay is carried out.
public struct ReplaySettings: Sendable {
  /// What the wall clock shows at the beginning.
  public var beginning: WallTime
  /// Decides the jitter of waits.
  public var seed: UInt64 = 1
  /// How long a delivery takes, in virtual milliseconds, however long its handler really takes.
  public var deliveryMilliseconds: Int64 = 0
  /// How long the handler may really take, in milliseconds. What takes longer takes as long in virtual time.
  public var timeoutMilliseconds: Int64
  /// Deliveries that are carried out at once where several begin in one moment.
  public var concurrency = 1
  /// Virtual time follows real time, also while handlers work: a delivery takes as long as it really does, and as many are
  /// carried out at once as in a worker. `nil`: the clock goes from one moment at which something happens to the next.
  public var pace: ReplayPace?

  public init(beginning: WallTime, timeoutMilliseconds: Int64) {
    self.beginning = beginning
    self.timeoutMilliseconds = timeoutMilliseconds
  }
}

/// What happened in a replay.
public enum ReplayEvent: Sendable {
  /// A delivery ended.
  case delivered(ReplayDelivery)
  /// Records left their lane as a failure entry.
  case left(FailureOrder, of: LanePlace, at: WallTime)
  /// What stands before this record is settled.
  case progressed(RecordIndex, of: LanePlace)
  /// Records are not in the recording.
  case lost(UInt64, of: LanePlace, at: WallTime)
}

/// A delivery of a replay.
public struct ReplayDelivery: Sendable {
  public var place: LanePlace
  public var delivery: Delivery
  public var begunAt: WallTime
  public var endedAt: WallTime
  public var answer: DeliveryAnswer
}

/// Runs the lanes of one mapping in virtual time: the poller and the lanes are those of a worker, the clock goes from one
/// moment at which something happens to the next, and nothing is stored.
///
/// The same records, handler answers and seed give the same deliveries at the same times. Deliveries that begin in one
/// moment may be carried out at once; their ends are told in the order of their lanes. Not so with a pace: how long
/// handlers really take decides with it.
///
/// Not for several tasks at once.
public final class ReplayPoller {
  private let settings: ReplaySettings
  private let clock: VirtualClock
  private let observe: (ReplayEvent) -> Void
  private let watch: DeadlineWatch
  private let runner: MappingRunner
  private let policy: LanePolicy
  private let factor: Int
  private var poller = Poller()
  private var random: SplitMix64
  private let mapping: MappingID
  private var lanes: [LaneRunner] = []
  private var lanesOfShard: [ShardNumber: [LaneID]] = [:]
  /// One that was not settled when somebody last asked.
  private var unsettledLane: LaneID?
  private var events: [PollerEvent] = []
  private var nextEvent = 0
  private var effects: [PollerEffect] = []
  private var starting: [(lane: LaneID, delivery: Delivery)] = []
  private var answers: [Answer] = []
  /// With a pace: the deliveries under way, and what the real clock showed at the beginning.
  private let underWay = DeliveriesUnderWay()
  private let realBeginning: Int64
  private var armed: Int64?
  /// Asked when nothing more happens in this moment, before the clock goes on: which shards have more after all.
  public var haveMore: (() -> [ShardNumber])?

  /// An answer that is given later.
  private struct Answer {
    var at: Int64
    var lane: LaneID
    var delivery: Delivery
    var begunAt: WallTime
    var answer: DeliveryAnswer
  }

  /// A handler that writes to tables is not for this.
  public init(
    _ plan: MappingPlan, of stream: StreamInfo, reading log: any RecordLog,
    _ settings: ReplaySettings, logger: Logger,
    observe: @escaping (ReplayEvent) -> Void
  ) {
    self.settings = settings
    self.observe = observe
    clock = VirtualClock(beginning: settings.beginning)
    watch = DeadlineWatch(limitMilliseconds: settings.timeoutMilliseconds)
    realBeginning = settings.pace?.time.nanoseconds ?? 0
    var policy = plan.policy
    if let pace = settings.pace {
      // A handler has what real time it has, and meanwhile so much of the virtual.
      policy.handlerTimeoutMilliseconds = pace.virtualMilliseconds(policy.handlerTimeoutMilliseconds)
    }
    self.policy = policy
    factor = plan.parallelizationFactor
    random = SplitMix64(seed: settings.seed)
    mapping = poller.addMapping(policy)
    let readAhead = ReadAheadBudget()
    readAhead.addLane()
    let reader = LaneReader(
      log: log, recordOverhead: plan.recordOverhead, readAhead: readAhead,
      clock: { [clock] in clock.now },
      logger: logger)
    runner = MappingRunner(
      name: plan.name, stream: stream, handling: plan.handling,
      source: ReplaySource(reader: reader),
      unstoredWrites: UnstoredWrites(), retryRules: plan.retryRules,
      makeSelection: plan.makeSelection,
      metrics: MappingMetrics(mapping: plan.name, countsEvents: false),
      marksRedeliveries: plan.marksRedeliveries,
      logger: logger)
  }

  /// What it showed at the beginning.
  public var beginning: WallTime { settings.beginning }
  /// What the virtual wall clock shows.
  public var wall: WallTime { clock.now.wall }

  /// Lanes that have not come to the end of what there is, or to the end of their tumbling window. Looks at all of them.
  public var unsettled: [LanePlace] {
    let lanesInWork = Set(starting.map(\.lane) + answers.map(\.lane) + underWay.lanes)
    return lanesOfShard.values.joined().sorted().filter { isUnsettled($0) || lanesInWork.contains($0) }
      .map { lanes[$0.rawValue].place }
  }

  /// Whether there is one of ``unsettled``. Asked again and again, it looks at few lanes: it goes on from the one that it
  /// found last.
  public var isUnsettled: Bool {
    if !starting.isEmpty || !answers.isEmpty || underWay.count > 0 { return true }
    if let known = unsettledLane, isUnsettled(known) { return true }
    unsettledLane = lanesOfShard.values.lazy.joined().first { isUnsettled($0) }
    return unsettledLane != nil
  }

  private func isUnsettled(_ id: LaneID) -> Bool {
    let lane = poller.lane(id)
    switch lane.state {
    case .idle, .finished: return lane.window != nil || lane.parkedKeyCount > 0
    default: return true
    }
  }

  /// Opens the lanes of a shard, whose parents were opened before. They begin at its first record.
  public func open(_ shard: ShardInfo) {
    let parents = shard.parents.flatMap { lanesOfShard[$0] ?? [] }
    let sharing = LaneSharing(factor: factor)
    for slot in 0..<factor {
      let opening = LaneOpening(
        mapping: mapping, parents: parents, progress: LaneProgress(next: shard.firstAvailable))
      let histories = opening.trackCount(policy) > 0 ? ParkedHistories([:]) : nil
      let id = LaneID(lanes.count)
      func makeRunner(_ id: LaneID) -> LaneRunner {
        LaneRunner(
          id: id, place: LanePlace(shard: shard.address, slot: slot, sharing: sharing),
          shardCreatedAtSeconds: shard.createdAtSeconds, mapping: runner, history: AttemptHistory(),
          failing: nil,
          hashKeys: shard.hashKeys,
          tracker: RedeliveryTracker(
            opening.progress, suspects: 0, before: shard.firstAvailable, blocksByKey: histories != nil),
          parkedHistories: histories)
      }
      let lane = makeRunner(id)
      let tracks = (0..<opening.trackCount(policy)).map { makeRunner(LaneID(id.rawValue + 1 + $0)) }
      lane.tracks.withLock { $0 = tracks }
      lanes.append(lane)
      lanes += tracks
      lanesOfShard[shard.address.shard, default: []].append(id)
      events.append(.laneOpened(opening))
    }
  }

  /// A shard has more records than before, or was closed.
  public func changed(_ shard: ShardNumber) {
    for lane in lanesOfShard[shard] ?? [] { events.append(.shardChanged(lane)) }
  }

  /// Whether something goes on or is waited for, besides more records.
  public var isExpecting: Bool { armed != nil || !answers.isEmpty || underWay.count > 0 }

  /// Tells handlers under way to end and waits until they have. What they answer counts no more.
  public func stop() async { await underWay.stop() }

  /// Does everything that happens up to this moment, and sets the clock to it. The clock never goes back.
  public func run(until moment: WallTime) async {
    while await goOn(until: moment) {}
    setClock(to: moment)
  }

  /// Sets the clock to this moment, before what happens then is told. Nothing else may be due until then.
  public func setClock(to moment: WallTime) {
    clock.nanoseconds = max(clock.nanoseconds, clock.nanoseconds(at: moment))
  }

  /// Does what is to be done now and goes on to the next moment at which something happens; `false` if there is none up to
  /// this one.
  ///
  /// With a pace it does something or waits for the next moment, though never long: a quarter of a second goes by at most, so
  /// that what is shown goes on. `false` if this moment has come.
  public func goOn(until moment: WallTime) async -> Bool {
    if let pace = settings.pace { return await goOn(until: clock.nanoseconds(at: moment), pace) }
    await work()
    return passTime(until: clock.nanoseconds(at: moment))
  }

  /// Does what is to be done now.
  public func work() async {
    while true {
      if nextEvent < events.count {
        let event = events[nextEvent]
        nextEvent += 1
        if nextEvent == events.count {
          events.removeAll(keepingCapacity: true)
          nextEvent = 0
        }
        step(event)
      } else if !starting.isEmpty {
        await deliver()
      } else {
        return
      }
    }
  }

  /// Goes to the next moment at which something happens. `false` if there is none before the end.
  private func passTime(until end: Int64) -> Bool {
    let next = answers.indices.min { answers[$0].at < answers[$1].at }
    if next.map({ answers[$0].at > clock.nanoseconds }) ?? true, let shards = haveMore?(), !shards.isEmpty {
      for shard in shards { changed(shard) }
      return true
    }
    if let next, answers[next].at <= armed ?? .max {
      guard answers[next].at <= end else { return false }
      let answer = answers.remove(at: next)
      clock.nanoseconds = max(clock.nanoseconds, answer.at)
      tell(answer)
    } else if let due = armed {
      guard due <= end else { return false }
      clock.nanoseconds = max(clock.nanoseconds, due)
      armed = nil
      events.append(.timerFired)
    } else {
      return false
    }
    return true
  }

  private static let longestWaitNanoseconds: Int64 = 250_000_000

  private func goOn(until end: Int64, _ pace: ReplayPace) async -> Bool {
    follow(pace)
    for ended in underWay.takeEnded() {
      tell(
        Answer(
          at: clock.nanoseconds, lane: ended.lane, delivery: ended.delivery, begunAt: ended.begunAt,
          answer: ended.answer))
    }
    if let due = armed, due <= clock.nanoseconds {
      armed = nil
      events.append(.timerFired)
    }
    guard events.isEmpty else {
      await work()
      // Whoever is late leaves room for the handlers on a machine with one core.
      await Task.yield()
      return clock.nanoseconds < end
    }
    let next = min(end, armed ?? .max)
    if next > clock.nanoseconds {
      let (due, overflow) = realBeginning.addingReportingOverflow(pace.real(next))
      await pace.time.wait(
        until: min(overflow ? .max : due, pace.time.nanoseconds + Self.longestWaitNanoseconds), or: underWay.bell,
        underWay: underWay.count)
      follow(pace)
    }
    return clock.nanoseconds < end
  }

  /// Sets the clock to what it is now.
  private func follow(_ pace: ReplayPace) {
    clock.nanoseconds = max(clock.nanoseconds, pace.virtual(pace.time.nanoseconds - realBeginning))
  }

  private func tell(_ answer: Answer) {
    observe(
      .delivered(
        ReplayDelivery(
          place: lanes[answer.lane.rawValue].place, delivery: answer.delivery,
          begunAt: answer.begunAt,
          endedAt: wall, answer: answer.answer)))
    events.append(.handlerAnswered(answer.lane, answer.delivery.id, answer.answer))
  }

  // MARK: Orders

  private func step(_ event: PollerEvent) {
    poller.step(event, at: clock.now, random: &random, effects: &effects)
    var position = 0
    while position < effects.count {
      carryOut(effects[position])
      position += 1
    }
    effects.removeAll(keepingCapacity: true)
  }

  private func carryOut(_ effect: PollerEffect) {
    switch effect {
    case .read(let id, let request):
      events.append(.readAnswered(id, lanes[id.rawValue].read(request)))
    case .deliver(let id, let delivery):
      starting.append((id, delivery))
    case .cancelHandler(let id, let delivery):
      cancel(delivery, of: id)
    case .storeProgress(let id, let progress, let revision):
      if !progress.parked.isEmpty { _ = lanes[id.rawValue].parkedHistories?.take(progress.parked) }
      observe(.progressed(progress.next, of: lanes[id.rawValue].place))
      events.append(.progressStored(id, revision: revision))
    case .storeFailure(let id, let order, let ticket):
      let lane = lanes[id.rawValue]
      observe(.left(order, of: lane.place, at: wall))
      lane.parkedHistories?.forget(first: order.extent.first)
      if order.key == nil { lane.left(order.extent.count) }
      events.append(.failureStored(id, ticket: ticket))
    case .armTimer(let moment):
      armed = moment.nanoseconds
    case .tooLarge(let id, let extent, let key, let isParked):
      lanes[id.rawValue].noteTooLarge(extent, key: key, isParked: isParked, at: wall)
    case .recursiveLoop(let id, let extent, let lineage, let key):
      lanes[id.rawValue].noteLoop(extent, lineage, key: key, at: wall)
    case .countLost(let id, let count):
      let lane = lanes[id.rawValue]
      lane.lost()
      observe(.lost(count, of: lane.place, at: wall))
    case .keepWrites, .settleRedrive, .mappingClosed, .drained:
      break  // Nobody writes, redrives, closes or drains here.
    }
  }

  /// The delivery's time is over: it answers now, and as one that timed out.
  private func cancel(_ delivery: DeliveryID, of lane: LaneID) {
    if settings.pace != nil { return underWay.cancel(delivery, of: lane) }
    guard let place = answers.firstIndex(where: { $0.lane == lane && $0.delivery.id == delivery })
    else { return }
    var answer = answers.remove(at: place)
    let failure = HandlerFailure(kind: .timedOut, type: "Sandbox.Timedout", message: "")
    answer.answer = .failed(.timedOut, rule: runner.retryRules?.rule(for: failure))
    tell(answer)
  }

  // MARK: Deliveries

  /// Carries out what begins in this moment. Handlers take what time they take; without a pace the clock stands still.
  private func deliver() async {
    let wanted = starting
    starting.removeAll(keepingCapacity: true)
    guard settings.pace == nil else {
      for (id, delivery) in wanted { underWay.start(delivery, of: lanes[id.rawValue], clock) }
      return
    }
    if wanted.count == 1 || settings.concurrency == 1 {
      for (id, delivery) in wanted {
        let answer = await Self.deliver(
          delivery, lanes[id.rawValue], clock, watch)
        note(answer, of: delivery, id)
      }
      return
    }
    var given = [DeliveryAnswer?](repeating: nil, count: wanted.count)
    await withTaskGroup(of: (Int, DeliveryAnswer).self) { group in
      for (place, one) in wanted.enumerated() {
        if place >= settings.concurrency, let (ended, answer) = await group.next() {
          given[ended] = answer
        }
        let (lane, delivery, clock, watch) = (lanes[one.lane.rawValue], one.delivery, clock, watch)
        group.addTask { (place, await Self.deliver(delivery, lane, clock, watch)) }
      }
      for await (ended, answer) in group { given[ended] = answer }
    }
    for (place, one) in wanted.enumerated() {
      if let answer = given[place] { note(answer, of: one.delivery, one.lane) }
    }
  }

  private func note(_ answer: DeliveryAnswer, of delivery: Delivery, _ lane: LaneID) {
    var milliseconds = settings.deliveryMilliseconds
    if case .faulted(let kind, rule: _) = answer {
      switch kind {
      case .timedOut: milliseconds = settings.timeoutMilliseconds
      case .throttled, .unavailable: milliseconds = 0
      case .error, .exited, .invalidResponse, .payloadTooLarge, .reportedNoProgress: break
      }
    }
    let (duration, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
    answers.append(
      Answer(
        at: overflow ? .max : clock.nanoseconds + duration, lane: lane, delivery: delivery,
        begunAt: wall,
        answer: answer))
  }

  /// Hands the records over, and ends the handler when its real time is over. A handler that does not suspend is done
  /// on this thread.
  private static func deliver(
    _ delivery: Delivery, _ lane: LaneRunner, _ clock: VirtualClock, _ watch: DeadlineWatch
  ) async -> DeliveryAnswer {
    await watch.watching(delivery.id, of: lane) {
      await withCheckedContinuation { continuation in
        lane.start(atOnce: true) {
          let (answer, _) = await lane.deliver(delivery) { clock.now }
          continuation.resume(returning: answer)
        }
      }
    }
  }
}
