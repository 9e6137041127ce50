import Locks
import ShardCore
public import StreamModel

/// What the handler of a shadow mapping has answered since the mapping was added. It moves nothing.
public struct ShadowOutcomes: Hashable, Sendable {
  /// Batches that the handler was done with as a whole, and those of which something failed.
  public var succeededBatches: UInt64 = 0
  public var failedBatches: UInt64 = 0
  public var succeededRecords: UInt64 = 0
  public var failedRecords: UInt64 = 0
  /// The last one that failed with an error.
  public var lastFailure: Failure?

  public struct Failure: Hashable, Sendable {
    public var at: WallTime
    public var kind: FailureKind
    public var type: String
    public var message: String
    /// The first record of the batch, and how many there were.
    public var first: RecordIndex
    public var records: Int
  }

  public init() {}
}

/// Holds the outcomes for all lanes of a mapping.
final class ShadowRegister: Sendable {
  private let state = Mutex(ShadowOutcomes())

  var outcomes: ShadowOutcomes { state.withLock { $0 } }

  /// The handler answered; `failed` of the records are not done.
  func note(records: Int, failed: Int) {
    state.withLock { state in
      if failed > 0 { state.failedBatches += 1 } else { state.succeededBatches += 1 }
      state.failedRecords += UInt64(failed)
      state.succeededRecords += UInt64(records - failed)
    }
  }

  /// It did not, or not in time, or it was not called.
  func note(_ failure: HandlerFailure, of extent: BatchExtent, at now: WallTime) {
    state.withLock { state in
      state.failedBatches += 1
      state.failedRecords += UInt64(extent.count)
      state.lastFailure = ShadowOutcomes.Failure(
        at: now, kind: failure.kind, type: failure.type, message: failure.message, first: extent.first,
        records: extent.count)
    }
  }
}
