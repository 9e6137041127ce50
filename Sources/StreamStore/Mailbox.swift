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

  init(byteLimit: Int, entryLimit: Int) {
    self.byteLimit = byteLimit
    self.entryLimit = entryLimit
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

  /// Takes everything, waiting for it: at most until `deadline` in nanoseconds of monotonic time, or without end.
  ///
  /// `company` is how many nanoseconds those who wait may be kept waiting for as many others as were taken last time.
  func take(deadline: Int64?, company: Int64 = 0) -> (entries: [MailboxEntry], isClosed: Bool) {
    guard sleep(until: deadline, { $0.entries.isEmpty }) else { return ([], false) }
    if let patientUntil = state.withLock({ $0.urgentCount == 0 ? $0.patientUntil : nil }) {
      sleep(until: patientUntil) { $0.urgentCount == 0 }
    }
    if company > 0 { waitForCompany(nanoseconds: company) }
    return state.withLock { $0.takeAll() }
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

  /// Sleeps while `isWaiting` and the mailbox is open; `false` if the deadline came first.
  @discardableResult
  private func sleep(until deadline: Int64?, _ isWaiting: (borrowing State) -> Bool) -> Bool {
    let woke = state.wait(deadline: deadline) { state -> Bool? in
      state.isSleeping = isWaiting(state) && !state.isClosed
      return state.isSleeping ? nil : true
    }
    if woke == nil { state.withLock { $0.isSleeping = false } }
    return woke != nil
  }

  /// Nothing more comes in.
  func close() {
    state.withLock { $0.isClosed = true }
    state.signal()
  }
}
