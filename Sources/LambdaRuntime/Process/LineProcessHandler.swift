import Locks
public import StreamModel

/// A handler in other processes: each batch becomes one event line, each answer line an outcome.
///
/// Several handlers may share a pool: the pool belongs to the function, the handler to the mapping.
public final class LineProcessHandler: BatchHandler, WindowedBatchHandler {
  private let pool: LineProcessPool
  private let identity: EventIdentity
  private let reader: AnswerReader
  /// What comes before the count of a trace header, in place of the event's closing brace. Empty: events have none.
  private let traceMember: [UInt8]
  // The writer of the stream seen last; a mapping has one stream, so there is one.
  private let writer = Mutex<EventWriter?>(nil)

  /// With the name of its function each event has a member of our own behind those of AWS, which a program passes on with
  /// what it puts: `"sluice":{"traceId":"Lineage=9f1c33a0:3"}`, the part of a trace header that counts invocations.
  public init(
    pool: LineProcessPool, identity: EventIdentity = EventIdentity(), reportsItemFailures: Bool = false,
    namesEveryFailure: Bool = false, function: String? = nil
  ) {
    self.pool = pool
    traceMember = function.map { Array(#","sluice":{"traceId":"\#(Lineage.memberPrefix(of: $0))"#.utf8) } ?? []
    self.identity = identity
    self.reader = AnswerReader(reportsItemFailures: reportsItemFailures, namesEveryFailure: namesEveryFailure)
  }

  public func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    let writer = self.writer(for: batch.origin)
    let answer = try await pool.invoke(for: ObjectIdentifier(self)) {
      writer.write(batch, into: &$0)
      addTrace(batch.lineage, to: &$0)
    }
    InvocationWatch.answered?(answer)
    return try reader.outcome(of: answer, for: batch)
  }

  public func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome {
    let writer = self.writer(for: batch.origin)
    let answer = try await pool.invoke(for: ObjectIdentifier(self)) {
      writer.write(batch, into: &$0)
      addTrace(batch.records?.lineage ?? .none, to: &$0)
    }
    InvocationWatch.answered?(answer)
    return try reader.outcome(of: answer, for: batch)
  }

  /// Of an event that ends here, whose records have this lineage.
  private func addTrace(_ lineage: Lineage, to event: inout EventBuffer) {
    guard !traceMember.isEmpty else { return }
    event.removeLast()
    event.append(contentsOf: traceMember)
    event.append(contentsOf: "\(lineage.next.hops)\"}}".utf8)
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
