import Foundation
import Sluice
import Testing

@Suite("Asynchronous invocation", .timeLimit(.minutes(10)))
struct AsyncInvocationTests {
  private struct Accepted: Decodable {
    var requestId: String
  }

  /// Fails as often as its event says, and counts in a file how often it was called for it.
  private static let module = """
    import os
    def handler(event, context):
        name = event["name"]
        with open(name, "a") as calls: calls.write(context.aws_request_id + "\\n")
        print("called for", name, flush=True)
        if len(open(name).readlines()) <= event["failures"]: raise ValueError("not yet")
        return {"done": name}
    """

  private static func yaml(_ settings: String) -> String {
    """
    functions:
      - { name: orders, Handler: orders.handler, Runtime: python3.11, timeout: 60s, concurrency: 2, async: { \(settings) } }

    """
  }

  private func with(_ settings: String, _ story: (Workplace) async throws -> Void) async throws {
    try await Workplace.with { place in
      try await PythonPackages.link(into: place)
      try place.write(Self.yaml(settings), to: "sluice.yaml")
      try place.write(Self.module, to: "orders.py")
      try await story(place)
    }
  }

  private func invoke(_ place: Workplace, _ name: String, failures: Int) async throws -> String {
    try place.write(#"{"name":"\#(name)","failures":\#(failures)}"#, to: "event.json")
    return try await place.ask(
      Accepted.self, "invoke", "orders", "event.json", "--config", "sluice.yaml", "--async"
    ).requestId
  }

  private func status(_ place: Workplace, _ id: String) async throws -> RecordReport {
    try await place.ask(RecordReport.self, "invoke", "orders", "--config", "sluice.yaml", "--status", id)
  }

  private func calls(_ place: Workplace, _ name: String) throws -> [String] {
    try String(contentsOf: place.folder.appending(path: name), encoding: .utf8).split(separator: "\n").map(String.init)
  }

  @Test("each event is tried again by itself, with the same request id, and what fails for good is kept")
  func retries() async throws {
    try await with("firstRetryWait: 50ms") { place in
      _ = try await place.start()
      var ids: [String] = []
      for failures in 0...3 { ids.append(try await invoke(place, "event\(failures)", failures: failures)) }
      let failed = try #require(try await place.failures().first)
      #expect(
        (failed.mapping, failed.attempts.count, failed.condition) == ("async.orders", 3, "RetryAttemptsExhausted"))
      for (failures, id) in ids.enumerated() {
        let name = "event\(failures)"
        let report = try await eventually("\(name) is done") {
          let report = try await status(place, id)
          return [.settled, .failed].contains(report.situation) ? report : nil
        }
        #expect(report.situation == (failures == 3 ? .failed : .settled))
        #expect(try calls(place, name) == Array(repeating: id, count: min(failures + 1, 3)))
      }
      let report = try await status(place, ids[3])
      #expect(report.attempts.map(\.requestID) == Array(repeating: ids[3], count: 3))
      #expect(report.attempts.allSatisfy { $0.type == "ValueError" && $0.message == "not yet" })
      #expect(report.preview?.contains("event3") == true)
    }
  }

  @Test("events and the retries that they have used survive a worker that is killed outright")
  func killed() async throws {
    try await with("firstRetryWait: 2s") { place in
      let worker = try await place.start()
      let id = try await invoke(place, "event", failures: 1)
      _ = try await worker.says("called for event")
      _ = try await eventually("its failure is stored") {
        try await status(place, id).attempts.isEmpty ? nil : true
      }
      await worker.kill()
      // Without a worker an event is stored all the same.
      let second = try await invoke(place, "second", failures: 0)
      #expect(try await status(place, second).situation == .waiting)
      _ = try await place.start()
      for id in [id, second] {
        _ = try await eventually("it is done") { try await status(place, id).situation == .settled ? true : nil }
      }
      #expect(try calls(place, "event") == [id, id])
      #expect(try calls(place, "second") == [second])
    }
  }

