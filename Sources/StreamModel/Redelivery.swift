/// The first records of a batch that were delivered before, or may have been, and why they come again.
public struct Redelivery: Hashable, Sendable {
  /// How many records of the batch, 1 or more.
  public var count: Int
  public var cause: Cause

  /// The raw values are stored.
  public enum Cause: UInt8, Hashable, Sendable, CaseIterable {
    /// The same batch failed before.
    case retry = 1
    /// The handler named a record of a batch as failed: that one and what stood behind it are a new batch.
    case partialFailure = 2
    /// A batch that failed was split.
    case bisect = 3
    /// The worker ended before it was stored that they were done, or while they were being delivered. Not all of them
    /// need have been delivered: nobody was left to say.
    case restart = 4
    /// An operator had a failure entry delivered again.
    case redrive = 5
    /// An operator moved the mapping back: it had passed them before, delivered or not.
    case seek = 6

    /// The name that people and handlers see.
    public var name: String {
      switch self {
      case .retry: "retry"
      case .partialFailure: "partial-failure"
      case .bisect: "bisect"
      case .restart: "restart"
      case .redrive: "redrive"
      case .seek: "seek"
      }
    }
  }

  public init(count: Int, cause: Cause) {
    precondition(count > 0, "a redelivery is of records")
    self.count = count
    self.cause = cause
  }
}
