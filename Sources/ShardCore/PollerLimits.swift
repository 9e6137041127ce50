public import StreamModel

/// Limits of a poller that do not depend on the mapping.
public struct PollerLimits: Hashable, Sendable {
  /// How long to wait after the store refused a write or could not be read, in milliseconds, 1 or more.
  public var storeRetryMilliseconds: Int64
  /// Failure entries that wait in one lane to be delivered again, 0 or more. Beyond it a request is turned down with
  /// `settleRedrive(succeeded: false)`, and the entry stays on the list.
  public var redriveLimit: Int
  /// What a tumbling window may hand on, in bytes. With more it ends early.
  public var windowStateByteLimit: Int
  /// How long a lane that has nothing to deliver waits behind the end of its tumbling window for records that arrived in
  /// it and whose commit takes long, in milliseconds, 0 or more.
  public var windowCloseDelayMilliseconds: Int64

  public init(
    storeRetryMilliseconds: Int64 = 1_000, redriveLimit: Int = 1_024,
    windowStateByteLimit: Int = WindowState.byteLimit, windowCloseDelayMilliseconds: Int64 = 1_000
  ) {
    precondition(storeRetryMilliseconds >= 1, "a refused write is not repeated at once")
    precondition(redriveLimit >= 0, "a limit on redrives is not negative")
    self.storeRetryMilliseconds = storeRetryMilliseconds
    precondition(windowCloseDelayMilliseconds >= 0, "a window is not closed before its end")
    self.redriveLimit = redriveLimit
    self.windowStateByteLimit = windowStateByteLimit
    self.windowCloseDelayMilliseconds = windowCloseDelayMilliseconds
  }
}
