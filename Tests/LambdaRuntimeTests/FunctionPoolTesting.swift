import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel
import Testing

/// What tests of execution environments have in common: runtimes of a few lines that speak plain HTTP, in pools.
protocol FunctionPoolTesting {}

extension FunctionPoolTesting {
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
    // As the limits below: longer than any test, because on a busy machine everything takes long.
    settings.timeout = .seconds(600)
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
    limits.throttleAfter = .seconds(600)
    limits.initTimeout = .seconds(600)
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

  /// The response of a function whose timeout is short, in as many tries as a busy machine needs.
  func invokeUntilInTime(_ pool: FunctionPool, _ event: String = "{}") async throws -> String {
    while true {
      try Task.checkCancellation()
      do {
        return try await invoke(pool, event)
      } catch let failure as HandlerFailure where failure.type == "Sandbox.Timedout" {}
    }
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

  /// Waits on a thread of its own until nobody holds the pipe open any more; true if nothing was written.
  func endOfPipe(_ path: String) async -> Bool {
    await withCheckedContinuation { continuation in
      Thread {
        let all = try? FileHandle(forReadingFrom: URL(filePath: path)).readToEnd()
        continuation.resume(returning: all?.isEmpty ?? true)
      }.start()
    }
  }

  func temporaryDirectory() throws -> URL {
    let directory = FileManager.default.temporaryDirectory.appending(path: "sluice-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    return directory
  }

  func remove(_ directory: URL) {
    do {
      try FileManager.default.removeItem(at: directory)
    } catch {
      Issue.record(error)
    }
  }
}
