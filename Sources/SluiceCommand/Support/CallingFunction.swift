import Foundation
import StreamModel

/// The function that the command was called by, if one did: its runtime keeps the trace header of its invocation in the
/// environment, and what it puts comes from one invocation more.
enum CallingFunction {
  static func lineage() throws -> Lineage {
    guard let header = ProcessInfo.processInfo.environment[Lineage.variableName] else { return .none }
    do {
      return try Lineage(traceHeader: header)
    } catch {
      throw Problem(Exit.badInput, "The environment variable \(Lineage.variableName): \(error)")
    }
  }
}
