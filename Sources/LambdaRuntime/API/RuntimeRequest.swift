/// What a runtime asks of the Runtime API, version 2018-06-01.
enum RuntimeRequest: Hashable, Sendable {
  case next
  /// The result of an invocation.
  case response(id: String)
  /// The invocation failed.
  case error(id: String)
  /// The runtime could not be initialized.
  case initError

  /// Why a request is none of these.
  enum Unknown: Error, Hashable {
    case path
    /// The path exists, with this method.
    case method(allowed: String)
  }

  init(_ request: HTTPRequest) throws(Unknown) {
    guard request.path.hasPrefix(Self.base) else { throw .path }
    let rest = request.path.dropFirst(Self.base.count)
    let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
    switch (parts.count, parts[0], parts.last) {
    case (2, "invocation", "next"):
      try Self.check(request, is: "GET")
      self = .next
    case (2, "init", "error"):
      try Self.check(request, is: "POST")
      self = .initError
    case (3, "invocation", "response"):
      try Self.check(request, is: "POST")
      self = .response(id: Self.decoded(parts[1]))
    case (3, "invocation", "error"):
      try Self.check(request, is: "POST")
      self = .error(id: Self.decoded(parts[1]))
    default:
      throw .path
    }
  }

  private static let base = "/2018-06-01/runtime/"

  private static func check(_ request: HTTPRequest, is method: String) throws(Unknown) {
    guard request.method == method else { throw .method(allowed: method) }
  }

  /// Some clients send the id percent-encoded.
  private static func decoded(_ text: Substring) -> String {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), rest.count >= 2,
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
