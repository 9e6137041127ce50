internal import LMDB
internal import Locks

/// Something for the writer, and whom to answer.
enum MailboxEntry: Sendable {
  case append(AppendBody, AppendCompletion)
  /// A command whose caller goes on meanwhile may wait a moment for others: one transaction for it and for the puts that
  /// come next saves two syncs.
  case command(StoreCommand, isPatient: Bool = false, CommandCompletion)

  var byteCount: Int {
    switch self {
    case .append(let body, _): body.byteCount
    case .command(.storeLane(_, let effects), _, _): effects.byteCount
    case .command(.writeTables(_, let writes, isVital: false), _, _): LaneEffects(tableWrites: writes).byteCount
    case .command: 0
    }
  }

  var isPatient: Bool {
    switch self {
    case .append: false
    case .command(_, let isPatient, _): isPatient
    }
  }

  func refuse(_ error: StoreError) {
    switch self {
    case .append(_, let completion): completion(.failure(error))
    case .command(_, _, let completion): completion(.failure(error))
    }
  }
}

/// What waits for the writer. Many threads put, the writer takes all at once.
///
/// The writer is woken only when it sleeps: while it commits, producers put without a system call, and it finds what
/// they put when it comes back. `isSleeping` changes only under the lock and together with looking at the entries, and
/// so no wake-up is lost.
///
/// Patient entries wait for ``patienceNanoseconds`` at most, or for the first that is not: a trickle of records, each
/// followed by the progress of its lane, then costs one transaction a record instead of two.
///
/// Where a transaction does not wait for the disk, waking the writer's thread takes longer than what it is woken for.
/// Who comes with something small and finds it asleep is lent its place: takes what there is, writes it, and gives the
/// place back. Meanwhile all others put as if the writer were at work, and it sleeps on.
final class Mailbox: Sendable {
  private struct State {
    var entries: [MailboxEntry] = []
    var waitingBytes = 0
    var isSleeping = false
    var isClosed = false
    /// Entries whose callers wait.
    var urgentCount = 0
    /// How many of those the sleeping writer is woken for.
    var urgentGoal = 1
    /// How many of those were taken last.
    var lastUrgentCount = 0
    /// Until when the first patient entry waits, in nanoseconds of monotonic time.
    var patientUntil: Int64?
    /// What the writer's thread was told when it went to sleep.
    var deadline: Int64?
    /// Somebody else writes.
    var isLent = false
    /// Somebody else has written since the thread went to sleep.
    var wasLent = false
    /// The thread is to look at its deadline again.
    var isDeadlineStale = false
    /// The thread has nothing to sleep for, and waits for its place.
    var isAwaited = false

    mutating func takeAll() -> (entries: [MailboxEntry], isClosed: Bool) {
      let taken = entries
      entries = []
      waitingBytes = 0
      lastUrgentCount = urgentCount
      urgentCount = 0
      patientUntil = nil
      return (taken, isClosed)
    }
  }

  static let patienceNanoseconds: Int64 = 2_000_000

  private let state = Monitor(State())
  private let byteLimit: Int
  private let entryLimit: Int
  private let lendingByteLimit: Int

  /// `lendingByteLimit` is the most bytes that the writer's place is lent for; 0 for never.
  init(byteLimit: Int, entryLimit: Int, lendingByteLimit: Int) {
    self.byteLimit = byteLimit
    self.entryLimit = entryLimit
    self.lendingByteLimit = lendingByteLimit
  }

  /// Puts `entry` behind the others. An entry whose caller does not wait for the answer is `bounded`: it is refused
  /// when too much is waiting. Returns why it was refused.
  func put(_ entry: MailboxEntry, bounded: Bool) -> StoreError? {
    let size = entry.byteCount
    let (refusal, wakes) = state.withLock { state -> (StoreError?, Bool) in
      if state.isClosed { return (.notWriting, false) }
      let hasRoom =
        state.entries.count < entryLimit && (state.waitingBytes == 0 || state.waitingBytes + size <= byteLimit)
      if bounded && !hasRoom { return (.overloaded, false) }
      state.entries.append(entry)
      state.waitingBytes += size
      if entry.isPatient {
        // The writer knows how long to wait for others: only the first tells it.
        guard state.patientUntil == nil else { return (nil, false) }
        state.patientUntil = monotonicNanoseconds() + Self.patienceNanoseconds
      } else {
        state.urgentCount += 1
        if state.urgentCount < state.urgentGoal { return (nil, false) }
      }
      defer { state.isSleeping = false }
      return (nil, state.isSleeping)
    }
    if wakes { state.signal() }
    return refusal
  }

