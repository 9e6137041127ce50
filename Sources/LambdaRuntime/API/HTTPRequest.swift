/// What the Runtime API needs of one HTTP/1.1 request.
struct HTTPRequest: Hashable, Sendable {
  var method = ""
  /// As it was sent, without its query.
  var path = ""
  /// `Lambda-Runtime-Function-Error-Type`, from the head or from the trailers.
  var errorType: String?
  /// `Lambda-Runtime-Function-Error-Body` of the trailers: base64.
  var errorBody: String?
  /// `Lambda-Runtime-Function-Response-Mode`
  var responseMode: String?
  /// `Connection: close`, or a version before 1.1.
  var closesConnection = false
  /// Cut off where the limit is; see `bodyByteCount`.
  var body: [UInt8] = []
  /// As it was sent, also beyond the limit.
  var bodyByteCount = 0
  /// The connection ended before the body did.
  var isTruncated = false
}

/// What of a client is not HTTP/1.1 as we take it. The connection ends with it.
struct HTTPFault: Error, Hashable, Sendable {
  var status: Int
  var message: String

  static func malformed(_ message: String) -> HTTPFault { HTTPFault(status: 400, message: message) }
  static let headTooLarge = HTTPFault(status: 431, message: "The head of the request is too large.")
}
