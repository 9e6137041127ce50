internal import Glibc
internal import Synchronization

/// Something for the writer, and whom to answer.
enum MailboxEntry: Sendable {
  case append(AppendBody, AppendCompletion)
  case command(StoreCommand, CommandCompletion)

  var byteCount: Int {
    switch self {
    case .append(let body, _): body.byteCount
    case .command: 0
    }
  }

  func refuse(_ error: StoreError) {
    switch self {
    case .append(_, let completion): completion(.failure(error))
    case .command(_, let completion): completion(.failure(error))
    }
  }
}

/// What waits for the writer. Many threads put, the writer takes all at once.
///
/// The writer is woken only when it sleeps: while it commits, producers put without a system call, and it finds what
/// they put when it comes back. `isSleeping` changes only under the lock and together with looking at the entries, so
/// no wake-up is lost and none is spent twice.
final class Mailbox: Sendable {
  private struct State {
    var entries: [MailboxEntry] = []
    var waitingBytes = 0
    var isSleeping = false
    var isClosed = false
  }

  private let state = Mutex(State())
  private let wake = WakeSignal()
  private let byteLimit: Int
  private let entryLimit: Int

  init(byteLimit: Int, entryLimit: Int) {
    self.byteLimit = byteLimit
    self.entryLimit = entryLimit
  }

  /// Puts `entry` behind the others. An entry whose caller does not wait for the answer is `bounded`: it is refused
  /// when too much is waiting. Returns why it was refused.
  func put(_ entry: MailboxEntry, bounded: Bool) -> StoreError? {
    let (refusal, wakes) = state.withLock { state -> (StoreError?, Bool) in
      if state.isClosed { return (.notWriting, false) }
      if bounded,
        state.waitingBytes + entry.byteCount > byteLimit && state.waitingBytes > 0 || state.entries.count >= entryLimit
      {
        return (.overloaded, false)
      }
      state.entries.append(entry)
      state.waitingBytes += entry.byteCount
      defer { state.isSleeping = false }
      return (nil, state.isSleeping)
    }
    if wakes { wake.signal() }
    return refusal
  }

  /// Takes everything, waiting for it: at most until `deadline` in nanoseconds of monotonic time, or without end.
  /// `isClosed` comes once, with the last entries or after them.
  func take(deadline: Int64?) -> (entries: [MailboxEntry], isClosed: Bool) {
    while true {
      let taken = state.withLock { state -> ([MailboxEntry], Bool)? in
        if state.entries.isEmpty && !state.isClosed {
          state.isSleeping = true
          return nil
        }
        return Self.takeAll(&state)
      }
      if let taken { return taken }
      if wake.wait(deadline: deadline) { continue }
      // The time is over. Whoever put something meanwhile has cleared the flag and signals: take that signal.
      let (late, signalled) = state.withLock { state in
        let signalled = !state.isSleeping
        state.isSleeping = false
        return (Self.takeAll(&state), signalled)
      }
      if signalled { _ = wake.wait(deadline: nil) }
      return late
    }
  }

  /// What is there now, without waiting.
  func takeNow() -> [MailboxEntry] {
    state.withLock { Self.takeAll(&$0).0 }
  }

  /// Nothing more comes in.
  func close() {
    let wakes = state.withLock { state in
      state.isClosed = true
      defer { state.isSleeping = false }
      return state.isSleeping
    }
    if wakes { wake.signal() }
  }

  private static func takeAll(_ state: inout State) -> ([MailboxEntry], Bool) {
    let entries = state.entries
    state.entries = []
    state.waitingBytes = 0
    return (entries, state.isClosed)
  }
}
