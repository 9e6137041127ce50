import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel
import Testing

@Suite("Functions in execution environments", .timeLimit(.minutes(10)))
struct FunctionPoolTests: FunctionPoolTesting {
  @Test("one environment answers many invocations, and an error does not end it")
  func warm() async throws {
    let body = """
      if json.loads(event) == 'raise':
        call('POST', '/invocation/%s/error' % id, json.dumps({'errorType': 'E', 'errorMessage': 'm', 'trace': ['a\\nb', 'c']}))
      else: result = count
      """
    try await with(Self.settings(Self.python(body))) { pool async throws in
      #expect(try await invoke(pool) == "1")
      let failure = try await failure(pool, #""raise""#)
      #expect(failure == HandlerFailure(kind: .error, type: "E", message: "m", trace: ["a", "b", "c"]))
      #expect(try await invoke(pool) == "3")
      let snapshot = pool.statistics.snapshot
      #expect((snapshot.invocations, snapshot.starts, snapshot.errors) == (3, 1, ["E": 1]))
      #expect(snapshot.inits.count == 1)
    }
  }

  @Test("an invocation over its time is killed with all that it started, and the next one has a new environment")
  func timeout() async throws {
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    // The first process and what it starts both hold the pipe open: its end is the end of both. They open it before there
    // is a deadline.
    let pipe = directory.path + "/pipe"
    try #require(mkfifo(pipe, 0o600) == 0)
    let setup = """
      if not os.path.exists('\(directory.path)/mark'):
        open('\(directory.path)/mark', 'w').close()
        for name in ('SIGTERM', 'SIGINT', 'SIGHUP'): signal.signal(getattr(signal, name), signal.SIG_IGN)
        hold = os.open('\(pipe)', os.O_WRONLY)
        subprocess.Popen(['sleep', '1000'], pass_fds=[hold])
      """
    let body = "if json.loads(event) == 'hang': time.sleep(1000)\nresult = count"
    let log = LogLines()
    let settings = Self.settings(Self.python(body, setup: setup)) { $0.timeout = .milliseconds(1_500) }
    try await with(settings, logger: log.logger) { pool async throws in
      let end = Task { await endOfPipe(pipe) }
      let failure = try await failure(pool, #""hang""#, id: "abc")
      #expect(failure.kind == .timedOut)
      #expect(failure.type == "Sandbox.Timedout")
      #expect(failure.message == "RequestId: abc Error: Task timed out after 1.50 seconds")
      #expect(await end.value)
      #expect(pool.statistics.snapshot.errors == ["Sandbox.Timedout": 1])
      #expect(try await invokeUntilInTime(pool) == "1")
    }
    #expect(log.lines.contains { $0.wholeMatch(of: /\S+ abc Task timed out after 1.50 seconds/) != nil })
    #expect(log.lines.contains { $0.hasPrefix("REPORT RequestId: abc\t") && $0.hasSuffix("Status: timeout") })
  }

  @Test(
    "a process that ends during an invocation is named as Lambda names it",
    arguments: [
      ("os._exit(0)", "Runtime exited without providing a reason"),
      ("os._exit(7)", "Runtime exited with error: exit status 7"),
      ("os.kill(os.getpid(), signal.SIGSEGV)", "Runtime exited with error: signal: segmentation fault"),
    ])
  func exits(body: String, message: String) async throws {
    try await with(Self.settings(Self.python("print('last words', flush=True)\n\(body)"))) { pool async throws in
      let failure = try await failure(pool, id: "abc")
      #expect(failure.kind == .exited)
      #expect(failure.type == "Runtime.ExitError")
      #expect(failure.message == "RequestId: abc Error: \(message)")
      #expect(failure.trace.contains("last words"))
    }
  }

  @Test("an adaptive timeout comes down to what a function needs, and is what the function is told")
  func adaptive() async throws {
    let log = LogLines()
    let body =
      "if json.loads(event) == 'hang': time.sleep(1000)\nresult = float(head['Lambda-Runtime-Deadline-Ms']) - time.time() * 1000"
    let settings = Self.settings(Self.python(body)) {
      $0.adaptiveTimeout = AdaptiveTimeout(floor: .milliseconds(500), ceiling: .seconds(600))
    }
    try await with(settings, limits: { $0.warnedTimeoutShare = 0.8 }, logger: log.logger) { pool async throws in
      for _ in 0..<100 { #expect(try #require(Double(try await invoke(pool))) > 100_000) }
      let timeout = pool.currentTimeout
      #expect(timeout >= .milliseconds(500) && timeout < .seconds(600))
      let failure = try await failure(pool, #""hang""#)
      #expect((failure.kind, failure.type) == (.timedOut, "Sandbox.Timedout"))
      #expect(!failure.message.contains("600.00 seconds"))
      #expect(try #require(Double(try await invokeUntilInTime(pool))) < 600_000)
    }
  }

  @Test("an invocation that needs most of its time is warned about, once in a while")
  func warned() async throws {
    let log = LogLines()
    let settings = Self.settings(Self.python("result = 1"))
    try await with(settings, limits: { $0.warnedTimeoutShare = 0 }, logger: log.logger) { pool async throws in
      for _ in 0..<3 { #expect(try await invoke(pool) == "1") }
    }
    #expect(log.lines.count { $0.contains("% of its timeout") } == 1)
  }

  @Test("processes run as another user, and one that is not there is said so", .enabled(if: geteuid() == 0))
  func user() async throws {
    // A Python of root's own would be out of reach.
    var command = HandlerCommand(["/bin/sh", "-c", "echo user $(id -u) group $(id -g) groups $(id -G); exit 3"])
    command.user = "nobody"
    let account = try #require(getpwnam("nobody"))
    let (id, group) = (account.pointee.pw_uid, account.pointee.pw_gid)
    try await with(Self.settings(command)) { pool async throws in
      let failure = try await failure(pool)
      #expect(failure.type == "Runtime.ExitError")
      #expect(failure.trace == ["user \(id) group \(group) groups \(group)"])
    }
    command.user = "nobody-of-this-name"
    try await with(Self.settings(command)) { pool async throws in
      let failure = try await failure(pool)
      #expect((failure.kind, failure.message) == (.unavailable, "there is no user nobody-of-this-name"))
    }
  }

  @Test("more memory than the function has ends it, and what it used at most is known")
  func memory() async throws {
    // One that uses too much waits for its end: how long a busy machine takes to look at it does not matter.
    let body =
      "hold = bytearray(json.loads(event) << 20)\nresult = len(hold)\nif result > 200 << 20: time.sleep(1000)"
    try await with(Self.settings(Self.python(body)) { $0.memorySize = 200 }) { pool async throws in
      #expect(try await invoke(pool, "60") == "\(60 << 20)")
      let used = pool.statistics.snapshot.largestMemoryBytes
      #expect(used > 60 << 20 && used < 200 << 20)
      let failure = try await failure(pool, "400", id: "abc")
      #expect((failure.kind, failure.type) == (.exited, "Runtime.OutOfMemory"))
      #expect(failure.message == "RequestId: abc Error: Runtime exited with error: signal: killed")
      #expect(try await invoke(pool, "1") == "\(1 << 20)")
    }
  }

  @Test("a process that cannot be initialized is started once more for the invocation, then it has failed")
  func initFailure() async throws {
    let setup =
      "call('POST', '/init/error', json.dumps({'errorType': 'Runtime.ImportModuleError', 'errorMessage': 'no x', 'stackTrace': []})); sys.exit(1)"
    try await with(Self.settings(Self.python("", setup: setup))) { pool async throws in
      let failure = try await failure(pool)
      #expect((failure.kind, failure.type, failure.message) == (.error, "Runtime.ImportModuleError", "no x"))
      let snapshot = pool.statistics.snapshot
      #expect((snapshot.starts, snapshot.initFailures, snapshot.invocations) == (2, 2, 0))
      #expect(snapshot.lastInitFailure == failure)
    }
  }

  @Test("a process that ends before its first event has failed with its status")
  func initExit() async throws {
    try await with(Self.settings(HandlerCommand(["sh", "-c", "echo no luck; exit 127"]))) { pool async throws in
      let failure = try await failure(pool, id: "abc")
      #expect((failure.kind, failure.type) == (.exited, "Runtime.ExitError"))
      #expect(failure.message == "RequestId: abc Error: Runtime exited with error: exit status 127")
      #expect(failure.trace == ["no luck"])
    }
  }

  @Test("an initialization that takes too long is repeated within the time of the invocation")
  func initTimeout() async throws {
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    // The first one hangs, the second does not: the gate opens when the first has taken too long.
    let gate = try Gate(in: directory)
    defer { gate.remove() }
    let log = LogLines()
    let settings = Self.settings(Self.python("result = count", setup: "gate = '\(gate.path)'; \(Gate.wait)"))
    try await with(settings, limits: { $0.initTimeout = .milliseconds(300) }, logger: log.logger) {
      pool async throws in
      async let response = invoke(pool)
      _ = await log.first { $0.hasPrefix("INIT_REPORT ") }
      try gate.open(for: 1)
      #expect(try await response == "1")
      #expect(pool.statistics.snapshot.initFailures == 1)
    }
    // This one always does.
    let hanging = Self.settings(Self.python("", setup: "time.sleep(1000)")) { $0.timeout = .milliseconds(1_200) }
    try await with(hanging, limits: { $0.initTimeout = .milliseconds(300) }) { pool async throws in
      let failure = try await failure(pool, id: "abc")
      #expect((failure.kind, failure.type) == (.timedOut, "Sandbox.Timedout"))
      #expect(failure.message == "RequestId: abc Error: Task timed out after 1.20 seconds")
      #expect(pool.statistics.snapshot.starts == 2)
    }
  }

  @Test("a command that is not there is unavailable and costs no attempt")
  func unavailable() async throws {
    try await with(Self.settings(HandlerCommand(["no-such-program-anywhere"]))) { pool async throws in
      let failure = try await failure(pool)
      #expect((failure.kind, failure.type) == (.unavailable, "Runtime.InvalidEntrypoint"))
      #expect(failure.message == "command not found: no-such-program-anywhere")
      #expect(!failure.kind.usesAttempt)
    }
  }

  @Test("a response that is too large is refused with 413 and fails the invocation")
  func tooLarge() async throws {
    let body =
      "reply = call('POST', '/invocation/%s/response' % id, 'x' * json.loads(event))\nprint('status', reply[0], flush=True)"
    let log = LogLines()
    try await with(Self.settings(Self.python(body)), logger: log.logger) { pool async throws in
      #expect(try await invoke(pool, "6291556").utf8.count == 6_291_556)
      let failure = try await failure(pool, "6291557")
      #expect((failure.kind, failure.type) == (.invalidResponse, "Function.ResponseSizeTooLarge"))
      #expect(
        failure.message == "Response payload size exceeded maximum allowed payload size (6291556 bytes).")
      #expect(await log.first { $0 == "status 413" } == "status 413")
      #expect(try await invoke(pool, "2") == "xx")
      #expect(pool.statistics.snapshot.starts == 1)
    }
  }
}
