/// A handler whose effects are writes to tables in the store that its records come from.
///
/// The writes of a batch and the checkpoint behind it become durable in one transaction, so each record's effect is
/// there exactly once: after a retry, after a split of the batch, after `kill -9`. What the handler does elsewhere is
/// done at least once, as by any other handler.
///
/// ```swift
/// struct Delays: TransactionalBatchHandler {
///   func handle(_ batch: RecordBatch, in scope: inout TableScope) async throws -> HandlerOutcome {
///     for position in 0..<batch.count {
///       let flight = TableOwner.partitionKey(of: batch[position])
///       let count = try scope.get("count".utf8, from: "delays", of: flight)?.first ?? 0
///       try scope.put("count".utf8, [count &+ 1], into: "delays", of: flight)
///     }
///     return .succeeded
///   }
/// }
/// ```
public protocol TransactionalBatchHandler: BatchHandler {
  /// Works on the batch and writes into `scope`. What it writes counts if the batch does: nothing of it if the handler
  /// throws, is too late or names the first record, and what belongs to the records before the one it names if it
  /// has called ``TableScope/begin(at:)``. The scope ends with the call; a copy that is kept leads nowhere.
  func handle(_ batch: RecordBatch, in scope: inout TableScope) async throws -> HandlerOutcome
}

extension TransactionalBatchHandler {
  /// Always fails: without tables there is nothing to write to.
  public func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    throw HandlerFailure(
      kind: .unavailable, type: "TablesMissing", message: "The handler needs tables, and was called without any.")
  }
}