  /// What became of an entry whose caller waits for the answer.
  enum Reception {
    case refused(StoreError)
    case waiting
    /// The caller has the writer's place: it writes these, its own among them, and then calls ``giveBack(deadline:)``.
    case lent([MailboxEntry])
  }

  /// As ``put(_:bounded:)`` for an entry that is not bounded, from somebody who can take the writer's place.
  func putOrBorrow(_ entry: MailboxEntry) -> Reception {
    let size = entry.byteCount
    let borrowed = state.withLock { state -> [MailboxEntry]? in
      guard state.isSleeping, state.urgentCount == 0, state.waitingBytes + size <= lendingByteLimit else { return nil }
      state.isSleeping = false
      (state.isLent, state.wasLent) = (true, true)
      state.entries.append(entry)
      state.urgentCount = 1
      return state.takeAll().entries
    }
    if let borrowed { return .lent(borrowed) }
    return put(entry, bounded: false).map { .refused($0) } ?? .waiting
  }

  /// How much waits.
  var waiting: (entries: Int, bytes: Int) { state.withLock { ($0.entries.count, $0.waitingBytes) } }

  /// Whether the writer's thread waits for entries. For tests.
  var isWriterAsleep: Bool { state.withLock { $0.isSleeping } }

  /// Ends what ``putOrBorrow(_:)`` began. The writer's thread is woken if there is something for it, or if it must not
  /// sleep as long as it meant to.
  func giveBack(deadline: Int64?) {
    let wakes = state.withLock { state in
      state.isLent = false
      state.isDeadlineStale = (deadline ?? .max) < (state.deadline ?? .max)
      let wakes = state.isAwaited || state.isDeadlineStale || state.isClosed || !state.entries.isEmpty
      state.isSleeping = !wakes
      return wakes
    }
    if wakes { state.signal() }
  }

  /// What the writer's thread finds when it wakes.
  struct Taken {
    var entries: [MailboxEntry]
    var isClosed: Bool
    /// Nothing came by the deadline, which still is what it was.
    var isIdle: Bool
  }

  /// Takes everything, waiting for it: at most until `deadline` in nanoseconds of monotonic time, or without end.
  ///
  /// `company` is how many nanoseconds those who wait may be kept waiting for as many others as were taken last time.
  func take(deadline: Int64?, company: Int64 = 0) -> Taken {
    state.withLock { $0.deadline = deadline }
    if sleep(until: deadline, { $0.entries.isEmpty && !$0.isDeadlineStale }) {
      if let patientUntil = state.withLock({ $0.urgentCount == 0 ? $0.patientUntil : nil }) {
        sleep(until: patientUntil) { $0.urgentCount == 0 }
      }
      if company > 0 { waitForCompany(nanoseconds: company) }
    }
    return state.withLock { state in
      defer { (state.wasLent, state.isDeadlineStale) = (false, false) }
      let (entries, isClosed) = state.takeAll()
      return Taken(entries: entries, isClosed: isClosed, isIdle: entries.isEmpty && !isClosed && !state.wasLent)
    }
  }

  private func waitForCompany(nanoseconds: Int64) {
    let isAlone = state.withLock { state in
      guard state.urgentCount > 0, state.urgentCount < state.lastUrgentCount else { return false }
      state.urgentGoal = state.lastUrgentCount
      return true
    }
    guard isAlone else { return }
    sleep(until: monotonicNanoseconds() + nanoseconds) { $0.urgentCount < $0.urgentGoal }
    state.withLock { $0.urgentGoal = 1 }
  }

  /// Sleeps while `isWaiting` and the mailbox is open, and while the writer's place is lent; `false` if the deadline came
  /// first.
  @discardableResult
  private func sleep(until deadline: Int64?, _ isWaiting: (borrowing State) -> Bool) -> Bool {
    let woke = state.wait(deadline: deadline) { state -> Bool? in
      let isWaiting = isWaiting(state) && !state.isClosed
      state.isSleeping = isWaiting && !state.isLent
      return isWaiting || state.isLent ? nil : true
    }
    guard woke == nil else { return true }
    return state.wait(deadline: nil) { state -> Bool? in
      state.isSleeping = false
      state.isAwaited = state.isLent
      return state.isLent ? nil : false
    } ?? false
  }

  /// Nothing more comes in.
  func close() {
    state.withLock { $0.isClosed = true }
    state.signal()
  }
}
