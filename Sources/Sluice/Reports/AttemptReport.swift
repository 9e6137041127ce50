import StreamModel
import StreamRuntime
public import StreamStore

/// One delivery that failed, as `explain` and `failures show` print it.
public struct AttemptReport: Codable, Hashable, Sendable {
  /// Milliseconds since 1970.
  public var startedAt: Int64
  public var durationMilliseconds: Int64
  /// `error`, `timeout`, `exit`, `invalid-response`, `payload-too-large`, `no-progress`, `throttle` or `unavailable`.
  public var kind: String
  public var type: String
  public var message: String
  public var trace: [String]
  /// The id of the invocation; the same for all retries of an unchanged batch.
  public var requestID: String
  /// The retry rule that decided what followed, if one did.
  public var rule: String?

  public init(_ record: AttemptRecord) {
    startedAt = record.startedAt.milliseconds
    durationMilliseconds = record.durationMilliseconds
    kind = record.kind.name
    type = record.type
    message = record.message
    trace = record.trace
    requestID = record.requestID
    rule = record.rule
  }
}
