import ShardCore
import StreamModel

/// A world around one outbox: a store that refuses, a destination that fails, operators, crashes.
struct OutboxWorld {
  let seed: UInt64
  let sabotage: OutboxSabotage?
  private(set) var scenario: OutboxScenario
  private(set) var violations: [Violation] = []
  private(set) var coverage = OutboxCoverage()
  private(set) var steps: UInt64 = 0
  private(set) var digest: UInt64 = 0

  private var random: SplitMix64
  private var outboxRandom: SplitMix64
  private var outbox: Outbox
  private var store = OutboxStore()
  private var checker: DeliveryChecker
  private var now: Now
  private var armed: MonotonicTime?
  private var life = 0
  private var lastNumber: UInt64 = 0
  private var isDraining = false
  private var isHealed = false

  /// Reads that are under way.
  private var loads: [(after: UInt64, limit: Int)] = []
  /// Deliveries under way; `nil` while the entry is not read yet.
  private var deliveries: [(number: UInt64, attempt: Int, former: OutboxStore.Row?)] = []
  /// What the last answered attempt of an entry had found.
  private var attempted: [UInt64: OutboxStore.Row] = [:]
  /// What the outbox has not heard yet.
  private var news: [OutboxEvent] = []

  init(seed: UInt64, sabotage: OutboxSabotage?, random: SplitMix64) {
    self.seed = seed
    self.sabotage = sabotage
    self.random = random
    scenario = OutboxScenario(random: &self.random)
    outboxRandom = SplitMix64(seed: self.random.next())
    outbox = Outbox(policy: scenario.policy)
    checker = DeliveryChecker(policy: scenario.policy)
    now = Now(monotonic: .zero, wall: WallTime(milliseconds: 1_700_000_000_000))
    step(.timerFired)
  }

  // MARK: - What happens

  mutating func act() {
    pass(milliseconds: Int64(random.below(scenario.pace + 1)))
    if random.chance(scenario.crashes) { return crash() }
    if random.chance(scenario.drains), !isDraining { return drain() }
    if random.chance(scenario.operators) { return operate() }
    if random.chance(scenario.clockSteps) {
      coverage.count(.clockStep)
      now.wall = now.wall.adding(milliseconds: Int64(random.within(-100_000...100_000)))
    }
    if lastNumber < OutboxScenario.entryLimit, random.chance(300) { return append() }
    _ = proceed()
  }

  /// One of the things that are under way goes on. `false` if there are none.
  mutating func proceed() -> Bool {
    if let armed, armed <= now.monotonic {
      self.armed = nil
      coverage.count(.timer)
      step(.timerFired)
      return true
    }
    let kinds = [news.count, loads.count, deliveries.count, store.notes.count].enumerated().filter { $0.element > 0 }
    guard !kinds.isEmpty else { return false }
    switch kinds[random.below(kinds.count)].offset {
    case 0: step(news.removeFirst())
    case 1: answerLoad()
    case 2: goOnDelivering(random.below(deliveries.count))
    default: commit()
    }
    return true
  }

  private mutating func pass(milliseconds: Int64) {
    now.monotonic = now.monotonic.adding(milliseconds: milliseconds)
    now.wall = now.wall.adding(milliseconds: milliseconds)
  }

  private mutating func append() {
    lastNumber += 1
    coverage.count(.entry)
    store.rows[lastNumber] = .pending(since: now.wall)
    checker.stored(lastNumber)
    news.append(.entryStored(lastNumber))
  }

  /// An operator has an entry delivered anew, or purges it.
  private mutating func operate() {
    let numbers = store.rows.keys.sorted()
    guard !numbers.isEmpty else { return }
    let number = numbers[random.below(numbers.count)]
    let isInFlight = deliveries.contains { $0.number == number }
    if random.chance(250) {
      coverage.count(isInFlight ? .purgedInFlight : .purged)
      store.rows[number] = nil
      checker.purged(number)
    } else {
      coverage.count(isInFlight ? .redeliveredInFlight : .redelivered)
      store.rows[number] = .pending(since: now.wall)
      checker.stored(number)
      news.append(.entryStored(number))
    }
  }

