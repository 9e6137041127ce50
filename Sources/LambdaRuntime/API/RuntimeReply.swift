/// What the Runtime API answers, save for the event of an invocation.
enum RuntimeReply: Hashable, Sendable {
  case accepted
  case invalidRequestID
  /// The names of states are those that AWS's runtimes print.
  case invalidStateTransition(from: String, to: String)
  case tooLarge(limit: Int)
  case truncated
  case invalidResponseMode
  case notFound
  case methodNotAllowed(String)
  case fault(HTTPFault)

  /// The whole answer.
  func bytes(closesConnection: Bool) -> [UInt8] {
    let (status, body) = content
    var head = "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
    if case .methodNotAllowed(let allowed) = self { head += "Allow: \(allowed)\r\n" }
    if closesConnection { head += "Connection: close\r\n" }
    return Array("\(head)\r\n\(body)".utf8)
  }

  /// For the reply that every invocation gets.
  static let acceptedBytes = RuntimeReply.accepted.bytes(closesConnection: false)

  /// `100 Continue`
  static let continuing = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

  private var content: (status: String, body: String) {
    switch self {
    case .accepted:
      ("202 Accepted", #"{"status":"OK"}"# + "\n")
    case .invalidRequestID:
      ("400 Bad Request", Self.error("InvalidRequestID", "Invalid request ID"))
    case .invalidStateTransition(let from, let to):
      (
        "403 Forbidden",
        Self.error(
          "InvalidStateTransition",
          "State transition from \(from) to \(to) failed for runtime. Error: State transition is not allowed")
      )
    case .tooLarge(let limit):
      (
        "413 Request Entity Too Large",
        Self.error("RequestEntityTooLarge", "Exceeded maximum allowed payload size (\(limit) bytes).")
      )
    case .truncated:
      ("400 Bad Request", Self.error("TruncatedHTTPRequest", "HTTP request detected as truncated"))
    case .invalidResponseMode:
      ("400 Bad Request", Self.error("InvalidFunctionResponseMode", "Invalid function response mode"))
    case .notFound:
      ("404 Not Found", Self.error("NotFound", "The Runtime API has no such path."))
    case .methodNotAllowed(let allowed):
      ("405 Method Not Allowed", Self.error("MethodNotAllowed", "This path takes \(allowed)."))
    case .fault(let fault):
      ("\(fault.status) \(Self.reasons[fault.status] ?? "Bad Request")", Self.error("InvalidRequest", fault.message))
    }
  }

  private static let reasons = [
    400: "Bad Request", 431: "Request Header Fields Too Large", 501: "Not Implemented",
    505: "HTTP Version Not Supported",
  ]

  private static func error(_ type: String, _ message: String) -> String {
    #"{"errorMessage":"\#(message)","errorType":"\#(type)"}"# + "\n"
  }
}
