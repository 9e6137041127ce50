import LambdaRuntime
import Locks
public import StreamModel
import StreamRuntime

/// What a handler did with one invocation.
public struct InvocationNote: Sendable {
  /// The records, as first and last index of each stretch without a gap.
  public internal(set) var stretches: [ClosedRange<UInt64>] = []
  /// What it answered, if it is a handler in another process.
  public internal(set) var answer: [UInt8]?
  public internal(set) var failure: HandlerFailure?
  /// The tumbling window, if it has one, and what was handed on in it: `nil` in its final invocation, and where it failed.
  public internal(set) var window: TimeWindow?
  public internal(set) var state: WindowState?
  /// How long it really took.
  public internal(set) var took: Duration = .zero
}

/// Calls a handler and notes what it does.
final class WatchedHandler: BatchHandler, WindowedBatchHandler {
  private let handler: any BatchHandler
  private let notes = Mutex<[Key: InvocationNote]>([:])
  private let importedNumbers: ImportedNumbers
  private let seed: UInt64

  /// Only one delivery of a record is under way. The final one of a window has none, and only one is under way in a shard.
  private struct Key: Hashable {
    var shard: ShardNumber
    var first: RecordIndex?
  }

  /// `seed` decides the request ids, so that a handler that answers with them gives the same answers each time.
  init(_ handler: any BatchHandler, _ importedNumbers: ImportedNumbers, seed: UInt64) {
    self.handler = handler
    self.importedNumbers = importedNumbers
    self.seed = seed
  }

  var usesRequestIDs: Bool { handler.usesRequestIDs }
  func requestID(of batch: RecordBatch) -> String? { handler.requestID(of: batch) }

  func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
    var named = importedNumbers.naming(batch)
    named.origin.requestID = requestID(named.origin, batch)
    return try await noting(batch, batch.origin.shard) { _ in try await handler.handle(named) }
  }

  func handle(_ batch: WindowedBatch) async throws -> WindowedOutcome {
    guard let windowed = handler as? any WindowedBatchHandler else {
      throw HandlerFailure(
        kind: .unavailable, type: "TakesNoWindows", message: "The handler takes no windows.")
    }
    var origin = batch.origin
    origin.requestID = requestID(origin, batch.records, batch.window)
    var records = batch.records.map(importedNumbers.naming)
    records?.origin.requestID = origin.requestID
    let named = WindowedBatch(
      origin: origin, records: records, window: batch.window, state: batch.state,
      isTerminatedEarly: batch.isTerminatedEarly)
    return try await noting(batch.records, batch.origin.shard, batch.window) { note in
      let outcome = try await windowed.handle(named)
      if !batch.isFinal { note.content.withLock { $0.state = outcome.state } }
      return outcome
    }
  }

  /// One that the deliveries of a batch have in common, as in a worker; empty where the handler uses none.
  private func requestID(_ origin: BatchOrigin, _ batch: RecordBatch?, _ window: TimeWindow? = nil) -> String {
    guard !origin.requestID.isEmpty else { return "" }
    if let batch, let own = handler.requestID(of: batch) { return own }
    var bits = seed
    for number in [
      UInt64(origin.shard.rawValue), batch?.firstIndex.rawValue ?? .max, batch?.lastIndex.rawValue ?? .max,
      UInt64(bitPattern: window?.start.milliseconds ?? 0),
    ] {
      bits = SplitMix64.mixed(bits ^ number)
    }
    return RequestID.make(of: (upper: bits, lower: SplitMix64.mixed(bits)))
  }

  /// Takes the note of the invocation that begins with this record.
  func takeNote(_ shard: ShardNumber, _ first: RecordIndex?) -> InvocationNote? {
    notes.withLock { $0.removeValue(forKey: Key(shard: shard, first: first)) }
  }

  private func noting<Outcome>(
    _ batch: RecordBatch?, _ shard: ShardNumber, _ window: TimeWindow? = nil,
    _ body: (OpenNote) async throws -> Outcome
  ) async throws -> Outcome {
    let note = OpenNote(InvocationNote(stretches: batch.map { Self.stretches($0) } ?? [], window: window))
    let key = Key(shard: shard, first: batch?.firstIndex)
    let begun = ContinuousClock.now
    defer {
      var content = note.content.withLock { $0 }
      content.took = ContinuousClock.now - begun
      notes.withLock { $0[key] = content }
    }
    do {
      return try await InvocationWatch.watching({ answer in note.content.withLock { $0.answer = answer } }) {
        try await body(note)
      }
    } catch {
      note.content.withLock { $0.failure = error as? HandlerFailure }
      throw error
    }
  }

  /// The note of an invocation under way.
  private final class OpenNote: Sendable {
    let content: Mutex<InvocationNote>

    init(_ content: InvocationNote) { self.content = Mutex(content) }
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
