import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel
import Testing

@Suite("Functions in execution environments: turns, provisioned ones, idle ones", .timeLimit(.minutes(10)))
struct FunctionTurnTests: FunctionPoolTesting {
  /// Says that it works, and waits at the gate that its event names.
  private static let waitsAtGate =
    "print('working', flush=True)\ngate = json.loads(event)\n\(Gate.wait)\nresult = count"

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
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    let gate = try Gate(in: directory)
    defer { gate.remove() }
    try await with(Self.settings(Self.python(Self.waitsAtGate)), logger: log.logger) { pool async throws in
      let event = "\"\(gate.path)\""
      let first = Task { try await invoke(pool, event) }
      _ = await log.first { $0 == "working" }
      var waiting: [Task<String, any Error>] = []
      for place in 1...3 {
        waiting.append(Task { try await invoke(pool, event) })
        try await until(waiting: place, pool)
      }
      try gate.open(for: 4)
      #expect(try await first.value == "1")
      for (place, task) in waiting.enumerated() { #expect(try await task.value == "\(place + 2)") }
    }
  }

  @Test("one who waits alone is not kept waiting by another who waits many times")
  func sharedTurns() async throws {
    let log = LogLines()
    let directory = try temporaryDirectory()
    defer { remove(directory) }
    let gate = try Gate(in: directory)
    defer { gate.remove() }
    try await with(Self.settings(Self.python(Self.waitsAtGate)), logger: log.logger) { pool async throws in
      let event = Array("\"\(gate.path)\"".utf8)
      let (many, alone) = (NSObject(), NSObject())
      let callers = [many, many, many, many, alone, many, alone].map { ObjectIdentifier($0) }
      var tasks: [Task<[UInt8], any Error>] = []
      for (place, caller) in callers.enumerated() {
        tasks.append(Task { try await pool.invoke("id-1", for: caller) { $0.append(contentsOf: event) } })
        if place == 0 { _ = await log.first { $0 == "working" } }
        try await until(waiting: place, pool)
      }
      try gate.open(for: callers.count)
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

  @Test("environments that are prepared are initialized before the first invocation, as many as may be at once")
  func prepared() async throws {
    let settings = Self.settings(Self.python("result = os.getpid()")) { $0.concurrency = 3 }
    try await with(settings) { pool async throws in
      await pool.prepare(1)
      #expect(pool.statistics.snapshot.inits.count == 1)
      await pool.prepare(10)
      #expect(pool.environmentCount == 3)
      #expect(pool.statistics.snapshot.inits.count == 3)
      for _ in 0..<4 { _ = try await invoke(pool) }
      #expect(pool.statistics.snapshot.starts == 3)
    }
  }

  @Test("what cannot be initialized is tried once ahead, and the invocation tells why")
  func preparedInVain() async throws {
    let settings = Self.settings(Self.python("result = 1", setup: "os._exit(7)")) { $0.concurrency = 3 }
    try await with(settings) { pool async throws in
      await pool.prepare(3)
      #expect(pool.environmentCount == 0)
      #expect(pool.statistics.snapshot.starts == 1)
      #expect(try await failure(pool).kind == .exited)
    }
    try await with(Self.settings(HandlerCommand(["/nonexistent/command"]))) { pool async throws in
      await pool.prepare(3)
      #expect(try await failure(pool).kind == .unavailable)
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
    try await with(settings, limits: { $0.shutdownGrace = .seconds(600) }, logger: log.logger) { pool async throws in
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
}
