import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel
import Testing

@Suite("The Runtime API", .timeLimit(.minutes(10)))
struct RuntimeAPITests: FunctionPoolTesting {
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
      #expect(left > 100_000 && left <= 600_000)
      let trace = try #require(head["Lambda-Runtime-Trace-Id"])
      #expect(
        trace.wholeMatch(of: /Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=[0-9a-f]{8}:1/)
          != nil)
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

  @Test("an error may come with a cause as long as the clients of AWS make it")
  func longCause() async throws {
    let body = """
      cause = {'Lambda-Runtime-Function-Error-Type': 'E', 'Lambda-Runtime-Function-XRay-Error-Cause': 'x' * ((1 << 20) - 1)}
      status = call('POST', '/invocation/%s/error' % id, '{"errorType":"E","errorMessage":"m"}', cause)[0]
      print('status', status, flush=True)
      """
    let log = LogLines()
    try await with(Self.settings(Self.python(body)), logger: log.logger) { pool async throws in
      let failure = try await failure(pool)
      #expect((failure.kind, failure.type, failure.message) == (.error, "E", "m"))
      #expect(await log.first { $0.hasPrefix("status") } == "status 202")
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
    // When both are there each answers the other one's invocation.
    let gate = try Gate(in: directory)
    defer { gate.remove() }
    let folder = directory.appending(path: "here")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    let log = LogLines()
    let body = """
      mine = os.environ['AWS_LAMBDA_RUNTIME_API']
      open('%s/%s %s' % ('\(folder.path)', mine, id), 'w').close()
      print('here', flush=True)
      gate = '\(gate.path)'; \(Gate.wait)
      theirs = [name.split(' ') for name in os.listdir('\(folder.path)') if not name.startswith(mine)][0]
      replies = [call('POST', '/invocation/%s/response' % theirs[1], '"stolen"')[0]]
      result = [mine != theirs[0], replies]
      """
    try await with(Self.settings(Self.python(body)) { $0.concurrency = 2 }, logger: log.logger) { pool async throws in
      async let first = invoke(pool, id: "one")
      async let second = invoke(pool, id: "two")
      for _ in 0..<2 { #expect(await log.first { $0 == "here" } == "here") }
      try gate.open(for: 2)
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
}
