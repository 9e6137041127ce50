import Foundation
import Sluice
import StreamModel
import Testing

/// A stream of the changes of a table, put with the command and worked on by a handler in another process.
@Suite("Changes of a table", .timeLimit(.minutes(10)))
struct TableChangeTests {
  /// Notes each event; reports the change of the item `bad` while there is a file of that name.
  private static let handler = #"""
    import json, os, sys

    for line in sys.stdin:
        event = json.loads(line)
        with open("events", "a") as notes: notes.write(json.dumps(event) + "\n")
        failures = [
            {"itemIdentifier": record["dynamodb"]["SequenceNumber"]} for record in event["Records"]
            if record["dynamodb"]["Keys"]["id"]["S"] == "bad" and os.path.exists("bad")]
        print(json.dumps({"batchItemFailures": failures}), flush=True)

    """#

  private static let setup = Setup {
    $0.kind = .dynamodb
    $0.command = #"["python3", "changes.py"]"#
    $0.retries = 0
    $0.rules = [
      #"FilterCriteria: { Filters: [ { Pattern: '{"eventName":["INSERT","MODIFY"]}' } ] }"#,
      "DestinationConfig: { OnFailure: { Destination: ./failed } }",
    ]
  }

  private struct Event: Decodable {
    var Records: [Record]

    struct Record: Decodable {
      var eventID: String
      var eventName: String
      var eventVersion: String
      var eventSource: String
      var awsRegion: String
      var dynamodb: Change
      var eventSourceARN: String
    }

    struct Change: Decodable {
      var ApproximateCreationDateTime: Double
      var Keys: [String: [String: String]]
      var NewImage: [String: [String: String]]?
      var OldImage: [String: [String: String]]?
      var SequenceNumber: String
      var SizeBytes: Int
      var StreamViewType: String
    }
  }

  private static func change(_ event: String, _ item: String) -> String {
    let image = #"{"id":{"S":"\#(item)"},"n":{"N":"1"}}"#
    let images =
      switch event {
      case "INSERT": #""NewImage":\#(image),"#
      case "REMOVE": #""OldImage":\#(image),"#
      default: #""NewImage":\#(image),"OldImage":\#(image),"#
      }
    return #"{"eventName":"\#(event)","dynamodb":{"Keys":{"id":{"S":"\#(item)"}},\#(images)"#
      + #""StreamViewType":"NEW_AND_OLD_IMAGES"}}"#
  }

  private static func events(at place: Workplace) throws -> [Event] {
    let file = place.folder.appending(path: "events")
    guard FileManager.default.fileExists(atPath: file.path) else { return [] }
    return try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      .map { try JSONDecoder().decode(Event.self, from: Data($0.utf8)) }
  }

  @Test(
    "a handler gets the event of a DynamoDB stream; filters, partial failures and failure documents are of its kind")
  func story() async throws {
    try await Workplace.with(Self.setup) { place in
      try place.write(Self.handler, to: "changes.py")
      try place.write("", to: "bad")
      try FileManager.default.createDirectory(
        at: place.folder.appending(path: "failed"), withIntermediateDirectories: true)
      _ = try await place.start()
      let lines = [("INSERT", "a"), ("REMOVE", "b"), ("MODIFY", "bad"), ("INSERT", "c")].map { Self.change($0.0, $0.1) }
      try place.write(lines.map { $0 + "\n" }.joined(), to: "changes")
      let report = try await place.ask(PutReport.self, "put", "numbers", "changes")
      #expect(report.records == 4)
      try await place.isDrained()

      let events = try Self.events(at: place)
      let items = events.map { $0.Records.map { $0.dynamodb.Keys["id"]?["S"] } }
      #expect(items == [["a", "bad", "c"], ["bad", "c"]])
      let record = try #require(events.first?.Records[1])
      #expect(record.eventName == "MODIFY" && record.eventVersion == "1.1" && record.eventSource == "aws:dynamodb")
      #expect(record.awsRegion == "us-east-1" && record.eventID.count == 32)
      #expect(record.eventSourceARN.hasPrefix("arn:aws:dynamodb:us-east-1:000000000000:table/numbers/stream/20"))
      #expect(record.dynamodb.NewImage == ["id": ["S": "bad"], "n": ["N": "1"]])
      #expect(record.dynamodb.OldImage == record.dynamodb.NewImage)
      // Names and values of the key and of two images: 5, and twice 5 and 3.
      #expect(record.dynamodb.SizeBytes == 21)
      #expect(abs(record.dynamodb.ApproximateCreationDateTime - Date().timeIntervalSince1970) < 120)
      // It is the same change when it comes again.
      #expect(events.last?.Records.first?.eventID == record.eventID)
      #expect(events.last?.Records.first?.dynamodb.SequenceNumber == record.dynamodb.SequenceNumber)

      let document = try await eventually("the failure document is there") { try Self.document(at: place) }
      let block = try #require(document["DDBStreamBatchInfo"] as? [String: Any])
      #expect(block["startSequenceNumber"] as? String == record.dynamodb.SequenceNumber)
      #expect(block["endSequenceNumber"] as? String == events.last?.Records.last?.dynamodb.SequenceNumber)
      #expect(block["streamArn"] as? String == record.eventSourceARN)
      #expect(block["batchSize"] as? Int == 2)
    }
  }

  private static func document(at place: Workplace) throws -> [String: Any]? {
    let folder = place.folder.appending(path: "failed")
    guard let walker = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil) else { return nil }
    let files = walker.compactMap { $0 as? URL }.filter { !$0.hasDirectoryPath && !$0.path.hasSuffix(".partial") }
    guard let file = files.first else { return nil }
    return try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any]
  }

  @Test("a change that failed is redriven with another image: what it is stays, and the audit keeps what it was")
  func mended() async throws {
    let setup = Setup {
      $0.kind = .dynamodb
      $0.command = #"["python3", "changes.py"]"#
      $0.retries = 0
    }
    try await Workplace.with(setup) { place in
      try place.write(Self.handler, to: "changes.py")
      try place.write("", to: "bad")
      _ = try await place.start()
      try place.write(Self.change("MODIFY", "bad") + "\n", to: "changes")
      _ = try await place.ask(PutReport.self, "put", "numbers", "changes")
      try await place.isDrained()
      // From now on it succeeds.
      try FileManager.default.removeItem(at: place.folder.appending(path: "bad"))
      let former = Self.change("MODIFY", "bad")
      for (change, code, text) in [
        (
          former.replacing(#"{"N":"1"}"#, with: #"{"N":"one"}"#), Int32(65),
          "change.json cannot stand in place of this change: dynamodb.NewImage.n.N is one: it is the text of a number"
        ),
        (former.replacing(#""S":"bad""#, with: #""S":"good""#), 65, "dynamodb.Keys is"),
        (former.replacing("MODIFY", with: "INSERT"), 65, "dynamodb.OldImage is there: INSERT with"),
        (former, 65, "is the one that entry 1 has"),
        (former.replacing(#"{"N":"1"}"#, with: #"{ "N": "77" }"#), 0, "becomes  "),
      ] {
        try place.write(change + "\n", to: "change.json")
        let ended = try await place.sluice("failures", "redrive", "1", "--payload", "change.json")
        #expect(ended.code == code && (ended.output + ended.errors).contains(text), "\(ended)")
      }
      let done = try await place.sluice("failures", "redrive", "1", "--payload", "change.json", "--yes")
      #expect(done.code == 0, "\(done)")
      _ = try await eventually("the entry has left the list") {
        try await place.ask([FailureReport].self, "failures", "list").isEmpty ? true : nil
      }
      let events = try Self.events(at: place)
      let (first, last) = (try #require(events.first?.Records.first), try #require(events.last?.Records.first))
      #expect(last.dynamodb.NewImage?["n"] == ["N": "77"] && first.dynamodb.NewImage?["n"] == ["N": "1"])
      #expect(last.eventID == first.eventID && last.dynamodb.SequenceNumber == first.dynamodb.SequenceNumber)
      let audit = try await place.ask([AuditReport].self, "audit")
      #expect(audit.contains { $0.action == "edit" && $0.detail.hasSuffix("its payload was \(former)") }, "\(audit)")
    }
  }

  @Test("what is no change is refused with its line, its field and the rule, by the command and by the port")
  func refused() async throws {
    try await Workplace.with(Self.setup) { place in
      try place.write(Self.handler, to: "changes.py")
      let worker = try await place.start()
      try place.write(Self.change("INSERT", "a") + "\n" + #"{"eventName":"INSERT"}"# + "\n", to: "changes")
      let ended = try await place.sluice("put", "numbers", "changes")
      #expect(ended.code == 65)
      #expect(ended.errors.contains("line 2 is not a change: dynamodb is missing: it holds the change"))
      guard case .refused(let refusal) = try await worker.put([Packed("plain".utf8)]) else {
        throw NotHappened(description: "the port took it")
      }
      #expect(refusal.reason == .badInput && refusal.message.contains("a change is a JSON object"))
      let streams = try await place.ask([StreamReport].self, "streams")
      #expect(streams.map(\.kind) == [.dynamodb] && streams[0].shards[0].records == 0)
      let keyed = try await place.sluice("put", "numbers", "changes", "--key-field", "eventName")
      #expect(keyed.code == 64)
    }
  }

  @Test("the kind of a stream cannot change; a stream can be made with its kind by the command")
  func fixed() async throws {
    try await Workplace.with(Self.setup) { place in
      try place.write(Self.handler, to: "changes.py")
      let created = try await place.ask(
        [StreamReport].self, "streams", "create", "others", "--kind", "dynamodb")
      #expect(created.map(\.kind) == [.dynamodb])
      try place.write(Self.change("INSERT", "a") + "\n", to: "changes")
      let other = try await place.sluice("put", "others", "changes", "--create-shards", "1", "--kind", "kinesis")
      #expect(other.code == 65 && other.errors.contains("others is there, and of kind dynamodb"))
      _ = try await place.ask(
        PutReport.self, "put", "third", "changes", "--create-shards", "1", "--kind", "dynamodb")
      _ = try await place.ask([StreamReport].self, "streams", "create", "numbers")
      let ended = try await place.sluice("run", "--config", "sluice.yaml", "--listen", "127.0.0.1:0")
      #expect(ended.code != 0)
      #expect(ended.errors.contains("streams.numbers.kind: the stream is one of kinesis, the file says dynamodb"))
    }
  }
}
