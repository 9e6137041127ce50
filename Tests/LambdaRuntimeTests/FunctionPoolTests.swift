import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel
import Testing

/// The Runtime API and the environments, with runtimes of a few lines that speak plain HTTP.
@Suite("Functions in execution environments", .timeLimit(.minutes(3)))
struct FunctionPoolTests {
  /// A runtime: `call` sends a request; `setup` runs before the first `next`; `body` works on `event` with `id` and
  /// `head`, and its `result` is posted as the response.
  static func python(_ body: String, setup: String = "") -> HandlerCommand {
    let lines = body.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }
    let program = """
      import http.client, json, os, signal, subprocess, sys, time
      base = '/2018-06-01/runtime'
      connection = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
      def call(method, path, body=None, headers={}, on=connection):
          on.request(method, base + path, body, headers)
          reply = on.getresponse()
          return reply.status, dict(reply.getheaders()), reply.read().decode()
      count = 0
      \(setup)
      while True:
          status, head, event = call('GET', '/invocation/next')
          id = head['Lambda-Runtime-Aws-Request-Id']
          count += 1
          result = None
      \(lines.joined(separator: "\n"))
          if result is not None: call('POST', '/invocation/%s/response' % id, json.dumps(result))
      """
    return HandlerCommand(["python3", "-c", program])
  }

  static func settings(
    _ command: HandlerCommand, _ change: (inout FunctionSettings) -> Void = { _ in }
  ) -> FunctionSettings {
    var settings = FunctionSettings(name: "orders", command: command)
    settings.timeout = .seconds(60)
    change(&settings)
    return settings
  }

  /// Runs `body` with a pool and ends its processes.
  func with(
    _ settings: FunctionSettings, limits change: (inout FunctionLimits) -> Void = { _ in }, logger: Logger = .silent,
    _ body: (FunctionPool) async throws -> Void
  ) async throws {
    var limits = FunctionLimits()
    limits.firstRestartWait = .milliseconds(1)
    limits.longestRestartWait = .milliseconds(10)
    // Longer than any test: on a busy machine those who wait in it would be throttled.
    limits.throttleAfter = .seconds(600)
    change(&limits)
    let pool = FunctionPool(settings, limits: limits, logger: logger)
    do {
      try await body(pool)
    } catch {
      await pool.shutdown()
      throw error
    }
    await pool.shutdown()
  }

  /// The response as text.
  func invoke(_ pool: FunctionPool, _ event: String = "{}", id: String = "id-1") async throws -> String {
    String(decoding: try await pool.invoke(id) { $0.append(contentsOf: event.utf8) }, as: UTF8.self)
  }

  /// The failure of an invocation that must fail.
  func failure(_ pool: FunctionPool, _ event: String = "{}", id: String = "id-1") async throws -> HandlerFailure {
    do {
      let response = try await invoke(pool, event, id: id)
      Issue.record("it succeeded: \(response)")
      throw CancellationError()
    } catch let failure as HandlerFailure {
      return failure
    }
  }

  /// Waits until so many callers stand in the queue.
  func until(waiting count: Int, _ pool: FunctionPool) async throws {
    while pool.waitingCount < count {
      try Task.checkCancellation()
      await Task.yield()
    }
  }

  // MARK: The Runtime API

  @Test("an event comes with its id, deadline, ARN and trace, and a body of exactly this type")
  func heads() async throws {
    let id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    try await with(Self.settings(Self.python("result = [status, head, json.loads(event), time.time() * 1000]"))) {
      pool async throws in
      let text = try await invoke(pool, #"{"é":1}"#, id: id)
      let parts = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [Any])
      let head = try #require(parts[1] as? [String: String])
      #expect(parts[0] as? Int == 200)
      #expect((parts[2] as? [String: Int]) == ["é": 1])
      #expect(head["Lambda-Runtime-Aws-Request-Id"] == id)
      #expect(head["Content-Type"] == "application/json")
      #expect(
        head["Lambda-Runtime-Invoked-Function-Arn"] == "arn:aws:lambda:us-east-1:000000000000:function:orders")
      let left = try #require(head["Lambda-Runtime-Deadline-Ms"].flatMap(Double.init)) - (parts[3] as? Double ?? 0)
      #expect(left > 50_000 && left <= 60_000)
      let trace = try #require(head["Lambda-Runtime-Trace-Id"])
      #expect(trace.wholeMatch(of: /Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0/) != nil)
    }
  }

  @Test("wrong requests get Lambda's answers and the invocation goes on")
  func wrongRequests() async throws {
    let body = """
      other = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
      replies = [call('GET', '/invocation/next', on=other), call('POST', '/invocation/other/response', '1', on=other),
        call('POST', '/init/error', '{}', on=other), call('GET', '/nothing', on=other), call('PUT', '/invocation/next', on=other)]
      first = call('POST', '/invocation/%s/response' % id, json.dumps([[s, json.loads(b).get('errorType')] for s, h, b in replies]))
      second = call('POST', '/invocation/%s/response' % id, '2')
      if first[0] != 202 or json.loads(first[2]) != {'status': 'OK'} or second[0] != 400: os._exit(3)
      """
    try await with(Self.settings(Self.python(body))) { pool async throws in
      for _ in 0..<2 {
        #expect(
          try await invoke(pool)
            == #"[[403, "InvalidStateTransition"], [400, "InvalidRequestID"], [403, "InvalidStateTransition"], "#
            + #"[404, "NotFound"], [405, "MethodNotAllowed"]]"#)
      }
      #expect(pool.statistics.snapshot.starts == 1)
    }
  }

  @Test("a response in chunks with trailers, and one after 100 Continue")
  func streamed() async throws {
    let body = """
      import socket
      host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
      raw = socket.create_connection((host, int(port)))
      start = 'POST %s/invocation/%s/response HTTP/1.1\\r\\nHost: x\\r\\n' % (base, id)
      mode = 'Lambda-Runtime-Function-Response-Mode: streaming\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n'
      kind = json.loads(event)
      if kind == 'whole': raw.sendall((start + mode + '3\\r\\n[1,\\r\\n2\\r\\n2]\\r\\n0\\r\\n\\r\\n').encode())
      if kind == 'midway': raw.sendall((start + mode + '1\\r\\n[\\r\\n0\\r\\nLambda-Runtime-Function-Error-Type: Midway\\r\\nLambda-Runtime-Function-Error-Body: eyJlcnJvck1lc3NhZ2UiOiJubyJ9\\r\\n\\r\\n').encode())
      if kind == 'cut':
        raw.sendall((start + mode + '9\\r\\n[1,').encode()); raw.close(); continue
      if kind == 'mode': raw.sendall((start + mode.replace('streaming', 'fast') + '0\\r\\n\\r\\n').encode())
      if kind == 'continue':
        raw.sendall((start + 'Content-Length: 2\\r\\nExpect: 100-continue\\r\\n\\r\\n').encode())
        assert raw.recv(1000).startswith(b'HTTP/1.1 100 '), 'no 100'
        raw.sendall(b'{}')
      assert raw.recv(1000).startswith(b'HTTP/1.1 400 ' if kind == 'mode' else b'HTTP/1.1 202 '), kind
      """
    try await with(Self.settings(Self.python(body))) { pool async throws in
      #expect(try await invoke(pool, #""whole""#) == "[1,2]")
      #expect(try await invoke(pool, #""continue""#) == "{}")
      let midway = try await failure(pool, #""midway""#)
      #expect((midway.kind, midway.type, midway.message) == (.error, "Midway", "no"))
      let cut = try await failure(pool, #""cut""#)
      #expect((cut.kind, cut.type) == (.invalidResponse, "Runtime.TruncatedResponse"))
      let mode = try await failure(pool, #""mode""#)
      #expect((mode.kind, mode.type) == (.invalidResponse, "Runtime.InvalidResponseModeHeader"))
      #expect(try await invoke(pool, #""whole""#) == "[1,2]")
    }
  }

  @Test("an environment has a port of its own that knows nothing of the others")
  func ports() async throws {
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    // Each waits until the other one is there, and answers the other one's invocation.
    let body = """
      mine = os.environ['AWS_LAMBDA_RUNTIME_API']
      open('%s/%s %s' % ('\(directory.path)', mine, id), 'w').close()
      while len(os.listdir('\(directory.path)')) < 2: time.sleep(0.001)
      theirs = [name.split(' ') for name in os.listdir('\(directory.path)') if not name.startswith(mine)][0]
      replies = [call('POST', '/invocation/%s/response' % theirs[1], '"stolen"')[0]]
      result = [mine != theirs[0], replies]
      """
    try await with(Self.settings(Self.python(body)) { $0.concurrency = 2 }) { pool async throws in
      async let first = invoke(pool, id: "one")
      async let second = invoke(pool, id: "two")
      #expect(try await [first, second] == ["[true, [400]]", "[true, [400]]"])
    }
  }

  @Test("what Lambda sets in the environment is there, and what it leaves out is not")
  func variables() async throws {
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    var command = Self.python(
      "result = {'env': dict(os.environ), 'cwd': os.getcwd(), 'fds': os.listdir('/proc/self/fd')}")
    command.directory = directory.path
    command.environment = ["MINE": "yes", "AWS_REGION": "eu-west-3", "AWS_LAMBDA_MAX_CONCURRENCY": "8"]
    let settings = Self.settings(command) {
      $0.memorySize = 256
      $0.handler = "orders.handler"
      $0.runtime = "python3.12"
    }
    try await with(settings) { pool async throws in
      let text = try await invoke(pool)
      let parts = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
      let found = try #require(parts["env"] as? [String: String])
      let wanted = [
        "AWS_LAMBDA_FUNCTION_NAME": "orders", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "_HANDLER": "orders.handler",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/orders", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12", "LAMBDA_TASK_ROOT": directory.path, "MINE": "yes",
        "AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "us-east-1", "AWS_LAMBDA_LOG_FORMAT": "Text",
      ]
      for (name, value) in wanted { #expect(found[name] == value, "\(name)") }
      #expect(
        found["AWS_LAMBDA_LOG_STREAM_NAME"]?.wholeMatch(of: /\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}/) != nil)
      #expect(found["AWS_LAMBDA_MAX_CONCURRENCY"] == nil)
      #expect((parts["cwd"] as? String)?.hasSuffix(directory.lastPathComponent) == true)
      // Its standard ones, its connection to us, and the directory being listed.
      #expect((parts["fds"] as? [String])?.sorted() == ["0", "1", "2", "3", "4"])
    }
  }

  // MARK: Environments

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
    // The function and what it starts both hold the pipe open: its end is the end of both.
    let pipe = directory.path + "/pipe"
    try #require(mkfifo(pipe, 0o600) == 0)
    let body = """
      if json.loads(event) == 'hang':
        for name in ('SIGTERM', 'SIGINT', 'SIGHUP'): signal.signal(getattr(signal, name), signal.SIG_IGN)
        hold = os.open('\(pipe)', os.O_WRONLY)
        subprocess.Popen(['sleep', '1000'], pass_fds=[hold])
        time.sleep(1000)
      result = count
      """
    let log = LogLines()
    let settings = Self.settings(Self.python(body)) { $0.timeout = .milliseconds(1_500) }
    try await with(settings, logger: log.logger) { pool async throws in
      let end = Task { await endOfPipe(pipe) }
      let failure = try await failure(pool, #""hang""#, id: "abc")
      #expect(failure.kind == .timedOut)
      #expect(failure.type == "Sandbox.Timedout")
      #expect(failure.message == "RequestId: abc Error: Task timed out after 1.50 seconds")
      #expect(await end.value)
      #expect(try await invoke(pool) == "1")
      #expect(pool.statistics.snapshot.errors == ["Sandbox.Timedout": 1])
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
      $0.adaptiveTimeout = AdaptiveTimeout(floor: .milliseconds(500), ceiling: .seconds(60))
    }
    try await with(settings, limits: { $0.warnedTimeoutShare = 0.8 }, logger: log.logger) { pool async throws in
      for _ in 0..<100 { #expect(try #require(Double(try await invoke(pool))) > 30_000) }
      let timeout = pool.currentTimeout
      #expect(timeout >= .milliseconds(500) && timeout < .seconds(30))
      #expect(try #require(Double(try await invoke(pool))) <= timeout / .milliseconds(1))
      let failure = try await failure(pool, #""hang""#)
      #expect((failure.kind, failure.type) == (.timedOut, "Sandbox.Timedout"))
      #expect(!failure.message.contains("60.00 seconds"))
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
    let body = "hold = bytearray(json.loads(event) << 20)\nresult = len(hold)"
    try await with(Self.settings(Self.python(body)) { $0.memorySize = 200 }) { pool async throws in
      #expect(try await invoke(pool, "60") == "\(60 << 20)")
      let used = pool.statistics.snapshot.largestMemoryBytes
      #expect(used > 60 << 20 && used < 200 << 20)
      let failure = try await failure(pool, "4000", id: "abc")
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
    // The first one hangs, the second does not.
    let setup =
      "mark = '\(directory.path)/x'; known = os.path.exists(mark); open(mark, 'w').close(); known or time.sleep(1000)"
    try await with(
      Self.settings(Self.python("result = count", setup: setup)), limits: { $0.initTimeout = .seconds(4) }
    ) {
      pool async throws in
      #expect(try await invoke(pool) == "1")
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

  @Test("who finds no environment in time is throttled, and that costs no attempt")
  func throttled() async throws {
    let log = LogLines()
    let body = "print('working', flush=True)\ntime.sleep(1000)"
    try await with(
      Self.settings(Self.python(body)), limits: { $0.throttleAfter = .milliseconds(50) }, logger: log.logger
    ) {
      pool async throws in
      let first = Task { try await failure(pool) }
      _ = await log.first { $0 == "working" }
      let second = try await failure(pool)
      #expect((second.kind, second.type) == (.throttled, "TooManyRequestsException"))
      #expect(!second.kind.usesAttempt)
      #expect(pool.statistics.snapshot.throttles == 1)
      first.cancel()
      #expect(try await first.value.kind == .timedOut)
    }
  }

  @Test("those who wait for an environment get it in the order they came")
  func turns() async throws {
    let log = LogLines()
    let body =
      "print('working', flush=True)\nwhile not os.path.exists(json.loads(event)): time.sleep(0.001)\nresult = count"
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    let gate = directory.path + "/gate"
    try await with(Self.settings(Self.python(body)), logger: log.logger) { pool async throws in
      let event = "\"\(gate)\""
      let first = Task { try await invoke(pool, event) }
      _ = await log.first { $0 == "working" }
      var waiting: [Task<String, any Error>] = []
      for place in 1...3 {
        waiting.append(Task { try await invoke(pool, event) })
        try await until(waiting: place, pool)
      }
      try Data().write(to: URL(filePath: gate))
      #expect(try await first.value == "1")
      for (place, task) in waiting.enumerated() { #expect(try await task.value == "\(place + 2)") }
    }
  }

  @Test("one who waits alone is not kept waiting by another who waits many times")
  func sharedTurns() async throws {
    let log = LogLines()
    let body =
      "print('working', flush=True)\nwhile not os.path.exists(json.loads(event)): time.sleep(0.001)\nresult = count"
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    let gate = directory.path + "/gate"
    try await with(Self.settings(Self.python(body)), logger: log.logger) { pool async throws in
      let event = Array("\"\(gate)\"".utf8)
      let (many, alone) = (NSObject(), NSObject())
      let callers = [many, many, many, many, alone, many, alone].map { ObjectIdentifier($0) }
      var tasks: [Task<[UInt8], any Error>] = []
      for (place, caller) in callers.enumerated() {
        tasks.append(Task { try await pool.invoke("id-1", for: caller) { $0.append(contentsOf: event) } })
        if place == 0 { _ = await log.first { $0 == "working" } }
        try await until(waiting: place, pool)
      }
      try Data().write(to: URL(filePath: gate))
      var order: [String] = []
      for task in tasks { order.append(String(decoding: try await task.value, as: UTF8.self)) }
      #expect(order == ["1", "2", "4", "6", "3", "7", "5"])
    }
  }

  @Test("provisioned environments are there before the first invocation and come back")
  func provisioned() async throws {
    let log = LogLines()
    let body =
      "print('pid', os.getpid(), flush=True)\nif json.loads(event) == 'exit': os._exit(1)\nresult = os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']"
    let settings = Self.settings(Self.python(body, setup: "print('up', os.getpid(), flush=True)")) {
      $0.concurrency = 2
      $0.provisioned = 2
      $0.idleTime = .milliseconds(1)
    }
    try await with(settings, logger: log.logger) { pool async throws in
      let first = await log.first { $0.hasPrefix("up ") }
      _ = await log.first { $0.hasPrefix("up ") }
      #expect(try await invoke(pool) == #""provisioned-concurrency""#)
      #expect(try await failure(pool, #""exit""#).kind == .exited)
      _ = await log.first { $0.hasPrefix("up ") }
      // One that nobody uses is replaced too.
      let pid = try #require(Int32(first.dropFirst(3)))
      if kill(pid, SIGKILL) == 0 { _ = await log.first { $0.hasPrefix("up ") } }
      #expect(try await invoke(pool) == #""provisioned-concurrency""#)
    }
  }

  @Test("an environment that nobody needs is ended after its idle time")
  func idle() async throws {
    let log = LogLines()
    let setup = """
      def ended(*arguments): print('told to end', flush=True); os._exit(0)
      signal.signal(signal.SIGTERM, ended)
      """
    let settings = Self.settings(Self.python("result = count", setup: setup)) { $0.idleTime = .milliseconds(20) }
    try await with(settings, logger: log.logger) { pool async throws in
      #expect(try await invoke(pool) == "1")
      #expect(await log.first { $0 == "told to end" } == "told to end")
      #expect(try await invoke(pool) == "1")
      #expect(pool.statistics.snapshot.starts == 2)
    }
  }

  @Test("a pool that is shut down leaves no process and takes no call; twice is fine")
  func shutdown() async throws {
    let pool = FunctionPool(Self.settings(Self.python("result = os.getpid()")), logger: .silent)
    let pid = try #require(Int32(try await invoke(pool)))
    await pool.shutdown()
    await pool.shutdown()
    #expect(kill(pid, 0) == -1)
    #expect(try await failure(pool).kind == .unavailable)
    #expect(pool.environmentCount == 0)
  }

  // MARK: Logs

  @Test("START, END and REPORT stand around the lines of an invocation, with its id")
  func logs() async throws {
    let log = LogLines()
    let settings = Self.settings(
      Self.python("print('hello', flush=True)\nresult = 1", setup: "print('loading', flush=True)"))
    try await with(settings, logger: log.logger) { pool async throws in
      _ = try await invoke(pool, id: "one")
      _ = await log.first { $0.hasPrefix("REPORT ") }
      _ = try await invoke(pool, id: "two")
      _ = await log.first { $0.hasPrefix("REPORT ") }
    }
    let lines = log.lines
    try #require(lines.count == 9)
    #expect(lines[0] == "loading")
    #expect(lines[1] == "START RequestId: one Version: $LATEST")
    #expect(lines[2] == "hello")
    #expect(lines[3] == "END RequestId: one")
    let report =
      /REPORT RequestId: (one|two)\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\t(Init Duration: \d+\.\d\d ms\t)?/
    #expect(try report.wholeMatch(in: lines[4])?.2 != nil)
    // Only the first invocation of an environment has waited for it.
    let second = try #require(try report.wholeMatch(in: lines[8]))
    #expect(second.2 == nil)
  }

  @Test("in JSON the lines are objects")
  func jsonLogs() async throws {
    let log = LogLines()
    let settings = Self.settings(Self.python("result = 1")) { $0.logFormat = .json }
    try await with(settings, logger: log.logger) { pool async throws in
      _ = try await invoke(pool, id: "one")
      _ = await log.first { $0.contains("platform.report") }
    }
    let objects = try log.lines.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(objects.map { $0["type"] as? String } == ["platform.start", "platform.report"])
    let record = try #require(objects[1]["record"] as? [String: Any])
    #expect(record["requestId"] as? String == "one")
    #expect(record["status"] as? String == "success")
    let metrics = try #require(record["metrics"] as? [String: Any])
    #expect(
      Set(metrics.keys) == ["durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"])
  }

  // MARK: Batches

  @Test("a batch is an event and item failures say where it failed")
  func batches() async throws {
    let body = """
      records = json.loads(event)['Records']
      kind = records[0]['kinesis']['partitionKey']
      if kind == 'partial': result = {'batchItemFailures': [{'itemIdentifier': records[1]['kinesis']['sequenceNumber']}]}
      if kind == 'fine': result = {'errorType': 'not an error'}
      if kind == 'text': call('POST', '/invocation/%s/response' % id, 'well, done')
      """
    try await with(Self.settings(Self.python(body))) { pool async throws in
      let handler = FunctionHandler(pool: pool, reportsItemFailures: true)
      let partial = batch([Sample(key: "partial", data: [1]), Sample(key: "b", data: [2])])
      #expect(try await handler.handle(partial) == .failed(at: partial.sequenceNumber(at: 1)))
      #expect(try await handler.handle(batch([Sample(key: "fine", data: [1])])) == .succeeded)
      do {
        _ = try await handler.handle(batch([Sample(key: "text", data: [1])]))
        Issue.record("it succeeded")
      } catch let failure as HandlerFailure {
        #expect(failure.kind == .invalidResponse)
      }
      // Where nobody asked for item failures, a response means nothing.
      let plain = FunctionHandler(pool: pool)
      #expect(try await plain.handle(partial) == .succeeded)
      #expect(try await plain.handle(batch([Sample(key: "text", data: [1])])) == .succeeded)
    }
  }

  /// Waits on a thread of its own until nobody holds the pipe open any more; true if nothing was written.
  private func endOfPipe(_ path: String) async -> Bool {
    await withCheckedContinuation { continuation in
      Thread {
        let all = try? FileHandle(forReadingFrom: URL(filePath: path)).readToEnd()
        continuation.resume(returning: all?.isEmpty ?? true)
      }.start()
    }
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
}
