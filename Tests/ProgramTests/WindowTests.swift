import Foundation
import Sluice
import Testing

/// Tumbling windows, invocation by invocation, on the real program with a handler in another process.
///
/// Windows are a second long. What a story puts at once may stand in two of them, so stories look at what each window
/// was handed, and not at where it began.
@Suite("Tumbling windows", .timeLimit(.minutes(10)))
struct WindowTests {
  /// Sums the numbers of each window, and notes each invocation as a line of JSON. `forget` is answered without a state
  /// the first time, `grow` with one of more than 1 MB, `bad` is reported as failed the first time; with `fail` as its
  /// argument it raises in final invocations.
  private static let handler = #"""
    import base64, json, os, sys

    failed = False
    for line in sys.stdin:
        event = json.loads(line)
        texts = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
        state = event["state"]
        note = {key: event[key] for key in event if key not in ("Records", "state")}
        note |= {"texts": texts, "sum": state.get("sum"), "stateBytes": len(json.dumps(state)), "life": os.environ["LIFE"]}
        with open("invocations", "a") as notes: notes.write(json.dumps(note) + "\n")
        answer = {"state": state}
        for place, text in enumerate(texts):
            if text == "bad" and not failed:
                failed = True
                answer["batchItemFailures"] = [{"itemIdentifier": event["Records"][place]["kinesis"]["sequenceNumber"]}]
                break
            if text == "grow": state["large"] = "x" * 1048640
            if text.isdigit(): state["sum"] = state.get("sum", 0) + int(text)
        if "forget" in texts and not failed:
            failed = True
            answer = {}
        if "fail" in sys.argv and event["isFinalInvokeForWindow"]:
            answer = {"errorType": "E", "errorMessage": "told to"}
        print(json.dumps(answer), flush=True)

