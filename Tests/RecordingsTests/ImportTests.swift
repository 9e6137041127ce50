import StreamModel
import Testing

@testable import Recordings

@Suite("Recordings: what other programs have written")
struct ImportTests {
  /// A record of an imported recording, read back.
  private struct Seen: Hashable {
    var shard: UInt32
    var index: UInt64
    var arrival: Int64
    var key: String
    var data: String
    var number: String?
  }

  private struct Outcome {
    var recording: ImportedRecording
    var seen: [Seen] = []
  }

  /// Imports the files and reads what becomes of them.
  private func imported(
    _ files: [String], format: ImportFormat? = nil, redacted: [String] = [],
    _ change: (inout ImportSettings) -> Void = { _ in }
  ) throws -> Outcome {
    var settings = ImportSettings()
    change(&settings)
    var recording = try Imported.recording(of: files.map { Array($0.utf8) }, settings, format: format)
    recording.redact(redacted)
    let text = try recording.writing()
    var outcome = Outcome(recording: recording)
    var reader = try RecordingReader { memory throws(RecordingFileError) in
      try text.read(into: UnsafeMutableRawBufferPointer(rebasing: memory.prefix(1_000)))
    }
    while let line = try reader.next() {
      guard line == .record else { continue }
      let packed = PackedRecords(shard: reader.shard, first: reader.index, firstArrival: reader.arrival)
      reader.appendRecord(to: packed)
      let put = Put.all(in: packed)[0]
      outcome.seen.append(
        Seen(
          shard: put.shard, index: put.index, arrival: put.arrival, key: put.key,
          data: String(decoding: put.data, as: UTF8.self), number: reader.importedSequenceNumber))
    }
    #expect(reader.ending == .complete)
    #expect(reader.header.imported == recording.header.imported && reader.header.kind == recording.header.kind)
    return outcome
  }

  private func problem(
    _ file: String, format: ImportFormat? = nil, _ change: (inout ImportSettings) -> Void = { _ in }
  ) -> RecordingProblem? {
    do {
      _ = try imported([file], format: format, change)
      return nil
    } catch {
      return Imported.problem(error)
    }
  }

  private static func number(_ shard: UInt32, _ index: UInt64) -> String {
    SequenceNumber(shardCreatedAtSeconds: 1_700_000_000, shard: ShardNumber(shard), index: RecordIndex(index))
      .description
  }

