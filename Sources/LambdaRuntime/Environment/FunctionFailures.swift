import Foundation
import StreamModel

/// The ways in which an invocation fails, with the names and words of Lambda.
enum FunctionFailures {
  static func timedOut(_ requestID: String, timeout: Duration, trace: [String]) -> HandlerFailure {
    HandlerFailure(
      kind: .timedOut, type: "Sandbox.Timedout",
      message: "\(start(of: requestID))\(timeoutText(timeout))", trace: trace)
  }

  static func start(of requestID: String) -> String { "RequestId: \(requestID) Error: " }

  /// `Task timed out after 3.00 seconds`
  static func timeoutText(_ timeout: Duration) -> String {
    "Task timed out after \(hundredths(timeout.inNanoseconds / 10_000_000)) seconds"
  }

  static func outOfMemory(_ requestID: String, trace: [String]) -> HandlerFailure {
    HandlerFailure(
      kind: .exited, type: "Runtime.OutOfMemory",
      message: "\(start(of: requestID))Runtime exited with error: signal: killed", trace: trace)
  }

  static func exited(_ requestID: String, _ ending: ProcessEnding, trace: [String]) -> HandlerFailure {
    HandlerFailure(
      kind: .exited, type: "Runtime.ExitError", message: "\(start(of: requestID))\(text(ending))", trace: trace)
  }

  static func cancelled(_ requestID: String, trace: [String]) -> HandlerFailure {
    HandlerFailure(
      kind: .timedOut, type: "Sandbox.Failure",
      message: "\(start(of: requestID))The invocation was cancelled", trace: trace)
  }

  static func responseTooLarge(_ limit: Int) -> HandlerFailure {
    HandlerFailure(
      kind: .invalidResponse, type: "Function.ResponseSizeTooLarge",
      message: "Response payload size exceeded maximum allowed payload size (\(limit) bytes).")
  }

  static func shutDown() -> HandlerFailure {
    HandlerFailure(kind: .unavailable, type: "Sandbox.Failure", message: "the function is shut down")
  }

  static func throttled() -> HandlerFailure {
    HandlerFailure(
      kind: .throttled, type: "TooManyRequestsException",
      message: "Rate Exceeded. Reason: ReservedFunctionConcurrentInvocationLimitExceeded")
  }

  static let cancelledEarly = HandlerFailure(
    kind: .throttled, type: "Cancelled", message: "cancelled before the function was called")

  /// What a runtime posted: `errorType`, `errorMessage`, and `stackTrace` or `trace`, passed through.
  static func reported(_ error: RuntimeSession.ReportedError, fallback: String) -> HandlerFailure {
    let named = error.type.flatMap { $0.isEmpty ? nil : $0 } ?? fallback
    guard let object = (try? JSONSerialization.jsonObject(with: Data(error.body))) as? [String: Any] else {
      let start = String(decoding: error.body.prefix(1_024), as: UTF8.self)
      return HandlerFailure(kind: .error, type: named, message: start)
    }
    let type = (object["errorType"] as? String).flatMap { $0.isEmpty ? nil : $0 } ?? named
    // Node says `trace`, all others `stackTrace`.
    let frames = object["stackTrace"] ?? object["trace"]
    let parts = frames as? [Any] ?? (frames as? String).map { [$0] } ?? []
    let trace = parts.flatMap { ($0 as? String ?? "\($0)").split(whereSeparator: \.isNewline).map(String.init) }
    return HandlerFailure(
      kind: kind(ofType: type), type: type, message: object["errorMessage"] as? String ?? "", trace: trace)
  }

  /// A response that is too large or cut off is the function's, but not an exception of it.
  private static func kind(ofType type: String) -> FailureKind {
    switch type {
    case "Function.ResponseSizeTooLarge", "Runtime.TruncatedResponse", "Runtime.InvalidResponseModeHeader":
      .invalidResponse
    default: .error
    }
  }

  /// In the words of Go, in which Lambda's own are written.
  static func text(_ ending: ProcessEnding) -> String {
    switch ending {
    case .exited(code: 0): "Runtime exited without providing a reason"
    case .exited(let code): "Runtime exited with error: exit status \(code)"
    case .signalled(let signal): "Runtime exited with error: signal: \(signals[signal] ?? "\(signal)")"
    }
  }

  private static let signals: [Int32: String] = [
    SIGHUP: "hangup", SIGINT: "interrupt", SIGQUIT: "quit", SIGILL: "illegal instruction",
    SIGTRAP: "trace/breakpoint trap", SIGABRT: "aborted", SIGBUS: "bus error", SIGFPE: "floating point exception",
    SIGKILL: "killed", SIGUSR1: "user defined signal 1", SIGSEGV: "segmentation fault",
    SIGUSR2: "user defined signal 2", SIGPIPE: "broken pipe", SIGALRM: "alarm clock", SIGTERM: "terminated",
    SIGXCPU: "CPU time limit exceeded", SIGXFSZ: "file size limit exceeded",
  ]

  /// `123` as `1.23`.
  static func hundredths(_ number: Int64) -> String {
    let rest = number % 100
    return "\(number / 100).\(rest < 10 ? "0" : "")\(rest)"
  }
}
