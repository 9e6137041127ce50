import Foundation
import Sluice
import Testing

/// The real program with a handler in another process makes exactly the invocations that the plan of its configuration
/// says.
@Suite("Plans and what becomes of them", .timeLimit(.minutes(10)))
struct PlanTests {
  /// What is read of `sluice plan --format json`.
  private struct Answer: Decodable {
    struct Step: Decodable {
      var step: String
      var records: String
      var attempt: Int?
      var condition: String?
    }
    var steps: [Step]
    var deliveries: [Int]
  }

  struct Case: CustomTestStringConvertible {
    var testDescription: String
    /// What the handler does with records `f`: each fails so often.
    var verdict: String
    var times: Int
    var failing: [Int]
    var options: [String]
    var rules: [String]
  }

  static let cases = [
    Case(
      testDescription: "bisecting, two poisoned records", verdict: "raise", times: 1_000, failing: [3, 7],
      options: ["--fail", "3,7"], rules: ["BisectBatchOnFunctionError: true", "MaximumRetryAttempts: 1"]),
    Case(
      testDescription: "item failures that pass", verdict: "report", times: 2, failing: [2, 6],
      options: ["--fail", "2,6", "--fail-as", "report", "--until", "success-after", "2"],
      rules: ["MaximumRetryAttempts: 3"]),
    Case(
      testDescription: "item failures and bisecting", verdict: "report", times: 1_000, failing: [4],
      options: ["--fail", "4:report"], rules: ["BisectBatchOnFunctionError: true", "MaximumRetryAttempts: 1"]),
    Case(
      testDescription: "every item failure", verdict: "every", times: 1_000, failing: [2, 4, 5],
      options: ["--fail", "2,4-5:report"],
      rules: ["idempotency: { key: record, itemFailures: every }", "MaximumRetryAttempts: 1"]),
    Case(
      testDescription: "every item failure, some of which pass", verdict: "every", times: 2, failing: [2, 4, 8],
      options: ["--fail", "2,4,8:report:2"],
      rules: ["idempotency: { key: record, itemFailures: every }", "MaximumRetryAttempts: 3"]),
    Case(
      testDescription: "whole batches", verdict: "raise", times: 1_000, failing: [5], options: ["--fail", "5:Invalid"],
      rules: ["MaximumRetryAttempts: 2"]),
    Case(
      testDescription: "a rule that gives up, isolated", verdict: "raise", times: 1_000, failing: [5],
      options: ["--fail", "5:Invalid"],
      rules: [
        "BisectBatchOnFunctionError: true", #"retryRules: [{ when: { errorType: Invalid }, then: give-up }]"#,
      ]),
    Case(
      testDescription: "a rule that does not count", verdict: "raise", times: 3, failing: [2],
      options: ["--fail", "2:Invalid:3"],
      rules: [
        "MaximumRetryAttempts: 0", "BisectBatchOnFunctionError: true",
        #"retryRules: [{ when: { errorType: Inv* }, then: retry, counts: false, backoff: 20ms }]"#,
      ]),
  ]

  private static let handler = """
    import base64, json, sys

    left = {}
    for line in sys.stdin:
        records = [record["kinesis"] for record in json.loads(line)["Records"]]
        texts = [base64.b64decode(record["data"]).decode() for record in records]
        with open("invocations", "a") as notes: notes.write(" ".join(text.strip("f") for text in texts) + "\\n")
        answer, named = {}, []
        for record, text in zip(records, texts):
            if text[0] != "f" or left.setdefault(text, int(sys.argv[2])) == 0: continue
            left[text] -= 1
            if sys.argv[1] == "every":
                named.append({"itemIdentifier": record["sequenceNumber"]})
                continue
            if sys.argv[1] == "report":
                answer = {"batchItemFailures": [{"itemIdentifier": record["sequenceNumber"]}]}
            else:
                answer = {"errorType": "Invalid", "errorMessage": "told to"}
            break
        if named: answer = {"batchItemFailures": named}
        print(json.dumps(answer), flush=True)

    """

