public import ShardCore
import StreamModel

/// Every world of one lane and a few records, up to a number of events: each outcome of the handler, each order of the
/// store's answers, each refusal, and a crash after each event.
///
/// Worlds that are equal are gone through once. From each world at the limit the faults stop, and all must settle.
public struct SmallWorlds: Sendable {
  public var policy: LanePolicy
  public var limits: PollerLimits
  /// Records there at the start.
  public var records: Int
  /// Records that come later, one at a time, at any moment.
  public var laterRecords: Int
  /// Crashes at most.
  public var crashes: Int
  /// Writes refused at most.
  public var refusals: Int
  /// Events at most.
  public var depth: Int

  public init(
    policy: LanePolicy, limits: PollerLimits = PollerLimits(), records: Int, laterRecords: Int, crashes: Int,
    refusals: Int, depth: Int
  ) {
    self.policy = policy
    self.limits = limits
    self.records = records
    self.laterRecords = laterRecords
    self.crashes = crashes
    self.refusals = refusals
    self.depth = depth
  }

  public struct Report: Hashable, Sendable {
    /// Different worlds gone through.
    public var worlds = 0
    /// Worlds from which it was tried that all settles.
    public var ends = 0
    public var violations: [Violation] = []
  }

  /// Goes through all of them. Ends at the first violation.
  public func explore() -> Report {
    var world = World(smallWith: policy, limits)
    for _ in 0..<records { world.appendOne() }
    world.startPoller()
    var search = Search()
    search.explore(
      world, Left(events: depth, crashes: crashes, refusals: refusals, records: laterRecords, closings: 1))
    return search.report
  }

  /// How much of each may still happen.
  private struct Left: Hashable {
    var events: Int
    var crashes: Int
    var refusals: Int
    var records: Int
    var closings: Int
  }

  private enum Choice {
    case read, answer(DeliveryAnswer), commit, refuse(failure: Bool), acknowledge(failure: Bool), change, timer
    case crash, append, close
  }

  private struct Search {
    var report = Report()
    /// Digests of the worlds seen.
    private var seen: Set<Int> = []

    mutating func explore(_ world: World, _ left: Left) {
      guard report.violations.isEmpty, seen.insert(world.digestOfState(left)).inserted else { return }
      report.worlds += 1
      guard left.events > 0 else { return end(world) }
      for choice in choices(in: world, left) {
        var next = world
        var nextLeft = left
        nextLeft.events -= 1
        next.monotonic += 1_000
        make(choice, in: &next, &nextLeft)
        if !next.violations.isEmpty {
          report.violations = next.violations
          return
        }
        explore(next, nextLeft)
      }
    }

    /// No more faults.
    private mutating func end(_ world: World) {
      report.ends += 1
      var world = world
      world.heal()
      if !world.settle() { world.violate(.liveness, "something pending did not settle", 0) }
      if world.violations.isEmpty { world.end() }
      report.violations = world.violations
    }

    private func choices(in world: World, _ left: Left) -> [Choice] {
      let lane = world.lanes[0]
      let stored = world.store.lanes[0]
      var choices: [Choice] = []
      if lane.isReading { choices.append(.read) }
      if lane.isDelivering, lane.delivery.window != nil {
        choices += world.windowedAnswers().map { .answer($0) }
      } else if lane.isDelivering {
        choices += [.answer(.succeeded), .answer(.failed(.error)), .answer(.failed(.throttled))]
        // A rule for each failure that some rule is about.
        for rule in world.scenario.policies[0].retryRules?.actions.indices ?? 0..<0 {
          choices.append(.answer(.failed(.error, rule: RetryRuleID(UInt8(rule)))))
          choices.append(.answer(.failed(at: lane.delivery.extent.first, position: 0)))
        }
        if lane.delivery.extent.count > 1 {
          choices.append(.answer(.failed(at: lane.delivery.extent.first.advanced(by: 1), position: 1)))
        }
      }
      if world.uncommitted != 0 { choices.append(.commit) }
      if left.refusals > 0 {
        if stored.progressState == .uncommitted { choices.append(.refuse(failure: false)) }
        if stored.failureState == .uncommitted { choices.append(.refuse(failure: true)) }
      }
      if stored.progressState == .committed { choices.append(.acknowledge(failure: false)) }
      if stored.failureState == .committed { choices.append(.acknowledge(failure: true)) }
      if world.changed != 0 { choices.append(.change) }
      if world.armed < .max { choices.append(.timer) }
      if left.crashes > 0 { choices.append(.crash) }
      if left.records > 0, !world.store.shards[0].isClosed { choices.append(.append) }
      if left.closings > 0 { choices.append(.close) }
      return choices
    }

    private func make(_ choice: Choice, in world: inout World, _ left: inout Left) {
      switch choice {
      case .read: world.answerRead(0)
      case .answer(let answer): world.answerDelivery(0, with: answer)
      case .commit: world.commit(0)
      case .refuse(let failure):
        left.refusals -= 1
        world.refuse(0, failure: failure)
      case .acknowledge(let failure): world.answerWrite(0, failure: failure)
      case .change: world.tellChange(0)
      case .timer: world.passTime()
      case .crash:
        left.crashes -= 1
        world.startPoller()
      case .append:
        left.records -= 1
        world.appendOne()
        world.markChanged(0)
      case .close:
        left.closings -= 1
        world.store.shards[0].isClosed = true
        world.markChanged(0)
      }
    }
  }
}

extension World {
  mutating func appendOne() { store.shards[0].append(arrival: wall, payload: 1, isPoison: false) }

  /// Worlds with the same digest go on in the same way.
  fileprivate func digestOfState(_ left: some Hashable) -> Int {
    var hasher = Hasher()
    hasher.combine(poller)
    hasher.combine(lanes[0])
    hasher.combine(store.lanes[0])
    hasher.combine(store.shards[0].arrivals)
    hasher.combine(store.shards[0].isClosed)
    hasher.combine(monotonic)
    hasher.combine(armed)
    hasher.combine(changed)
    hasher.combine(left)
    return hasher.finalize()
  }
}
