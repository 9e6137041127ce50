import Foundation
import Testing

/// The metrics of AWS, each with its meaning, at the port of the real program.
@Suite("Metrics of a mapping", .timeLimit(.minutes(10)))
struct MetricsTests {
  /// Fails as the records say: `raise` raises, `report` reports that record, `exit` ends the process.
  private static let handler = """
    import base64, json, os, sys

    for line in sys.stdin:
        records = [record["kinesis"] for record in json.loads(line)["Records"]]
        texts = [base64.b64decode(record["data"]).decode() for record in records]
        answer = {}
        if "exit" in texts: os._exit(3)
        if "raise" in texts: answer = {"errorType": "E", "errorMessage": "told to"}
        if "report" in texts:
            answer = {"batchItemFailures": [{"itemIdentifier": records[texts.index("report")]["sequenceNumber"]}]}
        print(json.dumps(answer), flush=True)

    """

  private static func setup(_ rules: String...) -> Setup {
    Setup {
      $0.command = #"["python3", "metrics.py"]"#
      $0.retries = 1
      $0.recordLimit = "10MiB"
      $0.rules = rules
    }
  }

  /// What a metric of the mapping shows; `nil` if it is not there.
  private static func value(_ name: String, in text: String) -> Double? {
    text.split(separator: "\n").first { $0.hasPrefix("\(name){mapping=\"numbers-note\"} ") }?
      .split(separator: " ").last.flatMap { Double($0) }
  }

  struct Case: CustomTestStringConvertible {
    var texts: [String]
    var values: [String: Double]

    var testDescription: String { texts.joined(separator: " ") }
  }

  @Test(
    "each metric counts what AWS says it counts",
    arguments: [
      Case(
        texts: ["a", "b", "c"],
        values: [
          "PolledEventCount": 3, "InvokedEventCount": 3, "FailedInvokeEventCount": 0, "Invocations": 1, "Errors": 0,
        ]),
      // Two calls that raise.
      Case(
        texts: ["a", "raise", "c"],
        values: [
          "PolledEventCount": 3, "InvokedEventCount": 6, "FailedInvokeEventCount": 6, "Invocations": 2, "Errors": 2,
          "OnFailureDestinationDeliveredEventCount": 3,
        ]),
      Case(
        texts: ["exit"],
        values: [
          "PolledEventCount": 1, "InvokedEventCount": 2, "FailedInvokeEventCount": 2, "Invocations": 2, "Errors": 2,
          "OnFailureDestinationDeliveredEventCount": 1,
        ]),
      // An event that is too large is never sent, and fails as often as it would be.
      Case(
        texts: ["a", "big", "c"],
        values: [
          "PolledEventCount": 3, "InvokedEventCount": 2, "FailedInvokeEventCount": 2, "Invocations": 2, "Errors": 0,
          "OnFailureDestinationDeliveredEventCount": 1,
        ]),
      // [a report c d] reports the second: three failed. [report c d] reports its first, twice: three each time.
      Case(
        texts: ["a", "report", "c", "d"],
        values: [
          "PolledEventCount": 4, "InvokedEventCount": 10, "FailedInvokeEventCount": 9, "Invocations": 3, "Errors": 0,
          "OnFailureDestinationDeliveredEventCount": 3,
        ]),
    ])
  func counts(example: Case) async throws {
    try await Workplace.with(Self.setup()) { place in
      try place.write(Self.handler, to: "metrics.py")
      _ = try await place.start().drain()
      let lines = example.texts.map { ($0 == "big" ? String(repeating: "x", count: 5 << 20) : $0) + "\n" }
      try place.write(lines.joined(), to: "lines")
      _ = try await place.sluice("put", "numbers", "lines", "--partition-key", "k")
      let worker = try await place.start()
      try await place.isDrained()
      let text = try await worker.get("/metrics").text
      let always = [
        "FilteredOutEventCount": 0.0, "DroppedEventCount": 0, "DestinationDeliveryFailures": 0, "LostEventCount": 0,
        "Throttles": 0, "ConcurrentExecutions": 0, "OnFailureDestinationDeliveredEventCount": 0,
        "IteratorAge_count": example.values["Invocations"] ?? 0,
        "Duration_seconds_count": example.values["Invocations"] ?? 0,
      ]
      for (name, expected) in always.merging(example.values, uniquingKeysWith: { $1 }) {
        #expect(Self.value(name, in: text) == expected, "\(name)")
      }
      #expect(!text.contains("DeletedEventCount") && !text.contains("OffsetLag"))
    }
  }

  @Test("an empty MetricsConfig leaves the counters of records out, and nothing else")
  func withoutEventCount() async throws {
    try await Workplace.with(Self.setup("MetricsConfig: { Metrics: [] }")) { place in
      try place.write(Self.handler, to: "metrics.py")
      let worker = try await place.start()
      try await place.put("a")
      try await place.isDrained()
      let text = try await worker.get("/metrics").text
      for name in [
        "PolledEventCount", "FilteredOutEventCount", "InvokedEventCount", "FailedInvokeEventCount", "DroppedEventCount",
        "OnFailureDestinationDeliveredEventCount",
      ] { #expect(!text.contains(name)) }
      #expect(Self.value("Invocations", in: text) == 1)
      #expect(Self.value("LostEventCount", in: text) == 0)
    }
  }
}
