/// How failure entries go to the destination of their mapping.
public struct OutboxPolicy: Hashable, Sendable {
  /// Attempts for one entry, 1 or more. Then it is undeliverable: it stays in the store until somebody acts.
  public var attemptLimit: Int
  /// Waits between the attempts for one entry. Other entries do not wait with it.
  public var backoff: Backoff
  /// Entries on their way at once, 1 or more.
  public var inFlightLimit: Int
  /// Entries that are kept in mind, 1 or more: those on their way and those that wait. More stay in the store.
  public var entryLimit: Int
  /// The longest wait that a destination can ask for, in milliseconds.
  public var longestRequestedWaitMilliseconds: Int64
  /// How long to wait before the store is asked again that refused a read or a note, in milliseconds.
  public var storeRetryMilliseconds: Int64

  public init(
    attemptLimit: Int = 12, backoff: Backoff = .destination, inFlightLimit: Int = 4, entryLimit: Int = 256,
    longestRequestedWaitMilliseconds: Int64 = 3_600_000, storeRetryMilliseconds: Int64 = 1_000
  ) {
    precondition(attemptLimit >= 1 && inFlightLimit >= 1 && entryLimit >= 1, "an outbox delivers something")
    self.attemptLimit = attemptLimit
    self.backoff = backoff
    self.inFlightLimit = inFlightLimit
    self.entryLimit = entryLimit
    self.longestRequestedWaitMilliseconds = longestRequestedWaitMilliseconds
    self.storeRetryMilliseconds = storeRetryMilliseconds
  }

  /// How long to wait, in milliseconds, after as many attempts have failed, 1 or more; `nil`: there is no other attempt.
  ///
  /// - Parameters:
  ///   - requested: how long the destination asked to be left alone, in milliseconds.
  ///   - jitter: any random number; asked for only where there is a wait.
  public func waitMilliseconds(
    failures: Int, requested: Int64?, jitter: @autoclosure () -> UInt64
  ) -> Int64? {
    guard failures < attemptLimit else { return nil }
    let asked = min(max(0, requested ?? 0), longestRequestedWaitMilliseconds)
    return max(backoff.delayMilliseconds(failures: failures, jitter: jitter()), asked)
  }

  /// For what somebody waits for meanwhile, the result of an asynchronous invocation: three attempts, and less than 5 s of
  /// waiting between them.
  public static let whileWaiting = OutboxPolicy(
    attemptLimit: 3, backoff: Backoff(firstMilliseconds: 500, capMilliseconds: 1_000, jitterPercent: 0),
    longestRequestedWaitMilliseconds: 2_000)
}

extension Backoff {
  /// 1 s doubling to 5 min, ± 20 %: twelve attempts take about a quarter of an hour.
  public static let destination = Backoff(firstMilliseconds: 1_000, capMilliseconds: 300_000, jitterPercent: 20)
}
