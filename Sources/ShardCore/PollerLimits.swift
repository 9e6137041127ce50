/// Limits of a poller that do not depend on the mapping.
public struct PollerLimits: Hashable, Sendable {
  /// Batches that a lane may settle before the first of them is durable, 1 or more. At the limit the lane holds. After
  /// a crash at most so many batches, and the one in flight, are delivered again.
  public var unstoredBatchLimit: Int
  /// How long to wait after the store refused a write or could not be read, in milliseconds, 1 or more.
  public var storeRetryMilliseconds: Int64
  /// Failure entries that wait in one lane to be delivered again, 0 or more. Beyond it a request is turned down with
  /// `settleRedrive(succeeded: false)`, and the entry stays on the list.
  public var redriveLimit: Int

  public init(unstoredBatchLimit: Int = 256, storeRetryMilliseconds: Int64 = 1_000, redriveLimit: Int = 1_024) {
    precondition(unstoredBatchLimit >= 1, "a lane must be able to settle one batch before it is stored")
    precondition(storeRetryMilliseconds >= 1, "a refused write is not repeated at once")
    precondition(redriveLimit >= 0, "a limit on redrives is not negative")
    self.unstoredBatchLimit = unstoredBatchLimit
    self.storeRetryMilliseconds = storeRetryMilliseconds
    self.redriveLimit = redriveLimit
  }
}
