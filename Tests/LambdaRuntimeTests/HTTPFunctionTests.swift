import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel
import Testing

/// Functions behind a URL, with a service in Python.
@Suite("Functions that are services", .timeLimit(.minutes(10)))
struct HTTPFunctionTests {
  /// What the event asks for is what it does. It counts connections and checks signatures itself.
  private static let program = """
    import base64, hashlib, hmac, http.server, json, threading
    connections = 0
    rest = []
    calls = []
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def setup(self):
            global connections
            connections += 1
            super().setup()
        def log_message(self, *arguments): pass
        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if rest: self.send_header("Retry-After", rest.pop(0))
            self.end_headers()
            self.wfile.write(body.encode())
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            event = json.loads(body)
            head = {name.lower(): value for name, value in self.headers.items()}
            calls.append(event)
            if isinstance(event, dict) and "rest" in event:
                rest.append(event["rest"])
                return self.answer(event["status"], "told to")
            if event == "hang": threading.Event().wait()
            elif event == "calls": self.answer(200, str(len(calls)))
            elif event == "drop": self.close_connection = True
            elif event == "large": self.answer(200, "x" * 7000000)
            elif event == "empty": self.answer(204, "")
            elif event == "head":
                text = head.get("webhook-id", "") + "." + head.get("webhook-timestamp", "") + "."
                code = hmac.new(b"a secret of ours", text.encode() + body, hashlib.sha256).digest()
                signed = head.get("webhook-signature") == "v1," + base64.b64encode(code).decode()
                wanted = ["content-type", "sluice-function", "sluice-request-id", "webhook-id"]
                self.answer(200, json.dumps([head.get(name) for name in wanted] + [signed]))
            elif isinstance(event, int): self.answer(event, '{"errorType":"E","errorMessage":"m","stackTrace":["s"]}' if event == 500 else "told to")
            else: self.answer(200, str(connections))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()
    """

  /// Runs `body` with a pool for a service of its own.
  private func with(
    _ change: (inout HTTPFunctionSettings) -> Void = { _ in },
    limits changeLimits: (inout FunctionLimits) -> Void = { _ in }, logger: Logger = .silent,
    _ body: (HTTPFunctionPool) async throws -> Void
  ) async throws {
    let service = try await Service(Self.program)
    let port = service.port
    var settings = HTTPFunctionSettings(name: "orders", url: "http://127.0.0.1:\(port)/events")
    // Both longer than any test: on a busy machine everything takes long.
    settings.timeout = .seconds(600)
    change(&settings)
    var limits = FunctionLimits()
    limits.throttleAfter = .seconds(600)
    changeLimits(&limits)
    let pool = HTTPFunctionPool(settings, limits: limits, logger: logger)
    do {
      try await body(pool)
    } catch {
      Issue.record(error)
    }
    await pool.shutdown()
    await service.end()
  }

  private func invoke(_ pool: HTTPFunctionPool, _ event: String) async throws -> String {
    String(
      decoding: try await pool.invoke("8476a536-e9f4-11e8-9739-2dfe598c3fcd") { $0.append(contentsOf: event.utf8) },
      as: UTF8.self)
  }

  private func failure(_ pool: HTTPFunctionPool, _ event: String) async throws -> HandlerFailure {
    do {
      let response = try await invoke(pool, event)
      Issue.record("it succeeded: \(response)")
      throw CancellationError()
    } catch let failure as HandlerFailure {
      return failure
    }
  }

