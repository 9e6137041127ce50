import Locks
public import StreamModel

/// A handler in other processes: each batch becomes one event line, each answer line an outcome.
///
/// Several handlers may share a pool: the pool belongs to the function, the handler to the mapping.
public final class LineProcessHandler: BatchHandler, WindowedBatchHandler {
  private let pool: LineProcessPool
  private let identity: EventIdentity
  private let reader: AnswerReader
  // The writer of the stream seen last; a mapping has one stream, so there is one.
  private let writer = Mutex<EventWriter?>(nil)

  public init(
    pool: LineProcessPool, identity: EventIdentity = EventIdentity(), reportsItemFailures: Bool = false,
    namesEveryFailure: Bool = false
  ) {
    self.pool = pool
    self.identity = identity
    self.reader = AnswerReader(reportsItemFailures: reportsItemFailures, namesEveryFailure: namesEveryFailure)
  }

  public func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    let writer = self.writer(for: batch.origin)
    let answer = try await pool.invoke(for: ObjectIdentifier(self)) { writer.write(batch, into: &$0) }
    InvocationWatch.answered?(answer)
    return try reader.outcome(of: answer, for: batch)
  }

  public func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome {
    let writer = self.writer(for: batch.origin)
    let answer = try await pool.invoke(for: ObjectIdentifier(self)) { writer.write(batch, into: &$0) }
    InvocationWatch.answered?(answer)
    return try reader.outcome(of: answer, for: batch)
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
