/// What a mapping calls with each batch.
///
/// Called again with the same records after a failure, and possibly after a crash, so a handler should be idempotent.
/// One call at a time for each lane; lanes call concurrently.
public protocol BatchHandler: Sendable {
  /// Works on the batch. Returning ``HandlerOutcome/failed(at:)`` and throwing both lead to a retry; throw a
  /// ``HandlerFailure`` to say more about what went wrong.
  ///
  /// When the handler's time is over its task is cancelled. The lane goes on only when this function has returned: a
  /// handler that ignores cancellation keeps its shard waiting.
  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome

  /// Whether deliveries to it have an id, in ``BatchOrigin/requestID``. By default they have none: it costs time.
  var usesRequestIDs: Bool { get }

  /// The id of a batch whose records bring their own, for its attempts to be told by. By default they bring none.
  func requestID(of batch: RecordBatch) -> String?
}

extension BatchHandler {
  public var usesRequestIDs: Bool { false }
  public func requestID(of batch: RecordBatch) -> String? { nil }
}
