import StreamModel
import StreamRuntime

/// What the handler of a shadow mapping has answered since the worker added the mapping. It moved nothing.
public struct ShadowReport: Codable, Hashable, Sendable {
  /// Batches that the handler was done with as a whole, and those of which something failed.
  public var succeededBatches: UInt64
  public var failedBatches: UInt64
  public var succeededRecords: UInt64
  public var failedRecords: UInt64
  /// The last batch that failed with an error.
  public var lastFailure: Failure?

  public struct Failure: Codable, Hashable, Sendable {
    /// Milliseconds since 1970.
    public var at: Int64
    /// As in attempts, such as `error` or `timedOut`.
    public var kind: String
    public var type: String
    public var message: String
    public var records: Int
  }

  init(_ outcomes: ShadowOutcomes) {
    succeededBatches = outcomes.succeededBatches
    failedBatches = outcomes.failedBatches
    succeededRecords = outcomes.succeededRecords
    failedRecords = outcomes.failedRecords
    lastFailure = outcomes.lastFailure.map {
      Failure(
        at: $0.at.milliseconds, kind: $0.kind.name, type: $0.type, message: $0.message, records: $0.records)
    }
  }
}
