import StreamModel
import Testing

@testable import LambdaRuntime

@Suite("The Runtime API as a state machine")
struct RuntimeSessionTests {
  private static let base = "/2018-06-01/runtime"

  private func get(_ path: String) -> HTTPRequest {
    var request = HTTPRequest()
    request.method = "GET"
    request.path = Self.base + path
    return request
  }

  private func post(_ path: String, _ body: String = "{}", _ change: (inout HTTPRequest) -> Void = { _ in })
    -> HTTPRequest
  {
    var request = HTTPRequest()
    request.method = "POST"
    request.path = Self.base + path
    request.body = Array(body.utf8)
    request.bodyByteCount = body.utf8.count
    change(&request)
    return request
  }

  /// A session that works on the invocation `one`.
  private func running(limit: Int = 100) -> RuntimeSession {
    var session = RuntimeSession(responseByteLimit: limit)
    _ = session.take(get("/invocation/next"), on: 7)
    #expect(session.begin("one") == 7)
    return session
  }

  private func reply(_ step: RuntimeSession.Step) -> RuntimeReply? {
    switch step {
    case .reply(let reply), .result(let reply, _), .initError(let reply, _): reply
    case .hold: nil
    }
  }

  private func response(_ step: RuntimeSession.Step) -> String? {
    if case .result(_, .response(let bytes)) = step { return String(decoding: bytes, as: UTF8.self) }
    return nil
  }

  private func error(_ step: RuntimeSession.Step) -> RuntimeSession.ReportedError? {
    switch step {
    case .result(_, .error(let error)), .initError(_, let error): error
    default: nil
    }
  }

  @Test("next is held, gets one event, and comes again after the result")
  func cycle() {
    var session = RuntimeSession(responseByteLimit: 100)
    for round in 1...3 {
      #expect(reply(session.take(get("/invocation/next"), on: 7)) == nil)
      #expect(session.begin("id-\(round)") == 7)
      #expect(session.begin("another") == nil)
      let step = session.take(post("/invocation/id-\(round)/response", "[\(round)]"), on: 7)
      #expect(reply(step) == .accepted)
      #expect(response(step) == "[\(round)]")
    }
  }

  @Test("a percent-encoded id is the same id")
  func encoded() {
    var session = RuntimeSession(responseByteLimit: 100)
    _ = session.take(get("/invocation/next"), on: 7)
    _ = session.begin("a b/c")
    #expect(response(session.take(post("/invocation/a%20b%2Fc/response"), on: 7)) == "{}")
  }

  @Test("another id and a second result are invalid, and the invocation goes on")
  func wrongID() {
    var session = running()
    #expect(reply(session.take(post("/invocation/two/response"), on: 7)) == .invalidRequestID)
    #expect(reply(session.take(post("/invocation/two/error"), on: 7)) == .invalidRequestID)
    #expect(response(session.take(post("/invocation/one/response"), on: 7)) == "{}")
    #expect(reply(session.take(post("/invocation/one/response"), on: 7)) == .invalidRequestID)
    #expect(reply(session.take(post("/invocation/one/error"), on: 7)) == .invalidRequestID)
  }

