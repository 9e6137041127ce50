/// One invocation of a tumbling window: records of it and what was handed on so far, or, at its end, the state alone.
public struct WindowedBatch: Sendable {
  /// Where the batch comes from and which delivery this is.
  public let origin: BatchOrigin
  /// The records, all of this window; `nil` in its final invocation.
  public let records: RecordBatch?
  public let window: TimeWindow
  /// What the invocation before returned; empty in the first one of the window.
  public let state: WindowState
  /// The window ended before its time, because its state is larger than ``WindowState/byteLimit``, or because the mapping
  /// has no windows any more. Then this is the final invocation.
  public let isTerminatedEarly: Bool

  public init(
    origin: BatchOrigin, records: RecordBatch?, window: TimeWindow, state: WindowState, isTerminatedEarly: Bool
  ) {
    self.origin = origin
    self.records = records
    self.window = window
    self.state = state
    self.isTerminatedEarly = isTerminatedEarly
  }

  /// No more invocations of this window come, unless this one fails.
  public var isFinal: Bool { records == nil }
}

/// A handler's verdict on an invocation of a tumbling window.
public struct WindowedOutcome: Hashable, Sendable {
  /// What the next invocation of the window gets. Dropped if this is the final one, or if nothing is done.
  public var state: WindowState
  /// The records before this one are done; this one and all behind it are delivered again. `nil`: all are done.
  public var failedAt: SequenceNumber?

  public init(state: WindowState, failedAt: SequenceNumber? = nil) {
    self.state = state
    self.failedAt = failedAt
  }

  /// Every record is done, and this is handed on.
  public static func succeeded(_ state: WindowState) -> WindowedOutcome { WindowedOutcome(state: state) }
}

/// What a mapping with tumbling windows calls.
///
/// The rules of ``BatchHandler`` hold. State is handed on only by an invocation that succeeds, so one that is repeated
/// gets the same state again.
public protocol WindowedBatchHandler: Sendable {
  func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome
}
