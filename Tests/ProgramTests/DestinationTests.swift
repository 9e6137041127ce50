import Foundation
import Sluice
import Testing

/// Failure entries on their way out of the real program.
@Suite("Destinations", .timeLimit(.minutes(10)))
struct DestinationTests {
  /// Fails batches that hold a text beginning with `bad`.
  private static let handler = """
    import base64, json, sys

    for line in sys.stdin:
        texts = [base64.b64decode(record["kinesis"]["data"]).decode() for record in json.loads(line)["Records"]]
        bad = any(text.startswith("bad") for text in texts)
        print(json.dumps({"errorType": "E", "errorMessage": "told to"} if bad else {}), flush=True)

    """

  private static func setup(_ destination: String, onFailure: String = "", _ rules: String...) -> Setup {
    Setup {
      $0.command = #"["python3", "picky.py"]"#
      $0.retries = 0
      $0.rules =
        rules + [
          "DestinationConfig: { OnFailure: { Destination: '\(destination)' } }",
          "onFailure: { firstWait: 20ms, longestWait: 50ms, timeout: 20s\(onFailure) }",
        ]
    }
  }

  private func with(_ setup: Setup, _ story: @escaping (Workplace) async throws -> Void) async throws {
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "picky.py")
      try await story(place)
    }
  }

  @Test("an exhausted batch lies in the directory, as in S3, with the event that the function got")
  func exhausted() async throws {
    try await with(Self.setup("./out")) { place in
      let worker = try await place.start()
      try await place.put("bad", "good")
      let entry = try await place.entry(is: .delivered)
      let file = try #require(try place.documents.first)
      #expect(entry.delivery?.detail.hasSuffix(file.path) == true, "\(entry)")
      let shape =
        /aws\/lambda\/[0-9a-f-]{36}\/shardId-000000000000\/(\d{4})\/(\d\d)\/(\d\d)\/(\d{4})-(\d\d)-(\d\d)T\d\d\.\d\d\.\d\d-[0-9a-f-]{36}/
      let parts = try #require(file.path.wholeMatch(of: shape)).output
      #expect(parts.1 == parts.4 && parts.2 == parts.5 && parts.3 == parts.6)
      let document = try JSONDecoder().decode(Document.self, from: file.data)
      #expect(document.requestContext.condition == "RetryAttemptsExhausted")
      #expect(document.requestContext.approximateInvokeCount == 1)
      #expect(document.requestContext.functionArn == "arn:aws:lambda:us-east-1:000000000000:function:note")
      #expect(document.requestContext.requestId == entry.attempts.last?.requestID)
      #expect(document.responseContext?.functionError == "Unhandled")
      #expect(document.KinesisBatchInfo.batchSize == 2)
      #expect(document.KinesisBatchInfo.startSequenceNumber == entry.firstSequenceNumber)
      #expect(document.KinesisBatchInfo.endSequenceNumber == entry.lastSequenceNumber)
      #expect(document.KinesisBatchInfo.streamArn == "arn:aws:kinesis:us-east-1:000000000000:stream/numbers")
      #expect(try document.texts == ["bad", "good"])
      let metrics = try await worker.get("/metrics").text
      #expect(metrics.contains(#"OnFailureDestinationDeliveredEventCount{mapping="numbers-note"} 2"#), "\(metrics)")
      #expect(metrics.contains(#"DroppedEventCount{mapping="numbers-note"} 0"#))
      #expect(metrics.contains(#"sluice_failure_deliveries{mapping="numbers-note",state="pending"} 0"#))
      #expect(try await place.sluice("failures", "list").output.contains("delivered"))
    }
  }

  @Test("records too old for a first attempt, and halves of a bisected batch, come one document each")
  func expiredAndBisected() async throws {
    let setup = Self.setup(
      "./out", "BisectBatchOnFunctionError: true", "maximumRecordAge: 2s", "StartingPosition: TRIM_HORIZON")
    try await with(setup) { place in
      _ = try await place.start().drain()
      try await place.put("old", "older")
      _ = try await eventually("they are too old") {
        try await place.lanes().allSatisfy { $0.iteratorAgeMilliseconds > 2_000 } ? true : nil
      }
      try await place.put("a", "bad 1", "b", "bad 2")
      let worker = try await place.start()
      _ = try await eventually("three documents are there") { try place.documents.count == 3 ? true : nil }
      let documents = try place.documents.map { try JSONDecoder().decode(Document.self, from: $0.data) }
      let tooOld = try #require(documents.first { $0.requestContext.condition == "RecordAgeExceeded" })
      #expect(tooOld.responseContext == nil)
      #expect(tooOld.requestContext.approximateInvokeCount == 1)
      #expect(try tooOld.texts == ["old", "older"])
      let exhausted = try documents.filter { $0.requestContext.condition == "RetryAttemptsExhausted" }.map {
        try $0.texts
      }
      #expect(Set(exhausted) == [["bad 1"], ["bad 2"]])
      try await place.isDrained()
      #expect(await worker.drain() == 0)
    }
  }

  @Test("an endpoint that is down and comes up again gets every document; one that is busy is left alone as it asks")
  func downThenUp() async throws {
    try await Workplace.with { place in
      let first = try await Endpoint(at: place)
      let port = first.port
      await first.end()
      try place.write(Self.handler, to: "picky.py")
      try place.configure(
        Self.setup("http://127.0.0.1:\(port)/failures", onFailure: ", attempts: 1000, payload: false"))
      let worker = try await place.start()
      try await place.put("bad 1")
      try await place.put("bad 2")
      _ = try await eventually("an attempt for both has failed") {
        let entries = try await place.ask([FailureReport].self, "failures", "list")
        return entries.count == 2 && entries.allSatisfy { $0.delivery?.attempts ?? 0 > 0 } ? true : nil
      }
      #expect(try await place.ask(StatusReport.self, "status").mappings.map(\.pendingDeliveries) == [2])
      #expect(try await place.sluice("status").output.contains("2 to deliver"))
      let second = try await Endpoint(at: place, port: port, mode: .busy)
      _ = try await eventually("the endpoint was busy for both") {
        try Set(Endpoint.received(at: place).map(\.id)).count == 2 ? true : nil
      }
      try second.set(.ok)
      let before = ContinuousClock.now
      _ = try await eventually("both are delivered") {
        try Set(Endpoint.received(at: place).filter { $0.answered == 200 }.map(\.id)).count == 2 ? true : nil
      }
      // They were asked to stay away for a second each, and asked no more than that often.
      let busy = try Endpoint.received(at: place).filter { $0.answered == 429 }.count
      #expect(busy <= 4, "\(busy) in \(ContinuousClock.now - before)")
      _ = try await place.entry(is: .delivered, count: 2)
      let document = try #require(try Endpoint.received(at: place).last)
      #expect(try JSONDecoder().decode(Document.self, from: Data(document.body.utf8)).payload == nil)
      #expect(await worker.drain() == 0)
      await second.end()
    }
  }

  @Test("what cannot be delivered stays, is counted and seen everywhere, and is redelivered when asked for")
  func undeliverable() async throws {
    try await Workplace.with { place in
      let endpoint = try await Endpoint(at: place, mode: .refuse)
      try place.write(Self.handler, to: "picky.py")
      try place.configure(Self.setup(endpoint.url, onFailure: ", attempts: 3"))
      let worker = try await place.start()
      try await place.put("bad", "with it")
      let entry = try await place.entry(is: .undeliverable)
      #expect(entry.delivery?.attempts == 3)
      #expect(entry.delivery?.detail == "it answered 500: told to")
      let received = try Endpoint.received(at: place)
      #expect(received.map(\.answered) == [500, 500, 500])
      #expect(Set(received.map(\.id)).count == 1)
      let metrics = try await worker.get("/metrics").text
      #expect(metrics.contains(#"DestinationDeliveryFailures{mapping="numbers-note"} 1"#), "\(metrics)")
      #expect(metrics.contains(#"DroppedEventCount{mapping="numbers-note"} 2"#))
      #expect(metrics.contains(#"OnFailureDestinationDeliveredEventCount{mapping="numbers-note"} 0"#))
      #expect(metrics.contains(#"sluice_failure_deliveries{mapping="numbers-note",state="undeliverable"} 1"#))
      #expect(try await place.ask(StatusReport.self, "status").mappings.map(\.undeliverableEntries) == [1])
      #expect(try await place.sluice("status").output.contains("1 UNDELIVERABLE"))
      #expect(try await place.sluice("failures", "list").output.contains("UNDELIVERABLE"))
      let explained = try await place.sluice("explain", "numbers-note").output
      #expect(explained.contains("could not be delivered"), "\(explained)")
      #expect(explained.contains("sluice failures redeliver --mapping numbers-note --yes"))
      // A restart does not try it again on its own.
      #expect(await worker.drain() == 0)
      try endpoint.set(.ok)
      let again = try await place.start()
      let preview = try await place.ask(ActionReport.self, "failures", "redeliver")
      #expect(!preview.isApplied && preview.records == 2)
      #expect(try await place.entry(is: .undeliverable).entry == entry.entry)
      #expect(try await place.sluice("failures", "redeliver", "--yes").code == 0)
      _ = try await place.entry(is: .delivered)
      #expect(try Endpoint.received(at: place).map(\.answered) == [500, 500, 500, 200])
      #expect(try await place.ask([AuditReport].self, "audit").map(\.action) == ["redeliver"])
      #expect(await again.drain() == 0)
      await endpoint.end()
    }
  }

  @Test("kill -9 between the store and the delivery: the next worker delivers, under the same id")
  func killed() async throws {
    try await Workplace.with { place in
      let endpoint = try await Endpoint(at: place, mode: .hang)
      try place.write(Self.handler, to: "picky.py")
      try place.configure(Self.setup(endpoint.url))
      let worker = try await place.start()
      try await place.put("bad")
      _ = try await eventually("the document is on its way") { try Endpoint.received(at: place).first }
      await worker.kill()
      try endpoint.set(.ok)
      let next = try await place.start()
      _ = try await place.entry(is: .delivered)
      let received = try Endpoint.received(at: place)
      #expect(received.map(\.answered) == [0, 200])
      #expect(Set(received.map(\.id)).count == 1 && Set(received.map(\.key)).count == 1)
      #expect(Set(received.map(\.body)).count == 1)
      #expect(await next.drain() == 0)
      await endpoint.end()
    }
  }

  @Test("what hangs is cut short by the drain's second signal and delivered next time")
  func drainStops() async throws {
    try await Workplace.with { place in
      let endpoint = try await Endpoint(at: place, mode: .hang)
      try place.write(Self.handler, to: "picky.py")
      try place.configure(Self.setup(endpoint.url))
      let worker = try await place.start()
      try await place.put("bad")
      _ = try await eventually("the document is on its way") { try Endpoint.received(at: place).first }
      async let ended = worker.drain()
      _ = try await worker.says("draining")
      kill(worker.processID, SIGTERM)
      #expect(await ended == 0)
      let entry = try await place.entry(is: .pending)
      #expect(entry.delivery?.attempts == 0)
      await endpoint.end()
    }
  }

  @Test(
    "a directory that cannot be written to: undeliverable and counted; with room again it is redelivered",
    .enabled(if: Mount.isPermitted, "mounting a small disk is not permitted here"), arguments: [true, false])
  func disk(isFull: Bool) async throws {
    try await with(Self.setup("./out", onFailure: ", attempts: 2")) { place in
      let out = place.folder.appending(path: "out")
      try FileManager.default.createDirectory(at: out, withIntermediateDirectories: true)
      let disk = isFull ? try Mount.memory(at: out, bytes: 16_384) : try Mount.readOnly(out)
      defer { disk.end() }
      if isFull { try? Data(repeating: 1, count: 1 << 20).write(to: out.appending(path: "ballast")) }
      let worker = try await place.start()
      try await place.put("bad " + String(repeating: "x", count: 20_000))
      let entry = try await place.entry(is: .undeliverable)
      let reason = isFull ? "No space left on device" : "Read-only file system"
      #expect(entry.delivery?.detail.contains(reason) == true, "\(entry)")
      #expect(try await worker.get("/metrics").text.contains(#"DestinationDeliveryFailures{mapping="numbers-note"} 1"#))
      disk.end()
      #expect(try await place.sluice("failures", "redeliver", "--yes").code == 0)
      _ = try await place.entry(is: .delivered)
      let document = try JSONDecoder().decode(Document.self, from: try #require(try place.documents.first).data)
      #expect(try document.texts.first?.count == 20_004)
    }
  }

  @Test("an entry that nobody wants to keep is gone from the store once it is delivered")
  func notKept() async throws {
    try await with(Self.setup("./out", onFailure: ", keepDelivered: false")) { place in
      _ = try await place.start()
      try await place.put("bad")
      _ = try await eventually("the document is there") { try place.documents.first }
      _ = try await eventually("the entry is gone") {
        let report = try await place.ask(StatusReport.self, "status")
        return report.mappings.first.map { $0.failureEntries == 0 && $0.lanes.allSatisfy { $0.backlogRecords == 0 } }
          == true
          ? true : nil
      }
    }
  }
}