  @Test("what the state does not allow is refused with its name and changes nothing")
  func refused() {
    var session = RuntimeSession(responseByteLimit: 100)
    #expect(
      reply(session.take(post("/invocation/one/response"), on: 7))
        == .invalidStateTransition(from: "Started", to: "InvocationResponse"))
    #expect(
      reply(session.take(post("/invocation/one/error"), on: 7))
        == .invalidStateTransition(from: "Started", to: "InvocationErrorResponse"))
    _ = session.take(get("/invocation/next"), on: 7)
    #expect(
      reply(session.take(get("/invocation/next"), on: 8)) == .invalidStateTransition(from: "Ready", to: "Ready"))
    #expect(session.begin("one") == 7)
    #expect(
      reply(session.take(get("/invocation/next"), on: 8)) == .invalidStateTransition(from: "Running", to: "Ready"))
    #expect(
      reply(session.take(post("/init/error"), on: 8)) == .invalidStateTransition(from: "Running", to: "InitError"))
    #expect(response(session.take(post("/invocation/one/response"), on: 8)) == "{}")
  }

  @Test("an error passes with its type and its bytes")
  func invocationError() {
    var session = running()
    let step = session.take(post("/invocation/one/error", #"{"errorType":"E"}"#) { $0.errorType = "Runtime.E" }, on: 7)
    #expect(reply(step) == .accepted)
    #expect(error(step) == .init(type: "Runtime.E", body: Array(#"{"errorType":"E"}"#.utf8)))
  }

  @Test("an error of the initialization is its end")
  func initError() {
    var session = RuntimeSession(responseByteLimit: 100)
    let step = session.take(post("/init/error") { $0.errorType = "Runtime.ImportModuleError" }, on: 7)
    #expect(error(step)?.type == "Runtime.ImportModuleError")
    #expect(
      reply(session.take(get("/invocation/next"), on: 7)) == .invalidStateTransition(from: "InitError", to: "Ready"))
  }

  @Test("the largest response passes, one byte more does not and ends the invocation")
  func tooLarge() {
    var session = running(limit: 4)
    #expect(response(session.take(post("/invocation/one/response", "1234"), on: 7)) == "1234")
    session = running(limit: 4)
    let step = session.take(post("/invocation/one/response", "12345"), on: 7)
    #expect(reply(step) == .tooLarge(limit: 4))
    #expect(error(step).map { FunctionFailures.reported($0, fallback: "").type } == "Function.ResponseSizeTooLarge")
    #expect(
      error(step).map { FunctionFailures.reported($0, fallback: "").message }
        == "Response payload size exceeded maximum allowed payload size (4 bytes).")
  }

  @Test("a streamed response is taken whole; its trailers, a cut and an unknown mode fail it")
  func streaming() {
    var session = running()
    #expect(
      response(session.take(post("/invocation/one/response", "[1]") { $0.responseMode = "streaming" }, on: 7)) == "[1]")
    session = running()
    var step = session.take(
      post("/invocation/one/response", "[") {
        $0.responseMode = "streaming"
        $0.errorType = "Runtime.Midway"
        $0.errorBody = "eyJlcnJvck1lc3NhZ2UiOiJubyJ9"
      }, on: 7)
    #expect(reply(step) == .accepted)
    #expect(error(step) == .init(type: "Runtime.Midway", body: Array(#"{"errorMessage":"no"}"#.utf8)))
    session = running()
    step = session.take(post("/invocation/one/response", "[") { $0.isTruncated = true }, on: 7)
    #expect(reply(step) == .truncated)
    #expect(error(step)?.body.isEmpty == false)
    session = running()
    step = session.take(post("/invocation/one/response") { $0.responseMode = "fast" }, on: 7)
    #expect(reply(step) == .invalidResponseMode)
    #expect(error(step).map { FunctionFailures.reported($0, fallback: "").type } == "Runtime.InvalidResponseModeHeader")
  }

  @Test("a runtime whose connection broke while it waited may ask again")
  func lost() {
    var session = RuntimeSession(responseByteLimit: 100)
    _ = session.take(get("/invocation/next"), on: 7)
    session.lose(8)
    #expect(session.state == .ready(7))
    session.lose(7)
    #expect(session.begin("one") == nil)
    _ = session.take(get("/invocation/next"), on: 9)
    #expect(session.begin("one") == 9)
  }

  @Test("paths that do not exist and other methods are refused")
  func paths() {
    var session = running()
    #expect(reply(session.take(get("/restore/next"), on: 7)) == .notFound)
    #expect(reply(session.take(get("/invocation/one/other"), on: 7)) == .notFound)
    #expect(reply(session.take(get("/invocation/one/response"), on: 7)) == .methodNotAllowed("POST"))
    #expect(reply(session.take(post("/invocation/next"), on: 7)) == .methodNotAllowed("GET"))
    var extensions = HTTPRequest()
    (extensions.method, extensions.path) = ("POST", "/2020-01-01/extension/register")
    #expect(reply(session.take(extensions, on: 7)) == .notFound)
  }

  @Test(
    "replies have the status and body of Lambda",
    arguments: [
      (RuntimeReply.accepted, "202 Accepted", #"{"status":"OK"}"#),
      (.invalidRequestID, "400 Bad Request", #"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#),
      (
        .tooLarge(limit: 6_291_556), "413 Request Entity Too Large",
        #"{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}"#
      ),
      (
        .invalidStateTransition(from: "Started", to: "Ready"), "403 Forbidden",
        #"{"errorMessage":"State transition from Started to Ready failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}"#
      ),
    ])
  func replies(reply: RuntimeReply, status: String, body: String) {
    let text = String(decoding: reply.bytes(closesConnection: false), as: UTF8.self)
    #expect(
      text
        == "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count + 1)\r\n\r\n\(body)\n"
    )
  }
}
