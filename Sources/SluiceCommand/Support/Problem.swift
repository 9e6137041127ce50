import ArgumentParser
import Sluice

/// Why a command failed: one message that says what to do, and the exit code that scripts see.
struct Problem: Error {
  var exitCode: ExitCode
  var message: String

  init(_ exitCode: ExitCode, _ message: String) {
    self.exitCode = exitCode
    self.message = message
  }

  init(_ refusal: OperatorRefusal) {
    message = refusal.message
    switch refusal.reason {
    case .badInput: exitCode = Exit.badInput
    case .needsWorker: exitCode = Exit.notReachable
    case .tryAgain: exitCode = Exit.tryAgain
    case .failed: exitCode = Exit.failed
    }
  }
}
