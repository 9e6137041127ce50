import LambdaRuntime
import Locks
public import StreamModel

/// What a handler did with one invocation.
public struct InvocationNote: Sendable {
  /// The records, as first and last index of each stretch without a gap.
  public internal(set) var stretches: [ClosedRange<UInt64>] = []
  /// What it answered, if it is a handler in another process.
  public internal(set) var answer: [UInt8]?
  public internal(set) var failure: HandlerFailure?
}

/// Calls a handler and notes what it does.
final class WatchedHandler: BatchHandler, WindowedBatchHandler {
  private let handler: any BatchHandler
  private let notes = Mutex<[Key: InvocationNote]>([:])

  /// Only one delivery of a record is under way. The final one of a window has none, and only one is under way in a shard.
  private struct Key: Hashable {
    var shard: ShardNumber
    var first: RecordIndex?
  }

  init(_ handler: any BatchHandler) { self.handler = handler }

  var usesRequestIDs: Bool { handler.usesRequestIDs }
  func requestID(of batch: RecordBatch) -> String? { handler.requestID(of: batch) }

  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    try await noting(batch, batch.origin.shard) { try await handler.handle(batch) }
  }

  func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome {
    guard let windowed = handler as? any WindowedBatchHandler else {
      throw HandlerFailure(
        kind: .unavailable, type: "TakesNoWindows", message: "The handler takes no windows.")
    }
    return try await noting(batch.records, batch.origin.shard) { try await windowed.handle(batch) }
  }

  /// Takes the note of the invocation that begins with this record.
  func takeNote(_ shard: ShardNumber, _ first: RecordIndex?) -> InvocationNote? {
    notes.withLock { $0.removeValue(forKey: Key(shard: shard, first: first)) }
  }

  private func noting<Outcome>(
    _ batch: RecordBatch?, _ shard: ShardNumber, _ body: () async throws -> Outcome
  ) async throws -> Outcome {
    let note = Mutex(InvocationNote(stretches: batch.map { Self.stretches($0) } ?? []))
    let key = Key(shard: shard, first: batch?.firstIndex)
    defer {
      let note = note.withLock { $0 }
      notes.withLock { $0[key] = note }
    }
    do {
      return try await InvocationWatch.$answered.withValue(
        { answer in note.withLock { $0.answer = answer } }, operation: body)
    } catch {
      note.withLock { $0.failure = error as? HandlerFailure }
      throw error
    }
  }

  private static func stretches(_ batch: RecordBatch) -> [ClosedRange<UInt64>] {
    let (first, last) = (batch.firstIndex.rawValue, batch.lastIndex.rawValue)
    if last - first + 1 == UInt64(batch.count) { return [first...last] }
    var stretches: [ClosedRange<UInt64>] = []
    for position in 0..<batch.count {
      let index = batch.index(at: position).rawValue
      if let known = stretches.last, known.upperBound + 1 == index {
        stretches[stretches.count - 1] = known.lowerBound...index
      } else {
        stretches.append(index...index)
      }
    }
    return stretches
  }
}
