import StreamModel
public import StreamStore

/// An event that failed for good as Lambda gives it to a function's dead-letter queue: as it was given, with three
/// attributes beside it.
public struct DeadLetter: Hashable, Sendable {
  /// The id of the invocation, the same for all attempts.
  public var requestID: String
  /// The status of what Lambda's Invoke would have answered to the last attempt: 200 of a function that failed, 429 of one
  /// that had no room. `nil` where there was no attempt.
  public var errorCode: Int?
  /// The message of the last attempt's error, as much of it as fits in ``messageByteLimit`` bytes of UTF-8.
  public var errorMessage: String?
  /// JSON.
  public var event: [UInt8]

  public static let messageByteLimit = 1_024

  public init(requestID: String, lastAttempt: AttemptRecord?, event: [UInt8]) {
    self.requestID = requestID
    self.event = event
    errorCode = lastAttempt.map(Self.code)
    errorMessage = lastAttempt.map { Self.cut($0.message) }
  }

  private static func code(of attempt: AttemptRecord) -> Int {
    switch attempt.kind {
    case .error, .timedOut, .exited, .invalidResponse, .reportedNoProgress: 200
    case .payloadTooLarge: 413
    case .throttled: 429
    case .unavailable: attempt.type == "RecursiveInvocationException" ? 400 : 500
    }
  }

  private static func cut(_ message: String) -> String {
    guard message.utf8.count > messageByteLimit else { return message }
    var end = message.utf8.index(message.startIndex, offsetBy: messageByteLimit)
    while end.samePosition(in: message.unicodeScalars) == nil { end = message.utf8.index(before: end) }
    return String(message[..<end])
  }

  /// The attributes by their names on AWS.
  public var attributes: [(name: String, value: String)] {
    var attributes = [(name: "RequestID", value: requestID)]
    if let errorCode { attributes.append(("ErrorCode", "\(errorCode)")) }
    if let errorMessage { attributes.append(("ErrorMessage", errorMessage)) }
    return attributes
  }

  /// The same as headers of HTTP, which hold visible ASCII and blanks: every other byte, and %, as % and two hex digits.
  public var headers: [(name: String, value: String)] {
    attributes.map { name, value in
      var text = ""
      for byte in value.utf8 {
        if (0x20...0x7e).contains(byte), byte != UInt8(ascii: "%") {
          text.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
          text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
      }
      return (name, text)
    }
  }

  /// The same as an object in JSON.
  public var encodedAttributes: [UInt8] {
    var json = DocumentWriter(capacity: 256)
    json.raw(#"{"RequestID":"#)
    json.text(requestID)
    if let errorCode { json.raw(#","ErrorCode":\#(errorCode)"#) }
    if let errorMessage {
      json.raw(#","ErrorMessage":"#)
      json.text(errorMessage)
    }
    json.raw("}")
    return json.bytes
  }
}