    """#

  private struct Invocation: Decodable {
    var texts: [String]
    var sum: Int?
    var stateBytes: Int
    var life: String
    var shardId: String
    var eventSourceARN: String
    var window: Bounds
    var isFinalInvokeForWindow: Bool
    var isWindowTerminatedEarly: Bool

    struct Bounds: Decodable, Hashable {
      var start: String
      var end: String
    }
  }

  private static func setup(_ argument: String = "sum", retries: Int = -1) -> Setup {
    Setup {
      $0.command = #"["python3", "windows.py", "\#(argument)"]"#
      $0.retries = retries
      $0.batchSize = 2
      $0.rules = ["TumblingWindowInSeconds: 1"]
    }
  }

  @Test("each window sums its records, and an idle shard ends its window")
  func sums() async throws {
    try await Workplace.with(Self.setup()) { place in
      try place.write(Self.handler, to: "windows.py")
      _ = try await place.start()
      try await place.put("1", "2", "3", "4", "5")
      let all = try await Self.invocations(at: place, finals: 1)
      try Self.check(all, sum: 15)
      let first = try #require(all.first)
      #expect(first.shardId == "shardId-000000000000" && first.stateBytes == 2)
      #expect(first.eventSourceARN == "arn:aws:kinesis:us-east-1:000000000000:stream/numbers")
      let format = ISO8601DateFormatter()
      let bounds = try [first.window.start, first.window.end].map { try #require(format.date(from: $0)) }
      #expect(bounds[1].timeIntervalSince(bounds[0]) == 1 && abs(bounds[0].timeIntervalSinceNow) < 60)
      let lane = try #require(try await place.lanes().first)
      #expect(lane.window == nil || all.last?.window.start != nil)
    }
  }

  @Test("an invocation without a state is repeated with the same state; a partial failure hands its state on")
  func failures() async throws {
    for trouble in ["forget", "bad"] {
      try await Workplace.with(Self.setup()) { place in
        try place.write(Self.handler, to: "windows.py")
        _ = try await place.start().drain()
        try await place.put("1", "2", "3", trouble, "4")
        _ = try await place.start()
        let all = try await Self.invocations(at: place, finals: 1)
        // What was not done is not in a sum: the repeated records count once.
        let sums = all.filter(\.isFinalInvokeForWindow).map { $0.sum ?? 0 }
        #expect(sums.reduce(0, +) == 10, "\(all)")
        let repeated = trouble == "forget" ? ["3", "forget"] : ["bad"]
        #expect(all.contains { $0.texts == repeated }, "\(all)")
      }
    }
  }

  @Test("a state of more than 1 MB ends the window early, and the next invocation begins with none")
  func largeState() async throws {
    try await Workplace.with(Self.setup()) { place in
      try place.write(Self.handler, to: "windows.py")
      _ = try await place.start().drain()
      try await place.put("1", "grow", "2", "3")
      _ = try await place.start()
      let all = try await Self.invocations(at: place, finals: 2)
      let place = try #require(all.firstIndex { $0.isWindowTerminatedEarly })
      #expect(all[place].isFinalInvokeForWindow && all[place].texts.isEmpty && all[place].stateBytes > 1_048_576)
      #expect(all[place - 1].texts.contains("grow"))
      #expect(all[place + 1].stateBytes == 2 && !all[place + 1].isWindowTerminatedEarly)
    }
  }

  @Test("a final invocation that fails blocks its shard, and leaves with its state")
  func failingFinal() async throws {
    try await Workplace.with(Self.setup("fail", retries: 1)) { place in
      try place.write(Self.handler, to: "windows.py")
      let worker = try await place.start()
      try await place.put("7")
      let entry = try #require(try await place.failures().first)
      #expect(entry.records == 0 && entry.condition == "RetryAttemptsExhausted" && entry.attemptsMade == 2)
      #expect(entry.window?.isFinalInvokeForWindow == true && entry.window?.state == #"{"sum": 7}"#)
      #expect(entry.attempts.map(\.message) == ["told to", "told to"], "\(entry.attempts)")
      #expect(Set(entry.attempts.map(\.requestID)).count == 1 && entry.attempts.allSatisfy { $0.batch?.records == 0 })
      let all = try Self.invocations(at: place)
      #expect(all.map(\.isFinalInvokeForWindow) == [false, true, true] && all.map(\.sum) == [nil, 7, 7])
      let redrive = try await place.sluice("failures", "redrive", "--yes")
      #expect(redrive.code == 65 && redrive.errors.contains("is of a tumbling window that is over"), "\(redrive)")
      #expect(redrive.errors.contains("sluice put numbers"), "\(redrive)")
      #expect(await worker.drain() == 0)
      #expect(try await place.sluice("check-store", place.data.path).code == 0)
    }
  }

  @Test("a worker that is killed in a window is followed by one that goes on with the state")
  func killed() async throws {
    let setup = Setup {
      $0.command = #"["python3", "windows.py", "sum"]"#
      $0.batchSize = 1
      $0.rules = ["TumblingWindowInSeconds: 900"]
    }
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "windows.py")
      let worker = try await place.start(life: 1)
      try await place.put("1", "2", "3")
      let lane = try await eventually("the window is stored") {
        try await place.lanes().first { $0.backlogRecords == 0 && $0.window != nil }
      }
      let window = try #require(lane.window)
      #expect(window.end - window.start == 900_000 && window.closesAt > window.end && window.stateBytes == 10)
      let text = try await place.sluice("explain", "numbers-note").output
      #expect(text.contains("3 records, state of 10 bytes"), "\(text)")
      #expect(window.records == 3)
      let status = try await place.sluice("status").output
      #expect(status.contains("3 records, state 10 B") && status.contains("since "), "\(status)")
      await worker.kill()
      let left = try await place.sluice("explain", "numbers-note").output
      #expect(left.contains("All records are delivered; the end of its window is not."), "\(left)")
      let plan = try await place.sluice("plan", "numbers-note")
      #expect(plan.code == 65 && plan.errors.contains("only the end of its window"), "\(plan)")
      _ = try await place.start(life: 2)
      try await place.put("4")
      let all = try await eventually("the next record is delivered") {
        let all = try Self.invocations(at: place)
        return all.contains { $0.life == "2" && $0.texts == ["4"] } ? all : nil
      }
      let last = try #require(all.last)
      // The quarter of an hour may just have turned.
      #expect(last.window.start != all.first?.window.start || last.sum == 6, "\(all)")
    }
  }

  @Test("AWS's combinations are refused with its words")
  func refused() async throws {
    for (rule, words) in [
      (
        "ParallelizationFactor: 2",
        "Parallelization factor must be equal to 1 when tumbling window period is configured"
      ),
      (#"FilterCriteria: { Filters: [{ Pattern: '{"data":{"a":[1]}}' }] }"#, "Filter criteria is not supported"),
    ] {
      var setup = Self.setup()
      setup.rules.append(rule)
      try await Workplace.with(setup) { place in
        let ended = try await place.sluice("check", "sluice.yaml")
        #expect(ended.code != 0 && "\(ended)".contains(words), "\(ended)")
      }
    }
  }

  /// In every window each invocation gets the sum so far, the final one comes once and last, and the finals together
  /// have all of it.
  private static func check(_ all: [Invocation], sum: Int) throws {
    var left = all[...]
    var total = 0
    while let first = left.first {
      let window = left.prefix { $0.window == first.window }
      left = left.dropFirst(window.count)
      var sum = 0
      for invocation in window {
        #expect((invocation.sum ?? 0) == sum, "\(all)")
        sum += invocation.texts.compactMap { Int($0) }.reduce(0, +)
      }
      #expect(window.map(\.isFinalInvokeForWindow) == Array(repeating: false, count: window.count - 1) + [true])
      total += window.last?.sum ?? 0
    }
    #expect(total == sum, "\(all)")
  }

  private static func invocations(at place: Workplace) throws -> [Invocation] {
    let text = try String(contentsOf: place.folder.appending(path: "invocations"), encoding: .utf8)
    return try text.split(separator: "\n").map { try JSONDecoder().decode(Invocation.self, from: Data($0.utf8)) }
  }

  /// What was invoked when nothing is left to deliver, no window is open, and there were so many final invocations.
  private static func invocations(at place: Workplace, finals: Int) async throws -> [Invocation] {
    _ = try await eventually("the last window is over") {
      guard let lane = try await place.lanes().first, lane.backlogRecords == 0, lane.window == nil,
        FileManager.default.fileExists(atPath: place.folder.appending(path: "invocations").path)
      else { return nil as Bool? }
      return try invocations(at: place).count(where: \.isFinalInvokeForWindow) >= finals ? true : nil
    }
    return try invocations(at: place)
  }
}
