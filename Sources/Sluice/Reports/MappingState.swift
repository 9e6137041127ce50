import Locks
import StreamRuntime

/// Where a mapping is in its life. The words are AWS's.
public enum MappingState: String, Hashable, Sendable, Codable, CaseIterable {
  case creating = "Creating"
  case enabling = "Enabling"
  case enabled = "Enabled"
  case disabling = "Disabling"
  case disabled = "Disabled"
  case updating = "Updating"
  case deleting = "Deleting"
}

/// The mappings that are on their way from one state to another, for status. Held by whoever changes them.
public final class MappingTransitions: Sendable {
  private let states = Mutex<[String: MappingState]>([:])

  public init() {}

  public func state(of mapping: String) -> MappingState? { states.withLock { $0[mapping] } }

  /// The mapping is in this state until `body` has ended, in whichever way.
  public func during<Result>(
    _ state: MappingState, of mapping: String, _ body: () async throws -> Result
  ) async rethrows -> Result {
    states.withLock { $0[mapping] = state }
    defer { states.withLock { $0[mapping] = nil } }
    return try await body()
  }
}

extension LastResult {
  /// `LastProcessingResult`, in AWS's words where they are known.
  var sentence: String {
    switch self {
    case .none: "No records processed"
    case .succeeded: "OK"
    case .functionFailed: "PROBLEM: Function call failed"
    case .functionUnavailable: "PROBLEM: Function is not available"
    }
  }
}