  @Test("the program does what its plan says", arguments: cases)
  func asPlanned(example: Case) async throws {
    var setup = Setup {
      $0.command = #"["python3", "planned.py", "\#(example.verdict)", "\#(example.times)"]"#
      $0.batchSize = 6
      $0.rules = example.rules.filter { !$0.hasPrefix("MaximumRetryAttempts") }
    }
    let retries = example.rules.first { $0.hasPrefix("MaximumRetryAttempts") }?.split(separator: " ").last
    setup.retries = retries.flatMap { Int($0) } ?? -1
    try await Workplace.with(setup) { [setup] place in
      try place.write(Self.handler, to: "planned.py")
      let ended = try await place.sluice(
        ["plan", "--config", "sluice.yaml", "--records", "9", "--format", "json"] + example.options)
      let plan = try JSONDecoder().decode(Answer.self, from: Data(ended.output.utf8))
      _ = try await place.start().drain()
      let texts = (1...9).map { example.failing.contains($0) ? "f\($0)" : "\($0)" }
      try place.write(texts.map { $0 + "\n" }.joined(), to: "lines")
      #expect(try await place.sluice("put", "numbers", "lines", "--partition-key", "k").code == 0)
      let worker = try await place.start()
      try await place.isDrained()
      let failures = try await place.ask([FailureReport].self, "failures", "list")
      #expect(await worker.drain() == 0)
      let text = try String(contentsOf: place.folder.appending(path: "invocations"), encoding: .utf8)
      let made = text.split(separator: "\n").map(String.init)
      let planned = plan.steps.filter { $0.step == "invocation" }.map { Self.numbers($0.records) }
      #expect(made == planned, "\(setup.yaml)")
      let leaving = plan.steps.filter { $0.step == "departure" }
      #expect(failures.map(\.condition) == leaving.map(\.condition))
      #expect(failures.map(\.records) == leaving.map { Self.numbers($0.records).split(separator: " ").count })
      for number in 1...9 {
        #expect(made.count { $0.split(separator: " ").contains("\(number)") } == plan.deliveries[number - 1])
      }
    }
  }

  /// `1-3,5` as `1 2 3 5`.
  private static func numbers(_ text: String) -> String {
    text.split(separator: ",").flatMap { part -> [Int] in
      let ends = part.split(separator: "-").compactMap { Int($0) }
      return Array((ends.first ?? 0)...(ends.last ?? 0))
    }.map(String.init).joined(separator: " ")
  }

