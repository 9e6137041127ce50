import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel
import Testing

@Suite("Handlers in warm processes", .timeLimit(.minutes(10)))
struct LineProcessHandlerTests {
  /// A Python handler: `body` works on `event` and prints; `count` counts the events of its process.
  private static func python(_ body: String) -> HandlerCommand {
    let lines = body.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }
    let program = """
      import sys, json, os, time, signal
      count = 0
      for line in sys.stdin:
          event = json.loads(line)
          count += 1
      \(lines.joined(separator: "\n"))
          sys.stdout.flush()
      """
    return HandlerCommand(["python3", "-c", program])
  }

  private static func shell(_ program: String) -> HandlerCommand { HandlerCommand(["sh", "-c", program]) }

  private static func pool(
    _ command: HandlerCommand, concurrency: Int = 1, logger: Logger = .silent
  ) -> LineProcessPool {
    var limits = LineProcessLimits()
    limits.firstRestartWait = .milliseconds(1)
    limits.longestRestartWait = .milliseconds(10)
    return LineProcessPool(command, concurrency: concurrency, limits: limits, logger: logger)
  }

  /// Runs `body` with a handler and ends its processes.
  private func with(
    _ command: HandlerCommand, concurrency: Int = 1, reports: Bool = true, logger: Logger = .silent,
    _ body: (LineProcessHandler) async throws -> Void
  ) async throws {
    let pool = Self.pool(command, concurrency: concurrency, logger: logger)
    do {
      try await body(LineProcessHandler(pool: pool, reportsItemFailures: reports))
    } catch {
      await pool.shutdown()
      throw error
    }
    await pool.shutdown()
  }

  /// The failure of a delivery that must fail.
  private func failure(
    of handler: LineProcessHandler, _ batch: RecordBatch = batch(count: 2)
  ) async throws -> HandlerFailure {
    do {
      let outcome = try await handler.handle(batch)
      Issue.record("it succeeded: \(outcome)")
      throw CancellationError()
    } catch let failure as HandlerFailure {
      return failure
    }
  }

  @Test("one process answers many batches")
  func warm() async throws {
    try await with(Self.python("print(json.dumps({'batchItemFailures': []}) if count < 9 else os._exit(count))")) {
      handler async throws in
      for _ in 0..<8 { #expect(try await handler.handle(batch(count: 3)) == .succeeded) }
      #expect(try await failure(of: handler).message == "the process ended with exit code 9")
    }
  }

  @Test("processes that are prepared run before the first event, as many as may be at once")
  func prepared() async throws {
    let log = LogLines()
    let body = "print(json.dumps({'errorType': str(os.getpid())}))"
    let pool = Self.pool(
      HandlerCommand(["sh", "-c", "echo up >&2; exec \"$@\"", "sh"] + Self.python(body).arguments), concurrency: 2,
      logger: log.logger)
    await pool.prepare(5)
    for _ in 0..<2 { _ = await log.first { $0 == "up" } }
    let handler = LineProcessHandler(pool: pool)
    do {
      let first = try await failure(of: handler).type
      #expect(try await failure(of: handler).type == first)
    } catch {
      Issue.record(error)
    }
    await pool.shutdown()
    #expect(log.lines.count { $0 == "up" } == 2)
    // What cannot be started is told to whoever needs it.
    let none = Self.pool(HandlerCommand(["/nonexistent/command"]))
    await none.prepare(1)
    let failure = try await failure(of: LineProcessHandler(pool: none))
    #expect(failure.kind == .unavailable)
    await none.shutdown()
  }

  @Test("with the name of a function events count the invocations that their records come from, and this one")
  func lineage() async throws {
    let body = """
      trace = event['sluice']['traceId']
      print(json.dumps({'errorType': trace}))
      """
    let pool = Self.pool(Self.python(body))
    let handler = LineProcessHandler(pool: pool, function: "orders")
    let plain = LineProcessHandler(pool: pool)
    do {
      let prefix = Lineage.memberPrefix(of: "orders")
      #expect(try await failure(of: handler).type == prefix + "1")
      let later = batch([Sample(key: "a", data: [1], hops: 7), Sample(key: "b", data: [2], hops: 2)])
      #expect(try await failure(of: handler, later).type == prefix + "8")
      #expect(try Lineage(traceHeader: prefix + "8") == Lineage(hops: 8))
      // Without one events are those of AWS.
      #expect(try await failure(of: plain).type == "KeyError")
    } catch {
      Issue.record(error)
    }
    await pool.shutdown()
  }

  @Test("a record that the handler names is where the batch failed")
  func itemFailure() async throws {
    let body = """
      print(json.dumps({'batchItemFailures': [
        {'itemIdentifier': event['Records'][1]['kinesis']['sequenceNumber']}]}))
      """
    let sample = batch(count: 3)
    try await with(Self.python(body)) { handler async throws in
      #expect(try await handler.handle(sample) == .failed(at: sample.sequenceNumber(at: 1)))
    }
    try await with(Self.python(body), reports: false) { handler async throws in
      #expect(try await handler.handle(sample) == .succeeded)
    }
  }

  @Test("an unknown sequence number is an invalid response, and the process stays")
  func unknownRecord() async throws {
    try await with(Self.python("print('{\"batchItemFailures\":[{\"itemIdentifier\":\"%d\"}]}' % count)")) {
      handler async throws in
      #expect(try await failure(of: handler).message == "the itemIdentifier 1 names no record of the batch")
      #expect(try await failure(of: handler).message == "the itemIdentifier 2 names no record of the batch")
    }
  }

  @Test("a handler that raises shows its exception and traceback, and the next batch has a new process")
  func raise() async throws {
    try await with(Self.python("if len(event['Records']) > 1: {}['dep_time']\nprint('{}')")) { handler async throws in
      let failure = try await failure(of: handler)
      #expect(failure.kind == .exited)
      #expect(failure.type == "KeyError")
      #expect(failure.message == "'dep_time' (the process ended with exit code 1)")
      #expect(failure.trace.first == "Traceback (most recent call last):")
      #expect(try await handler.handle(batch(count: 1)) == .succeeded)
    }
  }

  @Test(
    "an exit code and a signal are named",
    arguments: [
      ("read line; exit 3", "the process ended with exit code 3"),
      ("read line; kill -9 $$", "the process ended with signal SIGKILL"),
      ("exit 4", "the process ended with exit code 4"),
    ])
  func ending(program: String, message: String) async throws {
    try await with(Self.shell(program)) { handler async throws in
      let failure = try await failure(of: handler)
      #expect(failure.kind == .exited)
      #expect(failure.type == "Runtime.ExitError")
      #expect(failure.message == message)
    }
  }

  @Test("garbage is an invalid response")
  func garbage() async throws {
    try await with(Self.python("print('well, done')")) { handler async throws in
      let failure = try await failure(of: handler)
      #expect(failure.kind == .invalidResponse)
      #expect(failure.message == "the answer is not JSON: well, done")
    }
  }

  @Test("a handler that answers twice keeps its first answer and loses its process")
  func twoAnswers() async throws {
    let pids = LogLines()
    let body = "sys.stderr.write('pid %d\\n' % os.getpid())\nsys.stderr.flush()\nprint('{}\\n{}')"
    try await with(Self.python(body), logger: pids.logger) { handler async throws in
      #expect(try await handler.handle(batch(count: 1)) == .succeeded)
      #expect(try await handler.handle(batch(count: 1)) == .succeeded)
    }
    #expect(Set(pids.lines.filter { $0.hasPrefix("pid ") }).count == 2)
  }

  @Test("an answer to an event that was not read is not an answer")
  func answerBeforeReading() async throws {
    try await with(Self.shell("echo '{}'; cat > /dev/null")) { handler async throws in
      let failure = try await failure(of: handler, batch([Sample(key: "k", data: Array(repeating: 0, count: 4 << 20))]))
      #expect(failure.kind == .invalidResponse)
      // Whether the event was already on its way when the answer came is a matter of luck.
      #expect(failure.message.hasPrefix("the handler wrote to its standard output "))
    }
  }

  @Test("a handler over its time is stopped with all that it started, and the next batch has a new process")
  func cancelled() async throws {
    // The handler and what it starts both hold the pipe open: its end is the end of both.
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    let pipe = directory.path + "/pipe"
    try #require(mkfifo(pipe, 0o600) == 0)
    let announced = LogLines()
    let body = """
      if len(event['Records']) > 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pipe = os.open('\(pipe)', os.O_WRONLY)
        os.posix_spawnp('sleep', ['sleep', '1000'], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, pipe, 1)])
        sys.stderr.write('hanging\\n'); sys.stderr.flush()
        time.sleep(1000)
      print('{}')
      """
    try await with(Self.python(body), logger: announced.logger) { handler async throws in
      let end = Task.detached { try FileHandle(forReadingFrom: URL(filePath: pipe)).readToEnd() }
      let task = Task { try await failure(of: handler) }
      _ = await announced.first { $0 == "hanging" }
      task.cancel()
      #expect(try await task.value.kind == .timedOut)
      #expect(try await end.value?.isEmpty ?? true)
      #expect(try await handler.handle(batch(count: 1)) == .succeeded)
    }
  }

  @Test("callers beyond the limit wait their turn, and one that is cancelled there was never called")
  func turns() async throws {
    let announced = LogLines()
    let body = "sys.stderr.write('hanging\\n'); sys.stderr.flush(); time.sleep(1000)"
    let pool = Self.pool(Self.python(body), logger: announced.logger)
    let handler = LineProcessHandler(pool: pool)
    let first = Task { try await failure(of: handler) }
    _ = await announced.first { $0 == "hanging" }
    let second = Task { try await failure(of: handler) }
    second.cancel()
    #expect(try await second.value.kind == .throttled)
    first.cancel()
    #expect(try await first.value.kind == .timedOut)
    await pool.shutdown()
  }

  @Test("several processes work at the same time")
  func concurrency() async throws {
    // Neither goes on before both are there.
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    let gate = try Gate(in: directory)
    defer { gate.remove() }
    let log = LogLines()
    let body = """
      sys.stderr.write('here\\n'); sys.stderr.flush()
      gate = '\(gate.path)'; \(Gate.wait)
      print('{}')
      """
    try await with(Self.python(body), concurrency: 2, logger: log.logger) { handler async throws in
      async let first = handler.handle(batch(count: 1))
      async let second = handler.handle(batch(count: 1))
      for _ in 0..<2 { #expect(await log.first { $0 == "here" } == "here") }
      try gate.open(for: 2)
      #expect(try await [first, second] == [.succeeded, .succeeded])
    }
  }

  @Test("ten megabytes on standard error hold nothing up and only their end is kept")
  func flood() async throws {
    let body = """
      for number in range(1000): sys.stderr.write('x' * 10000 + '\\n')
      sys.stderr.write('y' * 300000 + '\\n')
      for number in range(70): sys.stderr.write('line %d\\n' % number)
      if len(event['Records']) > 1: sys.exit(7)
      print('{}')
      """
    try await with(Self.python(body)) { handler async throws in
      #expect(try await handler.handle(batch(count: 1)) == .succeeded)
      let failure = try await failure(of: handler)
      #expect(failure.message == "the process ended with exit code 7")
      #expect(failure.trace.count == 64)
      #expect(failure.trace.last == "line 69")
    }
  }

  @Test("a large event and large errors pass at the same time")
  func large() async throws {
    let body = """
      sys.stderr.write(line); sys.stderr.flush()
      print(json.dumps({'echo': event['Records'][0]['kinesis']['data']}))
      """
    try await with(Self.python(body)) { handler async throws in
      let sample = batch([Sample(key: "k", data: Array(repeating: 0xa5, count: 4_500_000))])
      for _ in 0..<3 { #expect(try await handler.handle(sample) == .succeeded) }
    }
  }

  @Test("an answer beyond the limit is refused")
  func largeAnswer() async throws {
    try await with(Self.python("print('x' * 7000000)")) { handler async throws in
      let failure = try await failure(of: handler)
      #expect(failure.kind == .invalidResponse)
      #expect(failure.message == "the answer is larger than 6291556 bytes")
    }
  }

  @Test(
    "a program that cannot be started is unavailable",
    arguments: [
      (HandlerCommand(["no-such-program-anywhere"]), "command not found: no-such-program-anywhere"),
      (HandlerCommand(["/etc/passwd"]), "permission denied: /etc/passwd is not executable"),
      (HandlerCommand(["sh"], directory: "/no/such/place"), "there is no directory /no/such/place"),
    ])
  func unavailable(command: HandlerCommand, message: String) async throws {
    try await with(command) { handler async throws in
      let failure = try await failure(of: handler)
      #expect(failure.kind == .unavailable)
      #expect(failure.message == message)
    }
  }

  @Test("a handler that exits after each answer is started anew without losing a batch")
  func oneShot() async throws {
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    var command = Self.python("print(os.environ['ANSWER'])")
    command.directory = directory.path
    command.environment = ["ANSWER": "{}"]
    try await with(command) { handler async throws in
      for _ in 0..<3 { #expect(try await handler.handle(batch(count: 1)) == .succeeded) }
    }
  }

  @Test("directory and environment reach the handler")
  func surroundings() async throws {
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    var command = Self.python("print(json.dumps({'errorType': os.environ['NAME'], 'errorMessage': os.getcwd()}))")
    command.directory = directory.path
    command.environment = ["NAME": "Flights"]
    try await with(command) { handler async throws in
      let failure = try await failure(of: handler)
      #expect(failure.type == "Flights")
      #expect(failure.message.hasSuffix(directory.lastPathComponent))
    }
  }

  @Test("a child inherits no descriptor of ours")
  func descriptors() async throws {
    let body = "print(json.dumps({'errorType': 'D', 'errorMessage': ' '.join(sorted(os.listdir('/proc/self/fd')))}))"
    let open = FileHandle(forReadingAtPath: "/etc/passwd")
    try await with(Self.python(body)) { handler async throws in
      // 3 is the directory being listed.
      #expect(try await failure(of: handler).message == "0 1 2 3")
    }
    try open?.close()
  }

  @Test("a shut down pool leaves no process and takes no call; twice is fine")
  func shutdown() async throws {
    let announced = LogLines()
    let pool = Self.pool(
      Self.python("sys.stderr.write('pid %d\\n' % os.getpid()); sys.stderr.flush(); print('{}')"),
      logger: announced.logger)
    let handler = LineProcessHandler(pool: pool)
    #expect(try await handler.handle(batch(count: 1)) == .succeeded)
    let line = await announced.first { $0.hasPrefix("pid ") }
    await pool.shutdown()
    await pool.shutdown()
    #expect(!isRunning(try #require(Int32(line.dropFirst(4)))))
    #expect(try await failure(of: handler).kind == .unavailable)
  }

  private func temporaryDirectory() throws -> URL {
    let directory = FileManager.default.temporaryDirectory.appending(path: "sluice-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    return directory
  }

  private func remove(_ directory: URL) {
    do {
      try FileManager.default.removeItem(at: directory)
    } catch {
      Issue.record(error)
    }
  }

  /// Whether a process is there and not just waiting to be reaped by somebody else.
  private func isRunning(_ pid: Int32) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return status.split(separator: ")").last?.hasPrefix(" Z") == false
  }
}

extension Logger {
  static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// A log whose lines a test can wait for.
final class LogLines: Sendable {
  private let stream: AsyncStream<String>
  private let continuation: AsyncStream<String>.Continuation
  private let seen = Mutex<[String]>([])

  init() {
    (stream, continuation) = AsyncStream.makeStream()
  }

  var lines: [String] { seen.withLock { $0 } }

  var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

  /// The first line from now on, or not yet waited for, that `matches`.
  func first(where matches: (String) -> Bool) async -> String {
    for await line in stream where matches(line) { return line }
    return ""
  }

  fileprivate func append(_ line: String) {
    seen.withLock { $0.append(line) }
    continuation.yield(line)
  }

  private struct Handler: LogHandler {
    let log: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let count = event.metadata?["linesLeftOut"].map { " linesLeftOut=\($0)" } ?? ""
      log.append(event.message.description + count)
    }
  }
}
