public import StreamModel

/// What happens to an outbox.
public enum OutboxEvent: Hashable, Sendable {
  /// An entry was stored, stored anew under its old number, or is to be delivered once more.
  case entryStored(UInt64)
  /// Answers `load`. `isEnd`: the store has no more behind the last of these.
  case loaded([OutboxEntry], isEnd: Bool)
  case loadRefused
  /// Answers `deliver`.
  case answered(UInt64, OutboxVerdict)
  /// Answers `note`.
  case noted(UInt64)
  case noteRefused(UInt64)
  case timerFired
  /// Start nothing new.
  case drainRequested
}

/// An entry as the store has it.
public struct OutboxEntry: Hashable, Sendable {
  public var number: UInt64
  /// Attempts that failed.
  public var attempts: Int
  public var retryAt: WallTime

  public init(number: UInt64, attempts: Int, retryAt: WallTime) {
    self.number = number
    self.attempts = attempts
    self.retryAt = retryAt
  }
}

/// How an attempt ended.
public enum OutboxVerdict: Hashable, Sendable {
  case accepted
  /// The destination may have said when to come again.
  case failed(retryAfterMilliseconds: Int64?)
  /// There was nothing to deliver, or the attempt was cut short by a stop: it does not count.
  case notAttempted
}

/// Orders of an outbox.
///
/// What starts must end:
///
/// | order | ends with |
/// | --- | --- |
/// | `load` | `loaded` or `loadRefused` |
/// | `deliver` | `answered` with the same number |
/// | `note` | `noted` or `noteRefused` with the same number |
/// | `armTimer` | `timerFired`, unless a later order arms another moment |
public enum OutboxEffect: Hashable, Sendable {
  /// Read the entries that wait, in the order of their numbers: at most `limit`, behind `after`.
  case load(after: UInt64, limit: Int)
  /// `attempt` is 1 for the first.
  case deliver(UInt64, attempt: Int)
  case note(UInt64, OutboxOutcome)
  case armTimer(MonotonicTime)
  /// Nothing is on its way and everything is noted. Comes once, after `drainRequested`.
  case drained
}

/// What the store is to remember of an entry after an attempt.
public enum OutboxOutcome: Hashable, Sendable {
  case delivered
  case retry(attempts: Int, at: WallTime)
  case undeliverable(attempts: Int)
}
