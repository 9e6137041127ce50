import Foundation
import LambdaRuntime
import Logging
import StreamModel
import Testing

/// Functions as people have them: Python, with the runtime client of AWS and Powertools from PyPI.
@Suite("Python functions through awslambdaric", .timeLimit(.minutes(10)))
struct PythonFunctionTests {
  /// A Python that has the packages; made once for a build folder.
  private static let python = Task {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let folder = root.appending(path: ".build/python-functions")
    let process = Process()
    process.executableURL = root.appending(path: "Scripts/python-environment")
    process.arguments = [folder.path, "awslambdaric==4.2.2", "aws-lambda-powertools==3.37.0", "boto3==1.44.5"]
    let status = try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
      do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    guard status == 0 else { throw CocoaError(.executableLoad) }
    return folder.appending(path: "bin/python3").path
  }

  /// A Python that shares its processors with all other tests may take long to load.
  private static let patient: FunctionLimits = {
    var limits = FunctionLimits()
    limits.initTimeout = .seconds(600)
    limits.throttleAfter = .seconds(600)
    return limits
  }()

  /// Runs `body` with a pool of the function `handler` in a folder with the module `orders`.
  private func with(
    _ module: String, handler: String = "orders.handler", _ change: (inout FunctionSettings) -> Void = { _ in },
    limits: FunctionLimits = Self.patient, logger: Logger = .silent, _ body: (FunctionPool) async throws -> Void
  ) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "sluice-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    try Data(module.utf8).write(to: directory.appending(path: "orders.py"))
    let command = HandlerCommand(
      [try await Self.python.value, "-m", "awslambdaric", handler], directory: directory.path)
    var settings = FunctionSettings(name: "orders", command: command)
    settings.handler = handler
    settings.runtime = "python3.11"
    settings.timeout = .seconds(600)
    settings.memorySize = 256
    change(&settings)
    let pool = FunctionPool(settings, limits: limits, logger: logger)
    do {
      try await body(pool)
    } catch {
      Issue.record(error)
    }
    await pool.shutdown()
    do {
      try FileManager.default.removeItem(at: directory)
    } catch {
      Issue.record(error)
    }
  }

  private func invoke(_ pool: FunctionPool, _ event: String = "{}") async throws -> String {
    String(
      decoding: try await pool.invoke("8476a536-e9f4-11e8-9739-2dfe598c3fcd") { $0.append(contentsOf: event.utf8) },
      as: UTF8.self)
  }

  private func failure(_ pool: FunctionPool, _ event: String = "{}") async throws -> HandlerFailure {
    do {
      let response = try await invoke(pool, event)
      Issue.record("it succeeded: \(response)")
      throw CancellationError()
    } catch let failure as HandlerFailure {
      return failure
    }
  }

  @Test("the function gets its event and its context, and its result comes back")
  func context() async throws {
    let module = """
      import os
      def handler(event, context):
          return {"event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn,
            "name": context.function_name, "version": context.function_version, "memory": context.memory_limit_in_mb,
            "left": 100000 < context.get_remaining_time_in_millis() <= 600000, "group": context.log_group_name,
            "trace": os.environ["_X_AMZN_TRACE_ID"].startswith("Root=1-")}
      """
    try await with(module) { pool async throws in
      let text = try await invoke(pool, #"{"a":"é"}"#)
      let found = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
      #expect(found["event"] as? [String: String] == ["a": "é"])
      #expect(found["id"] as? String == "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
      #expect(found["arn"] as? String == "arn:aws:lambda:us-east-1:000000000000:function:orders")
      #expect(found["name"] as? String == "orders")
      #expect(found["version"] as? String == "$LATEST")
      #expect(found["memory"] as? String == "256")
      #expect(found["group"] as? String == "/aws/lambda/orders")
      #expect(found["left"] as? Bool == true)
      #expect(found["trace"] as? Bool == true)
      #expect(pool.statistics.snapshot.starts == 1)
    }
  }

  @Test(
    "what keeps a function from being loaded is named as on Lambda",
    arguments: [
      (
        "def handler(event, context)\n    pass", "orders.handler", "Runtime.UserCodeSyntaxError",
        "Syntax error in module 'orders': expected ':' (orders.py, line 1)"
      ),
      (
        "import nothing_of_that_name", "orders.handler", "Runtime.ImportModuleError",
        "Unable to import module 'orders': No module named 'nothing_of_that_name'"
      ),
      ("", "other.handler", "Runtime.ImportModuleError", "Unable to import module 'other': No module named 'other'"),
      ("", "orders.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'orders'"),
      (
        "", "orders", "Runtime.MalformedHandlerName",
        "Bad handler 'orders': not enough values to unpack (expected 2, got 1)"
      ),
    ])
  func loading(module: String, handler: String, type: String, message: String) async throws {
    try await with(module, handler: handler) { pool async throws in
      let failure = try await failure(pool)
      #expect(failure.type == type)
      #expect(failure.message == message)
      #expect(failure.kind.usesAttempt)
    }
  }

  @Test("a module that raises while it is loaded tells it with its traceback")
  func loadingRaises() async throws {
    try await with("settings = {}\nTABLE = settings['table']\ndef handler(event, context): pass") { pool async throws in
      let failure = try await failure(pool)
      #expect(failure.type == "KeyError")
      #expect(failure.trace.contains { $0.contains("orders.py") && $0.contains("line 2") })
    }
  }

  @Test("an exception comes with its whole traceback, and the environment is used again")
  func exception() async throws {
    let module = """
      def departure(flight): return flight["dep_time"]
      def handler(event, context):
          return departure(event)
      """
    try await with(module) { pool async throws in
      let failure = try await failure(pool)
      #expect((failure.kind, failure.type, failure.message) == (.error, "KeyError", "'dep_time'"))
      #expect(failure.trace.contains { $0.contains("line 3, in handler") })
      #expect(failure.trace.contains { $0.contains("line 1, in departure") })
      #expect(try await invoke(pool, #"{"dep_time":517}"#) == "517")
      #expect(pool.statistics.snapshot.starts == 1)
    }
  }

  @Test("a function that is not done in time is named as on Lambda")
  func sleeps() async throws {
    try await with("import time\ndef handler(event, context): time.sleep(1000)", { $0.timeout = .seconds(2) }) {
      pool async throws in
      let failure = try await failure(pool)
      #expect((failure.kind, failure.type) == (.timedOut, "Sandbox.Timedout"))
      #expect(
        failure.message
          == "RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd Error: Task timed out after 2.00 seconds")
    }
  }

  @Test("a function that eats, exits or answers what is no JSON is named as on Lambda, and the next one works")
  func behaviours() async throws {
    let module = """
      import os, sys, time
      def handler(event, context):
          print("working on", event, flush=True)
          if event == "eat":
              hold = bytearray(600 << 20)
              time.sleep(1000)
          if event == "exit": os._exit(3)
          if event == "leave": sys.exit(1)
          if event == "set": return {1, 2}
          if event == "large": return "x" * 7000000
          return event
      """
    try await with(module) { pool async throws in
      let id = "RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd Error: "
      let wanted: [(String, FailureKind, String, String)] = [
        ("eat", .exited, "Runtime.OutOfMemory", id + "Runtime exited with error: signal: killed"),
        ("exit", .exited, "Runtime.ExitError", id + "Runtime exited with error: exit status 3"),
        ("leave", .exited, "Runtime.ExitError", id + "Runtime exited with error: exit status 1"),
        (
          "set", .error, "Runtime.MarshalError",
          "Unable to marshal response: Object of type set is not JSON serializable"
        ),
        (
          "large", .invalidResponse, "Function.ResponseSizeTooLarge",
          "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
        ),
      ]
      for (event, kind, type, message) in wanted {
        let failure = try await failure(pool, "\"\(event)\"")
        #expect((failure.kind, failure.type, failure.message) == (kind, type, message))
        if kind == .exited { #expect(failure.trace.contains("working on \(event)")) }
        #expect(try await invoke(pool, "\"fine\"") == "\"fine\"")
      }
    }
  }

  @Test("a module that takes too long to load is loaded again, and then the invocation has timed out")
  func slowLoading() async throws {
    var limits = FunctionLimits()
    limits.initTimeout = .seconds(2)
    try await with("import time; time.sleep(1000)", { $0.timeout = .milliseconds(2_500) }, limits: limits) {
      pool async throws in
      let failure = try await failure(pool)
      #expect((failure.kind, failure.type) == (.timedOut, "Sandbox.Timedout"))
      #expect(failure.message.hasSuffix("Task timed out after 2.50 seconds"))
      #expect(pool.statistics.snapshot.initFailures == 2)
    }
  }

  @Test("a Python without awslambdaric says so")
  func withoutClient() async throws {
    try await with(
      "",
      {
        $0.command.arguments.insert("-I", at: 1); $0.command.arguments[3] = "no_such_client"
      }
    ) {
      pool async throws in
      let failure = try await failure(pool)
      #expect((failure.kind, failure.type) == (.exited, "Runtime.ExitError"))
      #expect(failure.trace.last?.hasSuffix("No module named no_such_client") == true)
    }
  }

  @Test("the idempotency utility of Powertools works unmodified: what is done is not done again")
  func idempotent() async throws {
    // The utility, with a file to keep what is done instead of a table of DynamoDB.
    let module = #"""
      import sqlite3
      from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent
      from aws_lambda_powertools.utilities.idempotency.exceptions import (
          IdempotencyItemAlreadyExistsError, IdempotencyItemNotFoundError)
      from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
      from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

      class Kept(BasePersistenceLayer):
          """A persistence layer in a file."""
          def __init__(self):
              super().__init__()
              self.base = sqlite3.connect("kept.db", isolation_level=None)
              self.base.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, status TEXT, data TEXT, expiry INTEGER, progress INTEGER)")
          def _get_record(self, idempotency_key):
              row = self.base.execute("SELECT status, data, expiry, progress FROM kept WHERE key = ?", (idempotency_key,)).fetchone()
              if row is None: raise IdempotencyItemNotFoundError
              return DataRecord(idempotency_key=idempotency_key, status=row[0], response_data=row[1], expiry_timestamp=row[2], in_progress_expiry_timestamp=row[3])
          def _put_record(self, data_record):
              try:
                  self.base.execute("INSERT INTO kept VALUES (?, ?, NULL, ?, ?)", (data_record.idempotency_key, data_record.status, data_record.expiry_timestamp, data_record.in_progress_expiry_timestamp))
              except sqlite3.IntegrityError:
                  raise IdempotencyItemAlreadyExistsError
          def _update_record(self, data_record):
              self.base.execute("UPDATE kept SET status = ?, data = ?, expiry = ? WHERE key = ?", (data_record.status, data_record.response_data, data_record.expiry_timestamp, data_record.idempotency_key))
          def _delete_record(self, data_record):
              self.base.execute("DELETE FROM kept WHERE key = ?", (data_record.idempotency_key,))

      @idempotent(persistence_store=Kept(), config=IdempotencyConfig(event_key_jmespath="id", raise_on_no_idempotency_key=True))
      def handler(event, context):
          print("working on", event["id"], flush=True)
          if event.get("fail"): raise ValueError("not today")
          return {"done": event["id"]}
      """#
    let log = LogLines()
    try await with(module, logger: log.logger) { pool async throws in
      for _ in 0..<3 { #expect(try await invoke(pool, #"{"id":"a"}"#) == #"{"done": "a"}"#) }
      #expect(log.lines.count { $0 == "working on a" } == 1)
      // What failed is done the next time.
      let failure = try await failure(pool, #"{"id":"b","fail":true}"#)
      #expect((failure.type, failure.message) == ("ValueError", "not today"))
      #expect(try await invoke(pool, #"{"id":"b"}"#) == #"{"done": "b"}"#)
      #expect(log.lines.count { $0 == "working on b" } == 2)
    }
  }

  @Test("the batch processor of Powertools works unmodified, item failures included")
  func powertools() async throws {
    let module = """
      from aws_lambda_powertools import Logger
      from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
      from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord
      from aws_lambda_powertools.utilities.typing import LambdaContext

      processor = BatchProcessor(event_type=EventType.KinesisDataStreams)
      logger = Logger(service="orders")

      def record_handler(record: KinesisStreamRecord):
          flight = record.kinesis.data_as_json()
          return flight["dep_time"] - flight["sched_dep_time"]

      @logger.inject_lambda_context
      def handler(event: dict, context: LambdaContext):
          logger.info("batch", extra={"records": len(event["Records"])})
          return process_partial_response(
              event=event, record_handler=record_handler, processor=processor, context=context)
      """
    func record(_ text: String) -> Sample { Sample(key: "N14228", data: Array(text.utf8)) }
    let good = record(#"{"dep_time":517,"sched_dep_time":515}"#)
    let cancelled = record(#"{"dep_time":null,"sched_dep_time":630}"#)
    let log = LogLines()
    try await with(module, logger: log.logger) { pool async throws in
      let handler = FunctionHandler(pool: pool, reportsItemFailures: true)
      #expect(try await handler.handle(batch([good, good, good])) == .succeeded)
      let partly = batch([good, good, cancelled, good, cancelled])
      #expect(try await handler.handle(partly) == .failed(at: partly.sequenceNumber(at: 2)))
      // When every record fails it raises.
      do {
        _ = try await handler.handle(batch([cancelled]))
        Issue.record("it succeeded")
      } catch let failure as HandlerFailure {
        #expect(failure.type == "BatchProcessingError")
        #expect(failure.kind == .error)
      }
      #expect(try await handler.handle(batch([good])) == .succeeded)
      #expect(pool.statistics.snapshot.starts == 1)
    }
    let line = try #require(log.lines.first { $0.contains(#""message":"batch""#) })
    #expect(
      line.contains(#""function_name":"orders""#) && line.contains(#""records":3"#)
        && line.contains(#""cold_start":true"#))
  }
}