  @Test("events go over one connection, and the answer is the response")
  func connections() async throws {
    try await with { pool async throws in
      for _ in 0..<5 { #expect(try await invoke(pool, "{}") == "1") }
      #expect(try await invoke(pool, #""empty""#) == "")
      #expect(pool.statistics.snapshot.invocations == 6)
      #expect(pool.runningCount == 0)
    }
  }

  @Test("a request says what it is, and its signature is one that others compute as well")
  func signed() async throws {
    let id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    try await with({ $0.signature = WebhookSignature(secret: "a secret of ours\n") }) { pool async throws in
      #expect(
        try await invoke(pool, #""head""#) == #"["application/json", "orders", "\#(id)", "\#(id)", true]"#)
    }
    try await with { pool async throws in
      #expect(try await invoke(pool, #""head""#) == #"["application/json", "orders", "\#(id)", null, false]"#)
    }
    let inBase64 = Data("a secret of ours".utf8).base64EncodedString()
    #expect(WebhookSignature(secret: "whsec_\(inBase64)") == WebhookSignature(secret: "a secret of ours"))
    #expect(WebhookSignature(secret: "short") == nil)
    #expect(WebhookSignature(secret: "whsec_?") == nil)
  }

  @Test(
    "what is not 2xx is a failure, and only 429 and 503 use up no attempt",
    arguments: [
      (500, FailureKind.error, "E", "m"), (400, .error, "HTTP.400", "The service answered 400: told to"),
      (302, .error, "HTTP.302", "The service answered 302: told to"),
      (429, .throttled, "TooManyRequestsException", "The service answered 429: told to"),
      (503, .throttled, "TooManyRequestsException", "The service answered 503: told to"),
    ])
  func statuses(status: Int, kind: FailureKind, type: String, message: String) async throws {
    try await with { pool async throws in
      let failure = try await failure(pool, "\(status)")
      #expect((failure.kind, failure.type, failure.message) == (kind, type, message))
      #expect(failure.trace == (status == 500 ? ["s"] : []))
      #expect(failure.kind.usesAttempt == (kind == .error))
      #expect(pool.statistics.snapshot.throttles == (kind == .throttled ? 1 : 0))
      #expect(try await invoke(pool, "{}") == "1")
    }
  }

  @Test("no answer in time, no answer at all, and one that is too large")
  func noAnswer() async throws {
    try await with({ $0.timeout = .milliseconds(1_500) }) { pool async throws in
      let late = try await failure(pool, #""hang""#)
      #expect((late.kind, late.type) == (.timedOut, "Sandbox.Timedout"))
      #expect(late.message.hasSuffix("Task timed out after 1.50 seconds"))
    }
    try await with { pool async throws in
      let dropped = try await failure(pool, #""drop""#)
      #expect((dropped.kind, dropped.type) == (.error, "HTTP.NoAnswer"))
      let large = try await failure(pool, #""large""#)
      #expect((large.kind, large.type) == (.invalidResponse, "Function.ResponseSizeTooLarge"))
      #expect(try await !invoke(pool, "{}").isEmpty)
    }
  }

  @Test(
    "a service that asks for it is left alone, by those who can wait so long; the others are throttled without a call")
  func retryAfter() async throws {
    try await with(limits: { $0.throttleAfter = .seconds(100) }) { pool async throws in
      // From before the service says it: what it asks for cannot have begun earlier.
      let begun = ContinuousClock.now
      _ = try await failure(pool, #"{"status":503,"rest":"1"}"#)
      #expect(try await invoke(pool, #""calls""#) == "2")
      #expect(ContinuousClock.now - begun >= .seconds(1))
      _ = try await failure(pool, #"{"status":429,"rest":"300"}"#)
      let put = try await failure(pool, "{}")
      #expect((put.kind, put.type) == (.throttled, "TooManyRequestsException"))
      let left = put.message.wholeMatch(of: /The service asked to be left alone for (\d+) s more: it was not called\./)
      #expect((101...300).contains(try #require(left.flatMap { Int($0.1) })))
      #expect(pool.statistics.snapshot.throttles == 3)
    }
    try await with { pool async throws in
      // What is no number of seconds, or comes with another status, is no reason to wait.
      for event in [#"{"status":503,"rest":"soon"}"#, #"{"status":400,"rest":"120"}"#] {
        _ = try await failure(pool, event)
      }
      #expect(try await invoke(pool, #""calls""#) == "3")
    }
  }

  @Test("those who wait for their turn leave the service alone as well")
  func retryAfterForWaiters() async throws {
    let log = LogLines()
    try await with({ $0.concurrency = 1 }, limits: { $0.throttleAfter = .seconds(200) }, logger: log.logger) {
      pool async throws in
      let event = #"{"status":429,"rest":"300"}"#
      async let first = failure(pool, event)
      async let second = failure(pool, event)
      async let third = failure(pool, event)
      let failures = try await [first, second, third]
      #expect(failures.allSatisfy { $0.kind == .throttled })
      #expect(failures.count { $0.message.hasSuffix("it was not called.") } == 2)
      #expect(log.lines.count { $0.hasPrefix("START ") } == 1)
    }
  }

  @Test("where nobody listens the function is unavailable, and that costs no attempt")
  func nobody() async throws {
    try await with({ $0.url = "http://127.0.0.1:1/" }) { pool async throws in
      let failure = try await failure(pool, "{}")
      #expect((failure.kind, failure.type) == (.unavailable, "HTTP.NoConnection"), "\(failure.message)")
      #expect(failure.message == "The service cannot be reached: Connection refused")
    }
  }

  @Test("beyond its concurrency callers wait, and after a while they are throttled; a cancelled one is over at once")
  func concurrency() async throws {
    let log = LogLines()
    try await with(limits: { $0.throttleAfter = .milliseconds(20) }, logger: log.logger) { pool async throws in
      let first = Task { try await failure(pool, #""hang""#) }
      _ = await log.first { $0.hasPrefix("START ") }
      let second = try await failure(pool, "{}")
      #expect((second.kind, second.type) == (.throttled, "TooManyRequestsException"))
      first.cancel()
      #expect(try await first.value.kind == .timedOut)
      #expect(try await invoke(pool, "{}") == "2")
      _ = await log.first { $0.hasPrefix("REPORT ") && !$0.contains("Memory") }
    }
  }
}

/// A program of Python that says its port on its first line. What it says is read on a thread of its own: a
/// `readabilityHandler` that ends itself, or whose pipe goes, can bring the whole process down.
private struct Service {
  let port: Int
  private let process = Process()
  private let ended = AsyncStream<Void>.makeStream()

  init(_ program: String) async throws {
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3", "-c", program]
    let output = Pipe()
    process.standardOutput = output
    let (bytes, said) = AsyncStream<Data>.makeStream()
    let handle = output.fileHandleForReading
    Thread.detachNewThread {
      while true {
        let data = handle.availableData
        guard !data.isEmpty else { return said.finish() }
        said.yield(data)
      }
    }
    let ended = ended.continuation
    process.terminationHandler = { _ in ended.finish() }
    try process.run()
    var text = ""
    for await data in bytes {
      text += String(decoding: data, as: UTF8.self)
      if text.hasSuffix("\n") { break }
    }
    port = try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
  }

  func end() async {
    kill(process.processIdentifier, SIGKILL)
    for await _ in ended.stream {}
  }
}
