import Locks
public import StreamModel

/// Something that takes events and gives responses.
public protocol FunctionInvoking: Sendable {
  /// The AWS names in the events.
  var identity: EventIdentity { get }

  /// Hands over the event that `encode` appends, and gives the response. `lineage` is that of its records. Where several
  /// share the function, `caller` is told apart from the others.
  func invoke(
    _ requestID: String, lineage: Lineage, for caller: ObjectIdentifier?, _ encode: (inout EventBuffer) -> Void
  ) async throws(HandlerFailure) -> [UInt8]
}

extension FunctionPool: FunctionInvoking {
  public var identity: EventIdentity { settings.identity }
}

extension HTTPFunctionPool: FunctionInvoking {
  public var identity: EventIdentity { settings.identity }
}

/// A handler that is a function: each batch becomes the event of one invocation, each response an outcome.
///
/// Several handlers may share a pool: the pool belongs to the function, the handler to the mapping.
public final class FunctionHandler: BatchHandler, WindowedBatchHandler {
  private let pool: any FunctionInvoking
  private let identity: EventIdentity
  private let reader: AnswerReader
  // The writer of the stream seen last; a mapping has one stream, so there is one.
  private let writer = Mutex<EventWriter?>(nil)

  /// - Parameter namesEveryFailure: see ``AnswerReader/namesEveryFailure``.
  public init(
    pool: any FunctionInvoking, reportsItemFailures: Bool = false, namesEveryFailure: Bool = false
  ) {
    self.pool = pool
    self.identity = pool.identity
    self.reader = AnswerReader(
      reportsItemFailures: reportsItemFailures, takesErrors: false, namesEveryFailure: namesEveryFailure)
  }

  /// An invocation has an id that function and operator see.
  public var usesRequestIDs: Bool { true }

  public func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    let writer = self.writer(for: batch.origin)
    let response = try await pool.invoke(
      batch.origin.requestID, lineage: batch.lineage, for: ObjectIdentifier(self)
    ) {
      writer.write(batch, into: &$0)
    }
    InvocationWatch.answered?(response)
    return try reader.outcome(of: response, for: batch)
  }

  public func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome {
    let writer = self.writer(for: batch.origin)
    let response = try await pool.invoke(
      batch.origin.requestID, lineage: batch.records?.lineage ?? .none, for: ObjectIdentifier(self)
    ) {
      writer.write(batch, into: &$0)
    }
    InvocationWatch.answered?(response)
    return try reader.outcome(of: response, for: batch)
  }

  private func writer(for origin: BatchOrigin) -> EventWriter {
    writer.withLock { writer in
      if let writer, writer.isFor(origin) { return writer }
      let fresh = EventWriter(identity: identity, origin: origin)
      writer = fresh
      return fresh
    }
  }
}
