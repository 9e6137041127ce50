public import StreamModel

/// Decides when the failure entries of one mapping go to its destination.
///
/// The store is the outbox: an entry is there before the checkpoint passes its records, and it is taken off only when
/// the destination has accepted it. This machine knows some of the entries at a time, each in one of these phases:
///
/// | phase | holds | goes to |
/// | --- | --- | --- |
/// | waiting | when it is due | delivering |
/// | delivering | | noting |
/// | noting | what the store is to remember | waiting, or gone |
/// | unnoted | the same, and when to ask the store again | noting |
///
/// An entry that waits for its next attempt keeps no other one back. A crash forgets nothing but the attempt on its
/// way: what was accepted and not noted is delivered again.
public struct Outbox: Hashable, Sendable {
  public let policy: OutboxPolicy
  /// In the order of their numbers.
  private var entries: [Entry] = []
  /// Load what is behind this number; `nil` when the store has no more.
  private var unread: UInt64? = 0
  private var isLoading = false
  /// Where the load under way begins.
  private var loadingAfter: UInt64 = 0
  /// When a store that refused to be read is asked again.
  private var loadDue = MonotonicTime.zero
  private var armed: MonotonicTime?
  private var isDraining = false
  private var isDrained = false

  private struct Entry: Hashable, Sendable {
    var number: UInt64
    var attempts: Int
    var phase: Phase
    /// It was stored anew while it was on its way: what is noted does not hold for the new one.
    var isReplaced = false
  }

  private enum Phase: Hashable, Sendable {
    case waiting(due: MonotonicTime)
    case delivering
    case noting(OutboxOutcome)
    case unnoted(OutboxOutcome, due: MonotonicTime)
  }

  public init(policy: OutboxPolicy) {
    self.policy = policy
  }

  /// Entries that are kept in mind.
  public var entryCount: Int { entries.count }

  /// Entries on their way.
  public var inFlightCount: Int { entries.count { $0.phase == .delivering } }

  /// Whether an answer of this entry's delivery is waited for.
  public func isDelivering(_ number: UInt64) -> Bool {
    place(of: number).map { entries[$0].phase == .delivering } ?? false
  }

  /// Takes in what happened, and appends what is to be done. Answers that nobody waits for change nothing.
  public mutating func step(
    _ event: OutboxEvent, at now: Now, random: inout SplitMix64, effects: inout [OutboxEffect]
  ) {
    switch event {
    case .entryStored(let number): entryStored(number)
    case .loaded(let found, let isEnd): loaded(found, isEnd: isEnd, now)
    case .loadRefused:
      isLoading = false
      unread = min(unread ?? loadingAfter, loadingAfter)
      loadDue = now.monotonic.adding(milliseconds: policy.storeRetryMilliseconds)
    case .answered(let number, let verdict): answered(number, verdict, now, &random, &effects)
    case .noted(let number): noted(number, now)
    case .noteRefused(let number): noteRefused(number, now)
    case .timerFired: armed = nil
    case .drainRequested: isDraining = true
    }
    goOn(now, &effects)
  }

  // MARK: What happened

  private mutating func entryStored(_ number: UInt64) {
    if let place = place(of: number) {
      guard case .waiting = entries[place].phase else {
        entries[place].isReplaced = true
        return
      }
      entries.remove(at: place)
    }
    read(from: number)
  }

  /// The store may have something new from this number on.
  private mutating func read(from number: UInt64) {
    let before = number > 0 ? number - 1 : 0
    unread = min(unread ?? before, before)
  }

  private mutating func loaded(_ found: [OutboxEntry], isEnd: Bool, _ now: Now) {
    guard isLoading else { return }
    isLoading = false
    for entry in found where place(of: entry.number) == nil {
      let wait = min(max(0, entry.retryAt.milliseconds - now.wall.milliseconds), longestWait)
      let place = entries.firstIndex { $0.number > entry.number } ?? entries.count
      entries.insert(
        Entry(
          number: entry.number, attempts: entry.attempts,
          phase: .waiting(due: now.monotonic.adding(milliseconds: wait))), at: place)
    }
    if !isEnd, let last = found.last { unread = min(unread ?? last.number, last.number) }
  }