  private mutating func crash() {
    coverage.count(.crash)
    // A note that is in the store's hands may become durable without anybody hearing of it.
    if !store.notes.isEmpty, random.chance(500) {
      coverage.count(.crashAfterCommit)
      apply(store.notes.removeFirst())
    }
    restart()
  }

  private mutating func drain() {
    isDraining = true
    // A stop cuts what is on its way short.
    if random.chance(300) {
      coverage.count(.stopped)
      step(.drainRequested)
      let former = life
      while life == former, !deliveries.isEmpty {
        let delivery = deliveries.removeFirst()
        checker.ended(delivery.number)
        step(.answered(delivery.number, .notAttempted))
      }
    } else {
      step(.drainRequested)
    }
  }

  private mutating func restart() {
    life += 1
    isDraining = false
    loads.removeAll()
    deliveries.removeAll()
    store.notes.removeAll()
    news.removeAll()
    attempted.removeAll()
    armed = nil
    checker.restarted()
    outbox = Outbox(policy: scenario.policy)
    step(.timerFired)
  }

  // MARK: - Store and destination

  private mutating func answerLoad() {
    let load = loads.removeFirst()
    if random.chance(scenario.refusals) {
      coverage.count(.loadRefused)
      return step(.loadRefused)
    }
    var found = store.pending(after: load.after, limit: load.limit)
    let isEnd = found.count < load.limit
    if sabotage == .overlooksEntries { found.removeAll { $0.number % 7 == 3 } }
    step(.loaded(found, isEnd: isEnd))
  }

  private mutating func goOnDelivering(_ place: Int) {
    let (number, attempt, known) = deliveries[place]
    guard let former = known else {
      // Where the count is another one the entry was stored anew, and the outbox is about to hear of it.
      guard let row = store.rows[number], row.state == .pending, row.attempts == attempt - 1 else {
        deliveries.remove(at: place)
        checker.ended(number)
        coverage.count(.notAttempted)
        return step(.answered(number, .notAttempted))
      }
      deliveries[place].former = row
      return
    }
    deliveries.remove(at: place)
    checker.ended(number)
    attempted[number] = former
    // Some are never accepted, while there are faults.
    let isHard = scenario.failures > 0 && number % 5 == 0 && !isHealed
    guard isHard || random.chance(scenario.failures) else {
      let (isAgain, broken) = checker.accepted(number, inLife: life)
      note(broken)
      coverage.count(isAgain ? .acceptedAgain : .accepted)
      return step(.answered(number, .accepted))
    }
    coverage.count(.failed)
    var asked: Int64?
    if random.chance(scenario.requestedWaits) {
      coverage.count(.requestedWait)
      asked = Int64(random.within(-10...100_000))
    }
    if sabotage == .believesInDelivery, number % 3 == 1 { return step(.answered(number, .accepted)) }
    // An attempt of an entry that was stored anew meanwhile is none of the new one.
    if store.rows[number] == former {
      let shortest = shortestWait(afterFailures: former.attempts + 1, asked: asked)
      note(checker.failed(number, earliest: now.monotonic.adding(milliseconds: shortest)))
    }
    step(.answered(number, .failed(retryAfterMilliseconds: asked)))
  }

  private func shortestWait(afterFailures failures: Int, asked: Int64?) -> Int64 {
    let backoff = scenario.policy.backoff
    var wait = min(backoff.firstMilliseconds, backoff.capMilliseconds)
    for _ in 1..<max(1, failures) { wait = min(wait * 2, backoff.capMilliseconds) }
    let least = wait * Int64(100 - backoff.jitterPercent) / 100
    // The wall clock may be set while a note is on its way: then a wait may end at once.
    guard scenario.clockSteps == 0 else { return 0 }
    return max(least, min(max(0, asked ?? 0), scenario.policy.longestRequestedWaitMilliseconds))
  }

