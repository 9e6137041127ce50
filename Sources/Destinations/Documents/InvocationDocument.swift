public import StreamModel

/// What a destination is told about an event of an asynchronous invocation, in the JSON that Lambda sends to a queue.
///
/// Members stand in Lambda's order, which is another one than that of ``FailureDocument``, without spaces.
public struct InvocationDocument: Hashable, Sendable {
  /// The id of the invocation, the same for all attempts.
  public var requestID: String
  /// Without a qualifier; the document always has one.
  public var functionARN: String
  /// `Success`, `RetriesExhausted` or `EventAgeExceeded`; ours besides: `Skipped` by an operator, `GivenUpByRule`.
  public var condition: String
  public var approximateInvokeCount: Int
  /// The event as it was given: JSON.
  public var event: [UInt8]
  /// What the function gave last; `nil` where it was never called.
  public var response: Response?
  /// When the event left.
  public var timestamp: WallTime

  public enum Response: Hashable, Sendable {
    case error(type: String, message: String, trace: [String])
    /// What the function returned: JSON.
    case result([UInt8])
  }

  public init(
    requestID: String, functionARN: String, condition: String, approximateInvokeCount: Int, event: [UInt8],
    response: Response?, timestamp: WallTime
  ) {
    self.requestID = requestID
    self.functionARN = functionARN
    self.condition = condition
    self.approximateInvokeCount = approximateInvokeCount
    self.event = event
    self.response = response
    self.timestamp = timestamp
  }

  /// The document in JSON; without the event where `includesPayload` is false.
  public func encoded(includesPayload: Bool = true) -> [UInt8] {
    var json = DocumentWriter(capacity: 1_024 + event.count)
    json.raw(#"{"version":"1.0","timestamp":"#)
    json.text(CalendarTime(timestamp).withMilliseconds)
    json.raw(#","requestContext":{"requestId":"#)
    json.text(requestID)
    json.raw(#","functionArn":"#)
    json.text(functionARN + ":$LATEST")
    json.raw(#","condition":"#)
    json.text(condition)
    json.raw(#","approximateInvokeCount":\#(approximateInvokeCount)}"#)
    if includesPayload {
      json.raw(#","requestPayload":"#)
      json.raw(event)
    }
    switch response {
    case nil: break
    case .error(let type, let message, let trace):
      json.raw(#","responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"}"#)
      json.raw(#","responsePayload":{"errorMessage":"#)
      json.text(message)
      json.raw(#","errorType":"#)
      json.text(type)
      json.raw(#","requestId":"#)
      json.text(requestID)
      json.raw(#","stackTrace":["#)
      for (position, line) in trace.enumerated() {
        if position > 0 { json.raw(",") }
        json.text(line)
      }
      json.raw("]}")
    case .result(let result):
      json.raw(#","responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":"#)
      json.raw(result.isEmpty ? Array("null".utf8) : result)
    }
    json.raw("}")
    return json.bytes
  }
}
