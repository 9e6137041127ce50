import Foundation
import Sluice
import Testing

/// The rules of a mapping, invocation by invocation, on the real program with a handler in another process.
@Suite("Rules of a mapping", .timeLimit(.minutes(10)))
struct MappingRuleTests {
  /// Notes the data of each invocation as a line of `invocations`. A batch with `bad` in it fails: with `report` as its
  /// argument the handler names that record, otherwise it raises.
  private static let handler = """
    import base64, json, sys

    for line in sys.stdin:
        records = [record["kinesis"] for record in json.loads(line)["Records"]]
        texts = [base64.b64decode(record["data"]).decode() for record in records]
        with open("invocations", "a") as notes: notes.write(" ".join(texts) + "\\n")
        answer = {}
        if "bad" in texts and sys.argv[1] == "report":
            number = records[texts.index("bad")]["sequenceNumber"]
            answer = {"batchItemFailures": [{"itemIdentifier": number}]}
        elif "bad" in texts:
            answer = {"errorType": "E", "errorMessage": "told to"}
        print(json.dumps(answer), flush=True)

    """

  struct Case: CustomTestStringConvertible {
    var verdict: String
    var bisects: Bool
    var retries: Int
    var invocations: [String]
    /// The records of the failure entry.
    var givenUp: [String]

    var testDescription: String { "\(verdict), \(bisects ? "bisecting" : "whole"), \(retries) retries" }
  }

  static let cases = [
    Case(verdict: "raise", bisects: false, retries: 0, invocations: ["a bad c d"], givenUp: ["a", "bad", "c", "d"]),
    Case(
      verdict: "raise", bisects: false, retries: 1, invocations: ["a bad c d", "a bad c d"],
      givenUp: ["a", "bad", "c", "d"]),
    Case(
      verdict: "raise", bisects: true, retries: 0, invocations: ["a bad c d", "a bad", "a", "bad", "c d"],
      givenUp: ["bad"]),
    Case(
      verdict: "raise", bisects: true, retries: 1, invocations: ["a bad c d", "a bad", "a", "bad", "bad", "c d"],
      givenUp: ["bad"]),
    Case(
      verdict: "report", bisects: false, retries: 1, invocations: ["a bad c d", "bad c d", "bad c d"],
      givenUp: ["bad", "c", "d"]),
    Case(
      verdict: "report", bisects: true, retries: 1, invocations: ["a bad c d", "bad c d", "bad", "bad", "c d"],
      givenUp: ["bad"]),
  ]