  @Test("a plan can begin where a lane stands: its attempts are used up, and what waits behind is part of it")
  func ofLane() async throws {
    let setup = Setup {
      $0.command = #"["python3", "planned.py", "raise", "1000"]"#
      $0.batchSize = 2
      $0.retries = 6
    }
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "planned.py")
      let worker = try await place.start()
      try place.write("1\nf2\n3\n4\n", to: "lines")
      #expect(try await place.sluice("put", "numbers", "lines", "--partition-key", "k").code == 0)
      _ = try await eventually("a second attempt has failed") {
        try await place.lanes().contains { $0.attemptsMade >= 2 } ? true : nil
      }
      #expect(await worker.drain() == 0)
      let lane = try #require(try await place.ask([LaneReport].self, "explain", "numbers-note").first)
      let outlook = try #require(lane.outlook)
      let plan = try await place.ask(Answer.self, "plan", "numbers-note")
      let leaving = try #require(plan.steps.firstIndex { $0.step == "departure" })
      #expect(plan.steps[0].attempt == lane.attemptsMade + 1 && plan.steps[0].records == "1-2")
      #expect(plan.steps[leaving].condition == "RetryAttemptsExhausted")
      #expect(leaving == outlook.deliveries)
      #expect(plan.steps[(leaving + 1)...].map(\.records) == ["3-4"])
      // Another handler: it succeeds next time.
      let passes = try await place.ask(Answer.self, "plan", "numbers-note", "--until", "success-after", "1")
      #expect(passes.steps.count == 3)
      let text = try await place.sluice("plan", "numbers-note", "--shard", "0").output
      #expect(text.contains("record 1 goes on to fail as it last did (error)"), "\(text)")
      for (options, code, words) in [
        (["nobody"], 65, "There is no mapping nobody. There are: numbers-note."),
        (["numbers-note", "--shard", "9"], 65, "has no shard 9"),
        (["numbers-note", "--config", "sluice.yaml"], 64, "and not both"), ([], 64, "Give a MAPPING"),
        (["numbers-note", "--fail", "9"], 64, "there are records 1 to 4"),
      ] as [([String], Int32, String)] {
        let refused = try await place.sluice(["plan"] + options)
        #expect(refused.code == code && refused.errors.contains(words), "\(options): \(refused)")
      }
    }
  }

  @Test("a plan from where a lane stands leaves out what is remembered as done")
  func ofLaneThatRemembers() async throws {
    let setup = Setup {
      $0.command = #"["python3", "planned.py", "every", "1000"]"#
      $0.batchSize = 5
      $0.retries = 6
      $0.rules = ["idempotency: { key: record, itemFailures: every }"]
    }
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "planned.py")
      let worker = try await place.start()
      try place.write("1\nf2\n3\nf4\n5\n6\nf7\n", to: "lines")
      #expect(try await place.sluice("put", "numbers", "lines", "--partition-key", "k").code == 0)
      _ = try await eventually("what failed has failed again") {
        try await place.lanes().contains { $0.attemptsMade >= 1 } ? true : nil
      }
      #expect(await worker.drain() == 0)
      let plan = try await place.ask(Answer.self, "plan", "numbers-note")
      let leaving = try #require(plan.steps.firstIndex { $0.step == "departure" })
      #expect(plan.steps[0...leaving].allSatisfy { $0.records == "1-2" })
      #expect(plan.steps[(leaving + 1)...].map(\.records) == ["3-4"])
      #expect(plan.deliveries.count == 4)
    }
  }

  @Test("a plan is printed, drawn and refused with a reason")
  func command() async throws {
    try await Workplace.with(Setup { $0.retries = 1 }) { place in
      let plan = ["plan", "--config", "sluice.yaml"]
      let printed = try await place.sluice(plan + ["--records", "3", "--fail", "2:report", "-o", "plan.svg"])
      #expect(printed.code == 0)
      for words in [
        "numbers-note: 3 records, record 2 fails", "again in 250 ms (200 ms to 300 ms)",
        "RetryAttemptsExhausted after 2 attempts", "healthy, but given up: 3",
      ] { #expect(printed.output.contains(words), "\(printed.output)") }
      let picture = try String(contentsOf: place.folder.appending(path: "plan.svg"), encoding: .utf8)
      #expect(picture.hasPrefix("<svg ") && picture.contains("reports 2") && picture.hasSuffix("</svg>\n"))
      #expect(try await place.sluice(plan + ["--fail", "2", "-o", "plan.html"]).code == 0)
      let page = try String(contentsOf: place.folder.appending(path: "plan.html"), encoding: .utf8)
      #expect(page.hasPrefix("<!doctype html>") && page.contains("<svg ") && !page.contains("http-equiv"))
      for (options, code, words) in [
        (["--fail", "0"], 64, "must be a record, counted from 1 to 10000"),
        (["--fail", "12", "--records", "3"], 64, "there are records 1 to 3"),
        (["--until", "never"], 64, "must be success-after and a number from 1"),
        (["--takes", "5"], 64, "must be a duration with a unit"),
        (["--mapping", "other"], 65, "has no mapping other; there are: numbers-note"),
        (["--output", "plan.png"], 64, "ends in .svg or .html"),
      ] as [([String], Int32, String)] {
        let refused = try await place.sluice(plan + options)
        #expect(refused.code == code && refused.errors.contains(words), "\(options): \(refused)")
      }
    }
  }
}
