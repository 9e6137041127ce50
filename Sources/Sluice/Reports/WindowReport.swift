import ShardCore
import StreamModel

/// The tumbling window that a lane is in. Times are milliseconds since 1970.
public struct WindowReport: Codable, Hashable, Sendable {
  public var start: Int64
  public var end: Int64
  /// Records that arrived in it and are settled.
  public var records: UInt64
  /// What the next invocation is given, in bytes.
  public var stateBytes: Int
  /// When the final invocation comes if no record comes before: the end, and a delay for records whose commit takes long.
  public var closesAt: Int64
  /// The final invocation is next.
  public var isEnding: Bool
  /// Where the final invocation stands that has failed and is tried again: before the record of this index. `nil`: none has.
  public var failingFinalAt: UInt64?
  /// It ends before its time, because its state is too large or the mapping has no windows any more.
  public var isTerminatedEarly: Bool

  init(
    _ window: OpenWindow, records: UInt64, failing: FailingBatch?,
    closeDelay: Int64 = PollerLimits().windowCloseDelayMilliseconds
  ) {
    self.records = records
    start = window.bounds.start.milliseconds
    end = window.bounds.end.milliseconds
    stateBytes = window.state.bytes.count
    closesAt = window.bounds.end.adding(milliseconds: closeDelay).milliseconds
    isEnding = window.isEnding
    failingFinalAt = failing.flatMap { $0.extent.isEmpty ? $0.extent.first.rawValue : nil }
    isTerminatedEarly = window.isTerminatedEarly
  }
}

/// The tumbling window that failed records were in. Times are milliseconds since 1970.
public struct FailedWindowReport: Codable, Hashable, Sendable {
  public var start: Int64
  public var end: Int64
  public var isFinalInvokeForWindow: Bool
  public var isWindowTerminatedEarly: Bool
  /// What the final invocation was given, if that is what failed and it is UTF-8 text.
  public var state: String?
}