  /// A wall clock that was set makes nobody wait for longer than the policy would.
  private var longestWait: Int64 { max(policy.backoff.capMilliseconds, policy.longestRequestedWaitMilliseconds) }

  private mutating func answered(
    _ number: UInt64, _ verdict: OutboxVerdict, _ now: Now, _ random: inout SplitMix64,
    _ effects: inout [OutboxEffect]
  ) {
    guard let place = place(of: number), entries[place].phase == .delivering else { return }
    let outcome: OutboxOutcome
    switch verdict {
    case .notAttempted: return leave(place)
    case .accepted: outcome = .delivered
    case .failed(let requested):
      entries[place].attempts += 1
      let attempts = entries[place].attempts
      let wait = policy.waitMilliseconds(failures: attempts, requested: requested, jitter: random.next())
      outcome =
        wait.map { .retry(attempts: attempts, at: now.wall.adding(milliseconds: $0)) }
        ?? .undeliverable(attempts: attempts)
    }
    entries[place].phase = .noting(outcome)
    effects.append(.note(number, outcome))
  }

  private mutating func noted(_ number: UInt64, _ now: Now) {
    guard let place = place(of: number), case .noting(let outcome) = entries[place].phase else { return }
    guard case .retry(_, let at) = outcome, !entries[place].isReplaced else { return leave(place) }
    let wait = min(max(0, at.milliseconds - now.wall.milliseconds), longestWait)
    entries[place].phase = .waiting(due: now.monotonic.adding(milliseconds: wait))
  }

  /// An entry leaves the window; if it was stored anew meanwhile it is read again.
  private mutating func leave(_ place: Int) {
    let entry = entries.remove(at: place)
    if entry.isReplaced { read(from: entry.number) }
  }

  private mutating func noteRefused(_ number: UInt64, _ now: Now) {
    guard let place = place(of: number), case .noting(let outcome) = entries[place].phase else { return }
    entries[place].phase = .unnoted(
      outcome, due: now.monotonic.adding(milliseconds: policy.storeRetryMilliseconds))
  }

  private func place(of number: UInt64) -> Int? { entries.firstIndex { $0.number == number } }

  // MARK: What is to be done

  private mutating func goOn(_ now: Now, _ effects: inout [OutboxEffect]) {
    if isDraining { return drain(&effects) }
    if let after = unread, !isLoading, entries.count < policy.entryLimit, loadDue <= now.monotonic {
      unread = nil
      isLoading = true
      loadingAfter = after
      effects.append(.load(after: after, limit: policy.entryLimit - entries.count))
    }
    var inFlight = inFlightCount
    var next: MonotonicTime? = unread != nil && !isLoading && loadDue > now.monotonic ? loadDue : nil
    for place in entries.indices {
      switch entries[place].phase {
      case .waiting(let due) where due <= now.monotonic:
        guard inFlight < policy.inFlightLimit else { continue }
        inFlight += 1
        entries[place].phase = .delivering
        effects.append(.deliver(entries[place].number, attempt: entries[place].attempts + 1))
      case .unnoted(let outcome, let due) where due <= now.monotonic:
        entries[place].phase = .noting(outcome)
        effects.append(.note(entries[place].number, outcome))
      case .waiting(let due), .unnoted(_, let due): next = min(next ?? due, due)
      case .delivering, .noting: continue
      }
    }
    guard let next, armed.map({ next < $0 || $0 <= now.monotonic }) ?? true else { return }
    armed = next
    effects.append(.armTimer(next))
  }

  /// What the store refuses to note now is delivered again next time: a drain waits for no disk.
  private mutating func drain(_ effects: inout [OutboxEffect]) {
    let isBusy = entries.contains { entry in
      switch entry.phase {
      case .delivering, .noting: true
      case .waiting, .unnoted: false
      }
    }
    guard !isBusy, !isLoading, !isDrained else { return }
    isDrained = true
    effects.append(.drained)
  }
}