  @Test(
    "pages of kinesis get-records: shard, order and sequence numbers are those of AWS; times as either CLI writes them")
  func kinesis() throws {
    let first = """
      {
        "Records": [
          {"SequenceNumber": "\(Self.number(19, 900))", "ApproximateArrivalTimestamp": "2026-09-17T14:50:01.123000+02:00",
           "Data": "eyJhIjogMX0=", "PartitionKey": "N14228", "EncryptionType": "NONE"},
          {"SequenceNumber": "\(Self.number(3, 7))", "ApproximateArrivalTimestamp": 1789649400.5, "Data": "AAEC",
           "PartitionKey": "k"}
        ],
        "NextShardIterator": "AAAA", "MillisBehindLatest": 0
      }
      {"Records": [], "MillisBehindLatest": 0}
      """
    let second = """
      {"Records":[{"SequenceNumber":"\(Self.number(19, 5))","ApproximateArrivalTimestamp":1.789649401E9,"Data":"","PartitionKey":"k"},
      {"SequenceNumber":"\(Self.number(19, 900))","ApproximateArrivalTimestamp":1789649401.123,"Data":"eyJhIjogMX0=","PartitionKey":"N14228"}]}
      """
    let outcome = try imported([first, second])
    #expect(outcome.recording.header.imported == "kinesis-records")
    #expect(outcome.recording.duplicates == 1 && outcome.recording.liftedArrivals == 0)
    #expect(
      outcome.seen == [
        Seen(
          shard: 3, index: 0, arrival: 1_789_649_400_500, key: "k", data: "\u{0}\u{1}\u{2}", number: Self.number(3, 7)),
        Seen(shard: 19, index: 0, arrival: 1_789_649_401_000, key: "k", data: "", number: Self.number(19, 5)),
        Seen(
          shard: 19, index: 1, arrival: 1_789_649_401_123, key: "N14228", data: #"{"a": 1}"#,
          number: Self.number(19, 900)),
      ])
    #expect(outcome.recording.shards.map(\.createdAtSeconds) == [1_700_000_000, 1_700_000_000])
  }

  @Test("within a shard the sequence number decides; an arrival that steps back is lifted and told")
  func lifted() throws {
    func record(_ index: UInt64, _ seconds: Int) -> String {
      #"{"SequenceNumber":"\#(Self.number(0, index))","ApproximateArrivalTimestamp":\#(seconds),"Data":"","PartitionKey":"\#(index)"}"#
    }
    let outcome = try imported([#"{"Records":[\#(record(2, 99)),\#(record(1, 100))]}"#])
    #expect(outcome.seen.map(\.key) == ["1", "2"] && outcome.seen.map(\.arrival) == [100_000, 100_000])
    #expect(outcome.recording.liftedArrivals == 1)
  }

  private func apiRecord(_ id: Int, time: String, _ more: String = "") -> String {
    let digits = String(format(id))
    return #"{ "eventID": "0000000000000000000000000000\#(digits)", "eventName": "REMOVE", "eventVersion": "1.1","#
      + #" "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1", "dynamodb": {"ApproximateCreationDateTime": \#(time),"#
      + #" "Keys": {"id": {"S": "a \#(id)"}}, "OldImage": {"id": {"S": "a \#(id)"}, "n": {"N": "1"}},"#
      + #" "SequenceNumber": "10000000000000000000\#(digits)", "SizeBytes": 9, "StreamViewType": "NEW_AND_OLD_IMAGES"}\#(more)}"#
  }

  private func format(_ id: Int) -> String { String(repeating: "0", count: 4 - String(id).count) + String(id) }

  @Test("pages of dynamodbstreams get-records become what an event has: time, identity and numbers")
  func table() throws {
    let identity = #", "userIdentity": {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}"#
    let page =
      #"{"Records": [\#(apiRecord(2, time: "1789649401.0")), \#(apiRecord(1, time: "\"2026-09-17T12:50:00+00:00\"", identity))]}"#
    let outcome = try imported([page])
    #expect(outcome.recording.header.kind == .dynamodb && outcome.recording.header.imported == "table-records")
    #expect(outcome.seen.map(\.arrival) == [1_789_649_400_000, 1_789_649_401_000])
    #expect(outcome.seen.map(\.key) == [#"{"id":{"S":"a 1"}}"#, #"{"id":{"S":"a 2"}}"#])
    #expect(outcome.seen.map(\.number) == ["100000000000000000000001", "100000000000000000000002"])
    #expect(
      outcome.seen.first?.data
        == #"{"eventID":"00000000000000000000000000000001","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","#
        + #""awsRegion":"eu-west-1","dynamodb":{"ApproximateCreationDateTime":1789649400,"Keys":{"id":{"S":"a 1"}},"#
        + #""OldImage":{"id":{"S":"a 1"},"n":{"N":"1"}},"SequenceNumber":"100000000000000000000001","SizeBytes":9,"#
        + #""StreamViewType":"NEW_AND_OLD_IMAGES"},"userIdentity":{"principalId":"dynamodb.amazonaws.com","type":"Service"}}"#
    )
    let redacted = try imported([page], redacted: ["dynamodb.OldImage.n"])
    #expect(redacted.seen.allSatisfy { $0.data.contains(#""n":{"S":"[redacted]"}"#) })
  }

  @Test("events of Lambda of both kinds; what was delivered twice is one record")
  func events() throws {
    func event(_ indexes: [UInt64]) -> String {
      let records = indexes.map { index in
        #"{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"k\#(index)","sequenceNumber":"\#(Self.number(6, index))","#
          + #""data":"SGk=","approximateArrivalTimestamp":1545084650.98\#(index)},"eventSource":"aws:kinesis","#
          + #""eventID":"shardId-000000000006:\#(Self.number(6, index))","eventSourceARN":"arn:aws:kinesis:…"}"#
      }
      return #"{"Records":[\#(records.joined(separator: ","))]}"#
    }
    let outcome = try imported([event([1, 2]) + "\n" + event([2, 3])])
    #expect(outcome.recording.header.imported == "lambda-event" && outcome.recording.duplicates == 1)
    #expect(
      outcome.seen.map(\.key) == ["k1", "k2", "k3"] && outcome.seen.allSatisfy { $0.shard == 6 && $0.data == "Hi" })
    #expect(outcome.seen.map(\.arrival) == [1_545_084_650_981, 1_545_084_650_982, 1_545_084_650_983])
    let change = apiRecord(1, time: "1.789651658E9", #","eventSourceARN":"arn:aws:dynamodb:x""#)
    let changes = try imported([#"{"Records":[\#(change)]}"#])
    #expect(changes.recording.header.kind == .dynamodb && changes.recording.header.imported == "lambda-event")
    #expect(changes.seen.first?.data.contains(#""eventSourceARN":"arn:aws:dynamodb:x""#) == true)
    let mixed = problem(event([1]) + #"{"Records":[\#(change)]}"#)
    #expect(
      mixed?.reason == "the record is of kind dynamodb, and those before it are of kind kinesis" && mixed?.record == 2)
  }

  @Test("an incremental export: what happened shows in the images")
  func export() throws {
    func line(_ id: Int, _ images: String) -> String {
      #"{"Metadata":{"WriteTimestampMicros":{"N":"16801097640\#(id)0999"}},"Keys":{"id":{"N":"\#(id)"}}\#(images)}"#
    }
    let (new, old) = (#","NewImage":{"id":{"N":"1"}}"#, #","OldImage":{"id":{"N":"1"}}"#)
    let text = [line(4, new + old), line(3, ""), line(2, old), line(1, new)].joined(separator: "\n")
    let outcome = try imported([text], format: nil) { $0.shardCount = 3 }
    #expect(outcome.recording.header.imported == "table-export" && outcome.recording.header.kind == .dynamodb)
    #expect(
      outcome.seen.map(\.arrival) == [1_680_109_764_010, 1_680_109_764_020, 1_680_109_764_030, 1_680_109_764_040])
    let names = ["INSERT", "REMOVE", "REMOVE", "MODIFY"]
    #expect(zip(outcome.seen, names).allSatisfy { $0.data.hasPrefix(#"{"eventName":"\#($1)""#) })
    // Spread as a put would.
    let ranges = HashKeyRange.evenly(3)
    #expect(outcome.seen.allSatisfy { ranges[Int($0.shard)].contains(HashKey(partitionKey: $0.key)) })
    #expect(outcome.seen.allSatisfy { $0.number == nil })
  }

  @Test("JSON lines with a key and a time of any form, in any order")
  func lines() throws {
    let text = """
      {"t": 1700000001000, "k": "b", "x": 1}

      {"t":"2023-11-14T22:13:20Z","k":7}
      {"k":null,"t":"1700000002000"}
      """
    let outcome = try imported([text]) {
      ($0.keyField, $0.timeField, $0.missingKey) = ("k", "t", "none")
    }
    #expect(
      outcome.seen == [
        Seen(shard: 0, index: 0, arrival: 1_700_000_000_000, key: "7", data: #"{"t":"2023-11-14T22:13:20Z","k":7}"#),
        Seen(
          shard: 0, index: 1, arrival: 1_700_000_001_000, key: "b", data: #"{"t": 1700000001000, "k": "b", "x": 1}"#),
        Seen(shard: 0, index: 2, arrival: 1_700_000_002_000, key: "none", data: #"{"k":null,"t":"1700000002000"}"#),
      ])
  }

  @Test("CSV with quotes, commas and line feeds in values")
  func csv() throws {
    let text = "\u{feff}tail,when,\"the \"\"note\"\"\"\r\nN1,2013-01-01 05:00:00,\"a, b\nc\"\r\nN2,1356998400,\r\n"
    let outcome = try imported([text], format: .csv) {
      ($0.keyField, $0.timeField, $0.timeUnit) = ("tail", "when", .seconds)
    }
    #expect(outcome.seen.map(\.arrival) == [1_356_998_400_000, 1_357_016_400_000])
    #expect(outcome.seen.map(\.key) == ["N2", "N1"])
    #expect(outcome.seen.last?.data == #"{"tail":"N1","when":"2013-01-01 05:00:00","the \"note\"":"a, b\nc"}"#)
  }

  @Test(
    "what cannot be imported is refused with byte, line and record",
    arguments: [
      ("flights", nil, 0, 1, 1, "neither a recording nor a file that can be imported"),
      (#"{"Records":[{"PartitionKey":"k"}]}"#, nil, 12, 1, 1, "SequenceNumber is missing"),
      (
        "{\"Records\":[\n{\"PartitionKey\":\"k\",\"SequenceNumber\":\"1\",\"Data\":\"A\",\"ApproximateArrivalTimestamp\":1}]}",
        nil,
        61, 2, 1, "Data must be base64"
      ),
      (
        #"{"Records":[{"PartitionKey":"k","SequenceNumber":"1","Data":"","ApproximateArrivalTimestamp":"noon"}]}"#, nil,
        93, 1,
        1, #"ApproximateArrivalTimestamp is "noon": write a time"#
      ),
      (
        #"{"Records":[{"PartitionKey":"k","SequenceNumber":"1","Data":"","ApproximateArrivalTimestamp":1}]}{"#, nil, 98,
        1, 2,
        "the text ends too early; nothing behind it can be read"
      ),
      (
        #"{"Records":[{"eventSourceARN":"a","dynamodb":{"ApproximateCreationDateTime":1}}]}"#, nil, 12, 1, 1,
        "eventName is"
      ),
      (#"{"k":"a","t":1}{}"#, ImportFormat.lines, 15, 1, 1, "something follows the JSON object of the line"),
      ("{\"k\":\"a\",\"t\":1}\n[]", ImportFormat.lines, 16, 2, 2, "the line is not a JSON object"),
      (
        "{\"k\":\"a\",\"t\":1}\n{\"k\":\"\",\"t\":1}", ImportFormat.lines, 21, 2, 2,
        "there is no value in k, the key field"
      ),
      ("k,x\n", ImportFormat.csv, 0, 1, 1, "the first row has no t; it has k, x"),
      ("k,t\na,1,2\n", ImportFormat.csv, 4, 2, 1, "the row has 3 values, and the first one 2 names"),
      ("k,t\na,1\n\"b,1\n", ImportFormat.csv, 8, 3, 2, "a quoted value has no end"),
      ("k,t\na,1\nb,soon\n", ImportFormat.csv, 8, 3, 2, #"t is "soon": write a time"#),
    ] as [(String, ImportFormat?, UInt64, UInt64, UInt64, String)])
  func refused(file: String, format: ImportFormat?, byte: UInt64, line: UInt64, record: UInt64, reason: String) throws {
    let problem = try #require(problem(file, format: format) { ($0.keyField, $0.timeField) = ("k", "t") })
    #expect(problem.reason.contains(reason), "\(problem)")
    #expect([problem.byte, problem.line, problem.record] == [byte, line, record], "\(problem)")
  }

  @Test("records that cannot be used are left out up to the limit, and told")
  func skipped() throws {
    let text = "{\"k\":\"a\",\"t\":1}\nnonsense\n{\"k\":\"b\",\"t\":2}\n{\"k\":\"c\"}\n"
    let outcome = try imported([text], format: .lines) {
      ($0.keyField, $0.timeField, $0.badRecordLimit) = ("k", "t", 2)
    }
    #expect(outcome.seen.map(\.key) == ["a", "b"])
    #expect(outcome.recording.skipped.map(\.problem.line) == [2, 4])
    #expect(outcome.recording.skipped.map(\.problem.record) == [2, 4])
    let last = problem(text, format: .lines) { ($0.keyField, $0.timeField, $0.badRecordLimit) = ("k", "t", 1) }
    #expect(last?.reason == "t is missing" && last?.line == 4)
  }

  @Test("the files of one recording are all of one format")
  func formats() {
    #expect {
      _ = try imported([#"{"Records":[],"MillisBehindLatest":0}"#, #"{"Records":[],"NextShardIterator":"x"}"#])
    } throws: {
      "\($0)" == "file 1: byte 0, line 1, record 1: it is table-records, and the files before it are kinesis-records"
    }
  }

  @Test("a file cut anywhere is refused or gives a part of its records, and never more")
  func property() throws {
    let page = #"{"Records": [\#(apiRecord(1, time: "1")), \#(apiRecord(2, time: "2"))]}"#
    for count in 0..<page.utf8.count {
      let part = String(decoding: page.utf8.prefix(count), as: UTF8.self)
      do {
        let outcome = try imported([part], format: .tableRecords)
        #expect(count == 0 && outcome.seen.isEmpty, "\(count)")
      } catch {
        let problem = try #require(Imported.problem(error))
        #expect(problem.byte <= UInt64(count) && problem.record <= 3)
      }
    }
  }

  @Test("moments of the calendar are those of the clock")
  func moments() {
    let cases: [(String, Int64?)] = [
      ("1970-01-01", 0), ("2026-09-17T12:50:01.123Z", 1_789_649_401_123),
      ("2026-09-17 14:50:01,5+02:00", 1_789_649_401_500),
      ("2026-09-17T12:50-0030", 1_789_651_200_000), ("2024-02-29T00:00:00z", 1_709_164_800_000),
      ("1969-12-31T23:59:59.999", -1), ("2023-02-29", nil), ("2026-13-01", nil), ("2026-01-01T25:00Z", nil),
      ("2026-01-01T00:00:00Zx", nil), ("", nil), ("soon", nil), ("2026-01-01T00:00:00+1", nil),
      ("1900-03-01", -2_203_891_200_000),
    ]
    for (text, milliseconds) in cases {
      #expect(MomentReading.calendar(Array(text.utf8)[...])?.milliseconds == milliseconds, "\(text)")
    }
    for milliseconds in stride(from: Int64(-4_000_000_000_000), to: 9_000_000_000_000, by: 86_399_997_531) {
      let text = CalendarTime(WallTime(milliseconds: milliseconds)).withMilliseconds
      #expect(MomentReading.calendar(Array(text.utf8)[...])?.milliseconds == milliseconds)
    }
  }
}