  /// The only document below a folder.
  private func document(in folder: String, of place: Workplace) throws -> [String: Any] {
    let root = place.folder.appending(path: "\(folder)/aws/lambda/async/orders")
    let files = try #require(FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil))
    let documents = files.compactMap { $0 as? URL }.filter { !$0.hasDirectoryPath }
    #expect(documents.count == 1)
    let object = try JSONSerialization.jsonObject(with: Data(contentsOf: try #require(documents.first)))
    return try #require(object as? [String: Any])
  }

  @Test("what came of an event goes to the destination, in Lambda's words for asynchronous invocations")
  func destinations() async throws {
    let settings =
      "MaximumRetryAttempts: 0, DestinationConfig: { OnSuccess: { Destination: ./done }, OnFailure: { Destination: ./failed } }"
    try await with(settings) { place in
      let worker = try await place.start()
      for (name, failures, condition) in [("bad", 1, "RetriesExhausted"), ("good", 0, "Success")] {
        let id = try await invoke(place, name, failures: failures)
        if failures > 0 {
          _ = try await worker.says("a failure entry was delivered")
        } else {
          _ = try await eventually("it is done") { try await status(place, id).situation == .settled ? true : nil }
        }
        let document = try document(in: failures > 0 ? "failed" : "done", of: place)
        let context = try #require(document["requestContext"] as? [String: Any])
        #expect(context["requestId"] as? String == id)
        #expect(context["condition"] as? String == condition)
        #expect(context["approximateInvokeCount"] as? Int == 1)
        #expect((document["requestPayload"] as? [String: Any])?["name"] as? String == name)
        let answer = try #require(document["responsePayload"] as? [String: Any])
        #expect(
          (failures > 0 ? answer["errorType"] : answer["done"]) as? String == (failures > 0 ? "ValueError" : "good"))
      }
    }
  }

  @Test(
    "a dead letter is the event as it was given, with its attributes, and leaves as soon as no retry can come in time")
  func deadLetter() async throws {
    // The first retry would come when the event is 61 s old.
    let settings =
      "MaximumEventAgeInSeconds: 60, firstRetryWait: 61s, DeadLetterConfig: { TargetArn: ./dead }, DestinationConfig: { OnFailure: { Destination: ./failed } }"
    try await with(settings) { place in
      let worker = try await place.start()
      let id = try await invoke(place, "bad", failures: 9)
      _ = try await worker.says("a failure entry was delivered")
      #expect(try calls(place, "bad") == [id])
      let context = try #require(try document(in: "failed", of: place)["requestContext"] as? [String: Any])
      #expect(context["condition"] as? String == "EventAgeExceeded")
      #expect(context["approximateInvokeCount"] as? Int == 1)
      let root = place.folder.appending(path: "dead/aws/lambda/dead-letter/orders")
      let found = try #require(FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil))
      let files = found.compactMap { $0 as? URL }.filter { !$0.hasDirectoryPath }.sorted { $0.path < $1.path }
      try #require(files.count == 2)
      #expect(try String(contentsOf: files[0], encoding: .utf8) == #"{"name":"bad","failures":9}"#)
      #expect(files[1].path == files[0].path + ".attributes.json")
      let attributes = try JSONSerialization.jsonObject(with: Data(contentsOf: files[1])) as? [String: Any]
      #expect(attributes?["RequestID"] as? String == id)
      #expect(attributes?["ErrorCode"] as? Int == 200)
      #expect(attributes?["ErrorMessage"] as? String == "not yet")
    }
  }

  @Test("a destination that takes no result is told in the log and counted, and the event is done")
  func lostResult() async throws {
    try await with("DestinationConfig: { OnSuccess: { Destination: ./missing/done } }") { place in
      let worker = try await place.start()
      let id = try await invoke(place, "event", failures: 0)
      #expect(try await worker.says("what a function returned was not delivered").contains(id))
      _ = try await eventually("it is done") { try await status(place, id).situation == .settled ? true : nil }
      #expect(try calls(place, "event") == [id])
      let metrics = try await worker.get("/metrics").text
      #expect(
        metrics.split(separator: "\n").contains {
          $0.contains("async.orders") && $0.lowercased().contains("destination") && $0.hasSuffix(" 1")
        }, "\(metrics)")
    }
  }

  @Test("what cannot be taken is refused, and says what to do")
  func refused() async throws {
    try await with("") { place in
      try place.write("{}", to: "event.json")
      let early = try await place.sluice("invoke", "orders", "event.json", "--config", "sluice.yaml", "--async")
      #expect(early.code != 0 && early.errors.contains("there is no store"), "\(early)")
      _ = try await place.start()
      let unknown = try await place.sluice("invoke", "orders", "--config", "sluice.yaml", "--status", "nobody")
      #expect(unknown.code != 0 && unknown.errors.contains("has no event with request id nobody"), "\(unknown)")
      try place.write(#"{"text":"\#(String(repeating: "x", count: 1_048_576))"}"#, to: "large.json")
      let large = try await place.sluice("invoke", "orders", "large.json", "--config", "sluice.yaml", "--async")
      #expect(large.code != 0 && large.errors.contains("is too large for the Event invocation type"), "\(large)")
      try place.write(
        "functions: [{ name: orders, Handler: orders.handler, Runtime: python3.11 }]", to: "other.yaml")
      let other = try await place.sluice("invoke", "orders", "event.json", "--config", "other.yaml", "--async")
      #expect(other.code != 0 && other.errors.contains("give it async: {}"), "\(other)")
    }
  }
}
