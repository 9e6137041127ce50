import StreamModel
import Synchronization

/// How the last delivery of a mapping ended: `LastProcessingResult`.
public enum LastResult: UInt8, Hashable, Sendable, CaseIterable {
  /// Nothing was delivered yet.
  case none
  /// The handler was done with the batch, or reported a record of it.
  case succeeded
  /// The handler failed, ended, or was not done in time.
  case functionFailed
  /// The handler was not called: throttled, or no process could be started.
  case functionUnavailable

  /// Of a delivery that failed. A handler that reports the first record of its batch has answered as it should: on AWS the
  /// result stays `OK`.
  init(after kind: FailureKind) {
    self =
      switch kind {
      case .reportedNoProgress: .succeeded
      case .error, .timedOut, .exited, .invalidResponse, .payloadTooLarge: .functionFailed
      case .throttled, .unavailable: .functionUnavailable
      }
  }
}

/// Holds the last result of a mapping, for all its lanes. Written only when it changes, so that lanes that succeed
/// share it without a fight.
final class ResultRegister: Sendable {
  private let value: Atomic<UInt8>

  init(_ result: LastResult) {
    value = Atomic(result.rawValue)
  }

  var result: LastResult { LastResult(rawValue: value.load(ordering: .relaxed)) ?? .none }

  func note(_ result: LastResult) {
    if value.load(ordering: .relaxed) != result.rawValue { value.store(result.rawValue, ordering: .relaxed) }
  }
}
