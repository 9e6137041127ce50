public import StreamModel

/// Hands each record to a function as the event of one invocation: an asynchronous invocation that comes from a stream.
///
/// The record's data is the event as it was given, its partition key is the request id, the same for all attempts. A
/// mapping to it has a batch size of 1: a failure is that of the whole batch.
public final class AsyncInvocationHandler: BatchHandler {
  private let pool: any FunctionInvoking
  private let succeeded: (@Sendable (_ requestID: String, _ event: [UInt8], _ result: [UInt8]) async -> Void)?

  /// - Parameter succeeded: called with what the function returned, before the record counts as done; without it that is
  ///   dropped.
  public init(
    pool: any FunctionInvoking,
    succeeded: (@Sendable (_ requestID: String, _ event: [UInt8], _ result: [UInt8]) async -> Void)? = nil
  ) {
    self.pool = pool
    self.succeeded = succeeded
  }

  public func requestID(of batch: RecordBatch) -> String? { batch[0].partitionKey }

  public func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    for position in 0..<batch.count {
      let (requestID, event) = (batch[position].partitionKey, batch[position].dataBytes)
      let result = try await pool.invoke(requestID, lineage: batch[position].lineage, for: ObjectIdentifier(self)) {
        $0.append(contentsOf: event)
      }
      InvocationWatch.answered?(result)
      await succeeded?(requestID, event, result)
    }
    return .succeeded
  }
}
