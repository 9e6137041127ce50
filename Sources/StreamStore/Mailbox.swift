internal import LMDB

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
/// they put when it comes back. `isSleeping` changes only under the lock and together with looking at the entries, and
/// so no wake-up is lost.
final class Mailbox: Sendable {
  private struct State {
    var entries: [MailboxEntry] = []
    var waitingBytes = 0
    var isSleeping = false
    var isClosed = false

    mutating func takeAll() -> (entries: [MailboxEntry], isClosed: Bool) {
      let taken = entries
      entries = []
      waitingBytes = 0
      return (taken, isClosed)
    }
  }

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
      defer { state.isSleeping = false }
      return (nil, state.isSleeping)
    }
    if wakes { state.signal() }
    return refusal
  }

  /// Takes everything, waiting for it: at most until `deadline` in nanoseconds of monotonic time, or without end.
  func take(deadline: Int64?) -> (entries: [MailboxEntry], isClosed: Bool) {
    let taken = state.wait(deadline: deadline) { state -> (entries: [MailboxEntry], isClosed: Bool)? in
      state.isSleeping = state.entries.isEmpty && !state.isClosed
      return state.isSleeping ? nil : state.takeAll()
    }
    return taken ?? ([], false)
  }

  /// Nothing more comes in.
  func close() {
    state.withLock { $0.isClosed = true }
    state.signal()
  }
}
