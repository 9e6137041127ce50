import Foundation

/// The Runtime API of one execution environment, as a state machine: requests in, replies and results out. It knows
/// neither sockets nor clocks.
///
/// | state | on | becomes |
/// | --- | --- | --- |
/// | started | `next` | ready, holding the request |
/// | started | `init/error` | init error, for good |
/// | ready | an event | running |
/// | running | `response`, `error` | answered |
/// | answered | `next` | ready |
///
/// Everything else is refused and changes nothing.
struct RuntimeSession {
  enum State: Hashable {
    case started
    case initError
    /// `next` is held on this connection.
    case ready(ConnectionID)
    case running(id: String)
    case answered
  }

  /// What a request leads to.
  enum Step {
    case reply(RuntimeReply)
    /// The request is held until there is an event.
    case hold
    /// The invocation is over; first the reply.
    case result(RuntimeReply, Result)
    /// The runtime gives up.
    case initError(RuntimeReply, ReportedError)
  }

  /// The end of an invocation.
  enum Result {
    case response([UInt8])
    case error(ReportedError)
  }

  /// What a runtime posted as an error.
  struct ReportedError: Hashable, Sendable {
    /// `Lambda-Runtime-Function-Error-Type`
    var type: String?
    /// JSON as a rule; not looked at here.
    var body: [UInt8]
  }

  /// Names a connection within its environment.
  typealias ConnectionID = Int32

  private(set) var state = State.started
  let responseByteLimit: Int

  init(responseByteLimit: Int) {
    self.responseByteLimit = responseByteLimit
  }

  mutating func take(_ request: HTTPRequest, on connection: ConnectionID) -> Step {
    let asked: RuntimeRequest
    do {
      asked = try RuntimeRequest(request)
    } catch {
      switch error {
      case .path: return .reply(.notFound)
      case .method(let allowed): return .reply(.methodNotAllowed(allowed))
      }
    }
    switch (asked, state) {
    case (.next, .started), (.next, .answered):
      guard !request.isTruncated else { return .reply(.truncated) }
      state = .ready(connection)
      return .hold
    case (.next, _):
      return refuse("Ready")
    case (.initError, .started):
      state = .initError
      return .initError(.accepted, ReportedError(type: request.errorType, body: request.body))
    case (.initError, _):
      return refuse("InitError")
    case (.response(let id), .running(let running)):
      guard id == running else { return .reply(.invalidRequestID) }
      state = .answered
      return answer(request)
    case (.response, .answered), (.error, .answered):
      // A second result. The first one counts.
      return .reply(.invalidRequestID)
    case (.response, _):
      return refuse("InvocationResponse")
    case (.error(let id), .running(let running)):
      guard id == running else { return .reply(.invalidRequestID) }
      state = .answered
      return .result(.accepted, .error(ReportedError(type: request.errorType, body: request.body)))
    case (.error, _):
      return refuse("InvocationErrorResponse")
    }
  }

  /// An event is on its way to the connection that holds `next`; `nil` if none does.
  mutating func begin(_ id: String) -> ConnectionID? {
    guard case .ready(let connection) = state else { return nil }
    state = .running(id: id)
    return connection
  }

  /// A connection is gone. If it held `next`, the runtime may ask again on another.
  mutating func lose(_ connection: ConnectionID) {
    if case .ready(connection) = state { state = .answered }
  }

  private func refuse(_ wanted: String) -> Step {
    .reply(.invalidStateTransition(from: stateName, to: wanted))
  }

  /// As AWS's runtimes see it in messages.
  private var stateName: String {
    switch state {
    case .started: "Started"
    case .initError: "InitError"
    case .ready: "Ready"
    case .running: "Running"
    case .answered: "ResponseSent"
    }
  }

  private func answer(_ request: HTTPRequest) -> Step {
    if let mode = request.responseMode, mode != "streaming" {
      return .result(
        .invalidResponseMode,
        .error(Self.failure("Runtime.InvalidResponseModeHeader", "Invalid function response mode")))
    }
    if request.isTruncated {
      return .result(
        .truncated, .error(Self.failure("Runtime.TruncatedResponse", "The response ended before it was whole.")))
    }
    if request.bodyByteCount > responseByteLimit {
      let message = "Response payload size exceeded maximum allowed payload size (\(responseByteLimit) bytes)."
      return .result(
        .tooLarge(limit: responseByteLimit), .error(Self.failure("Function.ResponseSizeTooLarge", message)))
    }
    // A function that streams says in the trailers that it failed midway.
    if let type = request.errorType {
      let body = request.errorBody.flatMap { Data(base64Encoded: $0) }.map(Array.init) ?? []
      return .result(.accepted, .error(ReportedError(type: type, body: body)))
    }
    return .result(.accepted, .response(request.body))
  }

  private static func failure(_ type: String, _ message: String) -> ReportedError {
    ReportedError(type: type, body: Array(#"{"errorMessage":"\#(message)","errorType":"\#(type)"}"#.utf8))
  }
}