  @Test("four records of which the second fails", arguments: cases)
  func secondOfFour(example: Case) async throws {
    let setup = Setup {
      $0.command = #"["python3", "rules.py", "\#(example.verdict)"]"#
      $0.retries = example.retries
      $0.rules = ["BisectBatchOnFunctionError: \(example.bisects)"]
    }
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "rules.py")
      _ = try await place.start().drain()
      try await place.put("a", "bad", "c", "d")
      let worker = try await place.start()
      let entry = try #require(try await place.failures().first)
      try await place.isDrained()
      // However often a batch is read again for its retries and its halves.
      let metrics = try await worker.get("/metrics").text
      #expect(metrics.contains(#"PolledEventCount{mapping="numbers-note"} 4"# + "\n"), "\(metrics)")
      #expect(await worker.drain() == 0)
      #expect(try Self.invocations(at: place) == example.invocations)
      let detail = try await place.ask(FailureDetail.self, "failures", "show", "\(entry.entry)")
      #expect(detail.records.map(\.text) == example.givenUp)
      // The last ones are its own; those of the batches that it was cut from come before.
      let own = detail.entry.attempts.filter { $0.batch?.records == example.givenUp.count }
      #expect(own.count == example.retries + 1)
      #expect(Set(own.map(\.requestID)).count == 1)
      #expect(own.allSatisfy { $0.batch?.position == 0 })
      #expect(detail.entry.attempts.first?.batch?.records == 4)
      #expect(detail.entry.attempts.last?.batch?.records == example.givenUp.count)
      let story = try await place.sluice("explain", "numbers-note", "--record", detail.records[0].sequenceNumber).output
      #expect(story.contains("as failure entry \(entry.entry)"), "\(story)")
      #expect(story.contains("attempt \(detail.entry.attempts.count) at "), "\(story)")
    }
  }

  @Test("retry rules: what is invalid is isolated and leaves at once, what is busy uses up no attempt")
  func retryRules() async throws {
    let setup = Setup {
      $0.command = #"["python3", "moody.py"]"#
      $0.retries = 0
      $0.rules = [
        "BisectBatchOnFunctionError: true",
        #"retryRules: [{ name: bad input, when: { errorType: "Inval*" }, then: give-up }, "#
          + #"{ when: { message: "*busy*" }, then: retry, counts: false, backoff: 10ms }]"#,
      ]
    }
    let handler = """
      import base64, json, sys

      busy = 3
      for line in sys.stdin:
          texts = [base64.b64decode(record["kinesis"]["data"]).decode() for record in json.loads(line)["Records"]]
          with open("invocations", "a") as notes: notes.write(" ".join(texts) + "\\n")
          answer = {}
          if "busy" in texts and busy > 0:
              busy -= 1
              answer = {"errorType": "E", "errorMessage": "downstream is busy now"}
          elif "bad" in texts:
              answer = {"errorType": "Invalid", "errorMessage": "told to"}
          print(json.dumps(answer), flush=True)

      """
    try await Workplace.with(setup) { place in
      try place.write(handler, to: "moody.py")
      _ = try await place.start().drain()
      try await place.put("busy", "b", "bad", "d")
      let worker = try await place.start()
      let entry = try #require(try await place.failures().first)
      try await place.isDrained()
      #expect(await worker.drain() == 0)
      #expect(
        try Self.invocations(at: place)
          == Array(repeating: "busy b bad d", count: 4) + ["busy b", "bad d", "bad", "d"])
      let detail = try await place.ask(FailureDetail.self, "failures", "show", "\(entry.entry)")
      #expect(detail.entry.condition == "GivenUpByRule")
      #expect(detail.records.map(\.text) == ["bad"])
      #expect(detail.entry.attempts.map(\.rule).suffix(3) == ["bad input", "bad input", "bad input"])
      #expect(detail.entry.attempts.map(\.batch?.records) == [4, 4, 4, 4, 2, 1])
    }
  }

  @Test("item failures mean nothing where FunctionResponseTypes does not ask for them")
  func reportsNobodyAskedFor() async throws {
    let setup = Setup {
      $0.command = #"["python3", "rules.py", "report"]"#
      $0.responseTypes = "[]"
    }
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "rules.py")
      _ = try await place.start()
      try await place.put("a", "bad")
      try await place.isDrained()
      #expect(try Self.invocations(at: place) == ["a bad"])
    }
  }

  @Test("what the filter holds back is not delivered, counted, and passed by the checkpoint")
  func filtered() async throws {
    let setup = Setup {
      $0.command = #"["python3", "rules.py", "raise"]"#
      $0.rules = [#"FilterCriteria: { Filters: [{ Pattern: '{"data":{"carrier":["UA"]}}' }] }"#]
    }
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "rules.py")
      _ = try await place.start().drain()
      try await place.put(
        #"{"carrier":"UA","n":1}"#, #"{"carrier":"DL","n":2}"#, "no JSON", #"{"carrier":"UA","n":3}"#,
        #"{"carrier":"AA","n":4}"#)
      let worker = try await place.start()
      try await place.isDrained()
      #expect(try Self.invocations(at: place) == [#"{"carrier":"UA","n":1} {"carrier":"UA","n":3}"#])
      let metrics = try await worker.get("/metrics").text
      #expect(metrics.contains(#"PolledEventCount{mapping="numbers-note"} 5"#), "\(metrics)")
      #expect(metrics.contains(#"FilteredOutEventCount{mapping="numbers-note"} 3"#), "\(metrics)")
      #expect(metrics.contains(#"FilteredOutNotJSONEventCount{mapping="numbers-note"} 1"#), "\(metrics)")
      // What was not JSON is kept as an example: by the worker, and by the store when it has ended.
      let text = try await place.sluice("explain", "numbers-note").output
      #expect(
        text.contains("a character that cannot stand there, at byte 1") && text.contains("7 bytes: no JSON"), "\(text)")
      #expect(await worker.drain() == 0)
      let lanes = try await place.ask([LaneReport].self, "explain", "numbers-note")
      #expect(lanes.flatMap(\.filterExamples).map(\.preview) == ["no JSON"])
    }
  }

  private static func invocations(at place: Workplace) throws -> [String] {
    let text = try String(contentsOf: place.folder.appending(path: "invocations"), encoding: .utf8)
    return text.split(separator: "\n").map(String.init)
  }
}