/// A failure document, as far as its reader cares.
private struct Document: Decodable {
  var requestContext: RequestContext
  var responseContext: ResponseContext?
  var payload: String?
  var KinesisBatchInfo: BatchInfo

  struct RequestContext: Decodable {
    var requestId: String
    var functionArn: String
    var condition: String
    var approximateInvokeCount: Int
  }

  struct ResponseContext: Decodable {
    var functionError: String?
  }

  struct BatchInfo: Decodable {
    var startSequenceNumber: String
    var endSequenceNumber: String
    var batchSize: Int
    var streamArn: String
  }

  private struct Event: Decodable {
    var Records: [Record]

    struct Record: Decodable {
      var kinesis: Kinesis

      struct Kinesis: Decodable {
        var data: Data
      }
    }
  }

  /// The data of the records in the payload.
  var texts: [String] {
    get throws {
      let event = try JSONDecoder().decode(Event.self, from: Data((payload ?? "").utf8))
      return event.Records.map { String(decoding: $0.kinesis.data, as: UTF8.self) }
    }
  }
}

extension Workplace {
  /// The documents below `out`, by their paths.
  fileprivate var documents: [(path: String, data: Data)] {
    get throws {
      let out = folder.appending(path: "out")
      let paths = FileManager.default.enumerator(atPath: out.path)?.compactMap { $0 as? String } ?? []
      return try paths.filter { $0.contains("T") && !$0.hasSuffix(".partial") }.sorted()
        .map { ($0, try Data(contentsOf: out.appending(path: $0))) }
    }
  }

  /// The first entry, as soon as so many are in this state.
  fileprivate func entry(is state: DeliveryReport.State, count: Int = 1) async throws -> FailureReport {
    try await eventually("\(count) entries are \(state)") {
      let entries = try await ask([FailureReport].self, "failures", "list").filter { $0.delivery?.state == state }
      return entries.count >= count ? entries.first : nil
    }
  }
}
