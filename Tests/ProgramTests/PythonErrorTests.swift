import Sluice
import Testing

/// What goes wrong in functions as people have them: Python through awslambdaric, run by a worker.
@Suite("Errors of Python functions", .timeLimit(.minutes(10)))
struct PythonErrorTests {
  /// A function that fails, and what is told of it.
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var module = "def handler(event, context): pass"
    var handler = "orders.handler"
    /// More settings of the function.
    var settings = ""
    var kind: String
    var type: String
    var message: String
    /// A line of its traceback.
    var trace = ""

    var testDescription: String { name }
  }

  private static func body(_ lines: String) -> String {
    "import os, signal, sys, time\ndef departure(flight): return flight['dep_time']\ndef handler(event, context):\n"
      + lines.split(separator: "\n").map { "    \($0)\n" }.joined()
  }

  static let cases = [
    Case(
      name: "syntax error", module: "def handler(event, context)\n    pass", kind: "error",
      type: "Runtime.UserCodeSyntaxError", message: "Syntax error in module 'orders': "),
    Case(
      name: "module import error", module: "import nothing_of_that_name", kind: "error",
      type: "Runtime.ImportModuleError",
      message: "Unable to import module 'orders': No module named 'nothing_of_that_name'"),
    Case(
      name: "handler not found", handler: "orders.other", kind: "error", type: "Runtime.HandlerNotFound",
      message: "Handler 'other' missing on module 'orders'"),
    Case(
      name: "bad handler", handler: "orders", kind: "error", type: "Runtime.MalformedHandlerName",
      message: "Bad handler 'orders'"),
    Case(
      name: "exception while loading", module: "TABLE = {}['table']", kind: "error", type: "KeyError",
      message: "'table'", trace: "TABLE = {}['table']"),
    Case(
      name: "exception", module: body("return departure({'carrier': 'UA'})"), kind: "error", type: "KeyError",
      message: "'dep_time'", trace: "line 2, in departure"),
    Case(
      name: "timeout", module: body("print('resting', flush=True)\ntime.sleep(1000)"), settings: "timeout: 1s",
      kind: "timeout", type: "Sandbox.Timedout", message: "Error: Task timed out after 1.00 seconds",
      trace: "resting"),
    Case(
      name: "out of memory", module: body("return len(bytearray(4 << 30))"), settings: "memory: 128MiB", kind: "exit",
      type: "Runtime.OutOfMemory", message: "Error: Runtime exited with error: signal: killed"),
    Case(
      name: "process exit", module: body("print('leaving', flush=True)\nos._exit(3)"), kind: "exit",
      type: "Runtime.ExitError", message: "Error: Runtime exited with error: exit status 3", trace: "leaving"),
    Case(
      name: "crash", module: body("os.kill(os.getpid(), signal.SIGSEGV)"), kind: "exit", type: "Runtime.ExitError",
      message: "Error: Runtime exited with error: signal: segmentation fault"),
    Case(
      name: "no JSON", module: body("return {1, 2}"), kind: "error", type: "Runtime.MarshalError",
      message: "Unable to marshal response: Object of type set is not JSON serializable"),
    Case(
      name: "malformed response", module: body("return {'batchItemFailures': [{'itemIdentifier': '42'}]}"),
      kind: "invalid-response", type: "InvalidResponse", message: "42"),
    Case(
      name: "response too large", module: body("return 'x' * 7000000"), kind: "invalid-response",
      type: "Function.ResponseSizeTooLarge",
      message: "Response payload size exceeded maximum allowed payload size (6291556 bytes)."),
    Case(
      name: "init timeout", module: "import time\ntime.sleep(1000)", settings: "timeout: 1s", kind: "timeout",
      type: "Sandbox.Timedout", message: "Error: Task timed out after 1.00 seconds"),
  ]

  /// Two streams: what fails in one is given up at once, what fails in the other waits to be tried again.
  private static func yaml(_ one: Case) -> String {
    """
    streams:
      - { name: numbers, shards: 1 }
      - { name: others, shards: 1 }
    functions:
      - name: orders
        Handler: \(one.handler)
        Runtime: python3.11
        \(one.settings.contains("timeout") ? "" : "timeout: 60s")
        concurrency: 2
        \(one.settings)
    mappings:
      - { name: gives-up, stream: numbers, function: orders, MaximumRetryAttempts: 0, FunctionResponseTypes: [ReportBatchItemFailures] }
      - { name: waits, stream: others, function: orders, FunctionResponseTypes: [ReportBatchItemFailures] }

    """
  }

  @Test("each has Lambda's name in the failure entry, in what explain says, and in the log", arguments: cases)
  func named(one: Case) async throws {
    try await Workplace.with { place in
      try await PythonPackages.link(into: place)
      try place.write(Self.yaml(one), to: "sluice.yaml")
      try place.write(one.module, to: "orders.py")
      let worker = try await place.start()
      try await place.put("good")
      let entry = try #require(try await place.failures().first)
      let detail = try await place.ask(FailureDetail.self, "failures", "show", "\(entry.entry)")
      let attempt = try #require(detail.entry.attempts.first)
      #expect(detail.entry.attempts.count == 1)
      #expect((attempt.kind, attempt.type) == (one.kind, one.type))
      #expect(attempt.message.contains(one.message), "\(attempt.message)")
      if !one.trace.isEmpty { #expect(attempt.trace.contains { $0.contains(one.trace) }, "\(attempt.trace)") }
      try place.write("good\n", to: "lines")
      _ = try await place.sluice("put", "others", "lines", "--partition-key", "k")
      _ = try await eventually("explain names \(one.type)") {
        let text = try await place.sluice("explain", "waits").output
        return text.contains(one.type) && text.contains(one.message) ? true : nil
      }
      _ = try await worker.says(one.type)
    }
  }

  @Test("a command that is not there is named, and no retry is used up")
  func noCommand() async throws {
    let one = Case(
      name: "", settings: "command: [no-such-program]", kind: "unavailable", type: "Runtime.InvalidEntrypoint",
      message: "command not found: no-such-program")
    try await Workplace.with { place in
      try place.write(Self.yaml(one), to: "sluice.yaml")
      _ = try await place.start()
      try await place.put("good")
      _ = try await eventually("explain names \(one.type)") {
        let text = try await place.sluice("explain", "gives-up").output
        return text.contains(one.type) && text.contains(one.message) ? true : nil
      }
      #expect(try await place.ask([FailureReport].self, "failures", "list").isEmpty)
    }
  }
}
