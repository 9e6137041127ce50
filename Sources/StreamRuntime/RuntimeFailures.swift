import ShardCore
import StreamModel
import StreamStore

/// Failures that are the runtime's own words.
extension HandlerFailure {
  static let tablesBehind = HandlerFailure(
    kind: .throttled, type: "TablesBehind",
    message: "Writes of \(TableLimits.unstoredBytes) bytes wait to become durable.")

  static func timedOut(_ handling: Handling) -> HandlerFailure {
    HandlerFailure(
      kind: .timedOut, type: "Sandbox.Timedout",
      message: "The handler was not done in time (limit \(handling.timeoutMilliseconds) ms).")
  }

  /// What a handler says that was told to stop is no word about its records, unless it came to an end of its own.
  var asStopped: HandlerFailure {
    guard kind == .timedOut || type == "\(CancellationError.self)" else { return self }
    return HandlerFailure(
      kind: kind, type: Self.stoppedType,
      message: "An operator skipped the records while the handler had them, and it was stopped.")
  }

  /// An entry is settled as a whole: a part of it done leaves it on the list.
  static let partial = HandlerFailure(
    kind: .error, type: "BatchItemFailure", message: "The handler reported a record of the entry as failed.")
}