  private mutating func commit() {
    let note = store.notes.removeFirst()
    if random.chance(scenario.refusals) {
      coverage.count(.noteRefused)
      return step(.noteRefused(note.number))
    }
    apply(note)
    step(.noted(note.number))
  }

  private mutating func apply(_ note: OutboxStore.Note) {
    coverage.count(.noted)
    var row = store.row(after: note, at: now.wall)
    if row == nil, sabotage == .overwritesRedelivery, store.rows[note.number] != nil {
      var former = note
      former.former = store.rows[note.number] ?? note.former
      row = store.row(after: former, at: now.wall)
    }
    guard var row else {
      coverage.count(.noteOvertaken)
      return checker.overtaken(note.number)
    }
    if sabotage == .forgetsAttempts, row.state == .pending { row.attempts = 0 }
    let isDropped = sabotage == .dropsUndeliverable && row.state == .undeliverable
    store.rows[note.number] = isDropped ? nil : row
    switch row.state {
    case .delivered: coverage.count(.delivered)
    case .undeliverable: coverage.count(.undeliverable)
    case .pending: break
    }
    self.note(checker.committed(note, store.rows[note.number]))
  }

  // MARK: - Stepping

  private mutating func step(_ event: OutboxEvent) {
    steps += 1
    var effects: [OutboxEffect] = []
    var told = now
    if sabotage == .hurries, case .timerFired = event { told.monotonic = told.monotonic.adding(milliseconds: 60_000) }
    outbox.step(event, at: told, random: &outboxRandom, effects: &effects)
    if outbox.entryCount > scenario.policy.entryLimit {
      note((.bounds, "\(outbox.entryCount) entries in mind, and \(scenario.policy.entryLimit) are allowed"))
    }
    note(checker.check(store.rows))
    for effect in effects { carryOut(effect) }
  }

  private mutating func carryOut(_ effect: OutboxEffect) {
    switch effect {
    case .load(let after, let limit):
      digest = digest &* 31 &+ after &+ UInt64(limit)
      loads.append((after, limit))
    case .deliver(let number, let attempt):
      digest = digest &* 31 &+ number &* 17 &+ UInt64(attempt)
      note(
        checker.ordered(number, attempt: attempt, inFlight: outbox.inFlightCount, at: now.monotonic))
      for _ in 0..<(sabotage == .deliversTwice ? 2 : 1) {
        note(checker.begun(number))
        deliveries.append((number, attempt, nil))
      }
    case .note(let number, let outcome):
      guard let former = attempted[number] else { preconditionFailure("what is noted was attempted") }
      store.notes.append(OutboxStore.Note(number: number, outcome: outcome, former: former))
    case .armTimer(let moment):
      if sabotage != .losesTimers { armed = moment }
    case .drained:
      coverage.count(.drained)
      if !deliveries.isEmpty || !store.notes.isEmpty || !loads.isEmpty {
        note((.exclusivity, "the outbox is drained, and something is under way"))
      }
      restart()
    }
  }

  private mutating func note(_ broken: (Promise, String)?) {
    guard let (promise, sentence) = broken, violations.count < 16 else { return }
    violations.append(Violation(promise: promise, sentence: sentence, seed: seed, step: steps, lane: 0))
  }

  // MARK: - The end

  /// No more faults, and everything that is pending is delivered within a bound.
  mutating func settle() {
    isHealed = true
    scenario.failures = 0
    scenario.refusals = 0
    var left = 100_000
    while left > 0 {
      left -= 1
      if proceed() { continue }
      guard let armed else { break }
      pass(milliseconds: max(0, (armed.nanoseconds - now.monotonic.nanoseconds + 999_999) / 1_000_000))
    }
    if let number = store.rows.filter({ $0.value.state == .pending }).keys.min() {
      note((.liveness, "entry \(number) waits and nothing happens"))
    } else if outbox.entryCount > 0 {
      note((.liveness, "an entry stays in mind that does not wait any more"))
    }
  }
}
