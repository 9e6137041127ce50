import Foundation
import LambdaRuntime
import Locks
import Logging
import StreamModel
import Testing

@Suite("Functions in execution environments: lines of the log, batches", .timeLimit(.minutes(10)))
struct FunctionPoolLogTests: FunctionPoolTesting {
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

  @Test("however much a function writes, START, END and REPORT are there; what is left out of its own lines is counted")
  func flood() async throws {
    let log = LogLines()
    let settings = Self.settings(Self.python("print('more\\n' * 500, end='', flush=True)\nresult = 1"))
    try await with(settings, logger: log.logger) { pool async throws in
      for number in 0..<200 { _ = try await invoke(pool, id: "id-\(number)") }
    }
    let lines = log.lines
    for word in ["START RequestId: ", "END RequestId: ", "REPORT RequestId: "] {
      #expect(lines.count { $0.hasPrefix(word) } == 200, "\(word)")
    }
    let kept = lines.count { $0 == "more" }
    let leftOut = lines.compactMap { $0.split(separator: "linesLeftOut=").dropFirst().first.flatMap { Int($0) } }
    #expect(kept + leftOut.reduce(0, +) == 100_000)
    #expect(kept < 100_000)
  }

  @Test("the end of an invocation that ended its process is in the log before who invoked goes on")
  func endOfProcess() async throws {
    let log = LogLines()
    try await with(Self.settings(Self.python("os._exit(1)")), logger: log.logger) { pool async throws in
      for number in 0..<20 {
        _ = try await failure(pool, id: "id-\(number)")
        #expect(log.lines.contains { $0.hasPrefix("REPORT RequestId: id-\(number)\t") }, "\(number)")
      }
    }
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
}
