import EventPattern
import StreamModel
import Testing

@Suite("Filter patterns: records")
struct RecordTests {
  @Test(
    "data that is not JSON to its last byte is dropped as such",
    arguments: [
      "", " ", "not json", #"{"t":"x"} "#.dropLast(2) + "", #"{"t":"x"}}"#, #"{"t":"x",}"#, #"{"t":"x" "u":1}"#,
      #"{"t":"x","u":01}"#, #"{"t":"x","u":1.}"#, #"{"t":"x","u":.5}"#, #"{"t":"x","u":+1}"#, #"{"t":"x","u":1e}"#,
      #"{"t":"x","u":-}"#, #"{"t":"x","u":tru}"#, #"{"t":"x","u":nul}"#, #"{"t":"x","u":"\x"}"#,
      #"{"t":"x","u":"\u12g4"}"#,
      "{\"t\":\"x\",\"u\":\"a\nb\"}", #"{"t":"x","u":[1,]}"#, #"{"t":"x","u":[1 2]}"#, #"{"t":"x","u":{"a"}}"#,
      #"{"t":"x","u":{1:2}}"#, #"{"t":"x","u":[}"#, #"{"t":"x","u":[{]}"#, #"{"t":"x"} {}"#, "{'t':'x'}",
      "\u{FEFF}{\"t\":\"x\"}", #"{"t":NaN}"#, "{\"t\":\"x\"}\u{0}", "{\"t\":\"x\"}\u{b}",
    ])
  func notJSON(data: String) {
    #expect(tryData(#"{"t":["x"]}"#, data) == .notJSON)
  }

  static let badUTF8: [[UInt8]] = [
    [0x80], [0xc0, 0xaf], [0xc1, 0xbf], [0xe0, 0x9f, 0xbf], [0xed, 0xa0, 0x80], [0xf0, 0x8f, 0xbf, 0xbf],
    [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff], [0xe2, 0x82], [0xc3], [0xe2, 0x28, 0xa1],
    [0xf0, 0x9f, 0x98, 0x28],
  ]

  @Test("data that is not UTF-8 is not JSON", arguments: badUTF8)
  func notUTF8(bytes: [UInt8]) {
    let data = Array(#"{"t":"x","u":"12345678"#.utf8) + bytes + Array(#""}"#.utf8)
    #expect(tryRecord(#"{"data":{"t":["x"]}}"#, PlainRecord(body: data)) == .notJSON)
  }

  @Test("all of Unicode passes, one scalar of each length and at each edge")
  func validUTF8() {
    let scalars = "\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}"
    for padding in 0..<9 {
      let text = String(repeating: "a", count: padding) + scalars
      #expect(tryData(#"{"t":["\#(text)"]}"#, #"{"u":"\#(text)","t":"\#(text)"}"#) == .matches)
    }
  }

  @Test("the offset of the fault is told")
  func fault() throws {
    var matcher = EventMatcher(try EventFilter([#"{"data":{"t":["x"]}}"#], source: .kinesis))
    let verdict = matcher.verdict(on: PlainRecord(body: Array(#"{"a":[tru]}"#.utf8)))
    #expect(verdict == .notJSON(JSONFault(kind: .unexpectedByte, offset: 9)))
    #expect(!verdict.passes)
  }

  @Test("a thousand containers in one another are JSON, one more is not, wanted or not", arguments: ["a", "b"])
  func nesting(wanted: String) {
    let data = { (depth: Int) in
      #"{"b":1,"a":"# + String(repeating: "[", count: depth - 1) + String(repeating: "]", count: depth - 1) + "}"
    }
    let pattern = #"{"\#(wanted)":[{"exists":\#(wanted == "b")}]}"#
    #expect(tryData(pattern, data(1_000)) == .matches)
    #expect(tryData(pattern, data(1_001)) == .notJSON)
    #expect(tryData(pattern, data(100_000)) == .notJSON)
  }

  @Test("JSON that is no object has no fields", arguments: ["42", #""text""#, "null", "[]", #"[{"t":"x"}]"#])
  func noObject(data: String) {
    #expect(tryData(#"{"t":["x"]}"#, data) == .doesNot)
    #expect(tryData(#"{"t":[{"exists":false}]}"#, data) == .matches)
  }

  @Test("a missing field of data that is not JSON is not missing")
  func absenceNeedsJSON() {
    #expect(tryData(#"{"t":[{"exists":false}]}"#, "not json") == .notJSON)
  }

  static let record = PlainRecord(
    body: Array(#"{"t":"x"}"#.utf8),
    fields: [
      .partitionKey: "p1", .sequenceNumber: "4967", .approximateArrivalTimestamp: "1789651658.123",
      .eventID: "shardId-000000000000:4967",
    ])

  @Test(
    "a record's own fields",
    arguments: [
      (#"{"partitionKey":["p1"]}"#, Tried.matches), (#"{"partitionKey":["p2"]}"#, .doesNot),
      (#"{"partitionKey":[{"prefix":"p"}],"data":{"t":["x"]}}"#, .matches),
      (#"{"partitionKey":["p2"],"data":{"t":["x"]}}"#, .doesNot),
      (#"{"partitionKey":["p1"],"data":{"t":["y"]}}"#, .doesNot), (#"{"sequenceNumber":["4967"]}"#, .matches),
      (#"{"approximateArrivalTimestamp":[{"numeric":[">",1789651658,"<",1789651659]}]}"#, .matches),
      (#"{"approximateArrivalTimestamp":["1789651658.123"]}"#, .doesNot),
      (#"{"eventID":[{"suffix":":4967"}]}"#, .matches), (#"{"eventName":["aws:kinesis:record"]}"#, .matches),
      (#"{"eventSource":["aws:dynamodb"]}"#, .doesNot), (#"{"kinesisSchemaVersion":["1.0"]}"#, .matches),
      (#"{"awsRegion":["us-east-1"]}"#, .doesNot), (#"{"awsRegion":[{"exists":false}]}"#, .matches),
      (#"{"t":["x"]}"#, .doesNot), (#"{"t":[{"exists":false}]}"#, .matches),
      (#"{"$or":[{"partitionKey":["p2"]},{"data":{"t":["x"]}}]}"#, .matches), (#"{"data.t":["x"]}"#, .matches),
    ])
  func ownFields(pattern: String, outcome: Tried) {
    #expect(tryRecord(pattern, Self.record) == outcome)
  }

  @Test("of several patterns one must match, and the first that does is named")
  func severalPatterns() throws {
    let filter = try EventFilter(
      [#"{"data":{"t":["y"]}}"#, #"{"data":{"t":["x"]}}"#, #"{"partitionKey":["p1"]}"#], source: .kinesis)
    var matcher = EventMatcher(filter)
    #expect(matcher.verdict(on: Self.record) == .matched(pattern: 1))
    #expect(matcher.verdict(on: PlainRecord(body: [], fields: [.partitionKey: "p1"])) == .matched(pattern: 2))
    let verdict = matcher.verdict(on: PlainRecord(body: [], fields: [.partitionKey: "p2"]))
    #expect(verdict == .notJSON(JSONFault(kind: .endsEarly, offset: 0)))
    #expect(matcher.verdict(on: PlainRecord(body: Array("{}".utf8))) == .notMatched)
  }

  @Test("data is not read when the record's own fields rule every pattern out, or the first possible one in")
  func settledByOwnFields() throws {
    var matcher = EventMatcher(
      try EventFilter(
        [#"{"partitionKey":["p1"],"data":{"t":["x"]}}"#, #"{"partitionKey":["p2"]}"#], source: .kinesis))
    let reads = Reads()
    #expect(matcher.verdict(on: CountedRecord(key: "p3", reads: reads)) == .notMatched)
    #expect(matcher.verdict(on: CountedRecord(key: "p2", reads: reads)) == .matched(pattern: 1))
    #expect(reads.count == 0)
    let verdict = matcher.verdict(on: CountedRecord(key: "p1", reads: reads))
    #expect(verdict == .notJSON(JSONFault(kind: .unexpectedByte, offset: 1)))
    #expect(reads.count == 1)
  }

  private final class Reads {
    var count = 0
  }

  /// Counts how often its data, which is not JSON, is asked for.
  private struct CountedRecord: FilterableRecord {
    var key: String
    var reads: Reads
    private let data = Array("not json".utf8)

    init(key: String, reads: Reads) {
      self.key = key
      self.reads = reads
    }

    var body: RawSpan {
      @_lifetime(borrow self) get {
        reads.count += 1
        return data.span.bytes
      }
    }

    func write(_ field: KinesisField, to value: inout FieldValue) {
      if field == .partitionKey { value.append(key) }
    }
  }

  @Test("without patterns every record passes")
  func noPatterns() throws {
    var matcher = EventMatcher(try EventFilter([], source: .kinesis))
    #expect(matcher.verdict(on: PlainRecord(body: Array("not json".utf8))) == .matched(pattern: nil))
  }

  @Test("a change of a table that is not JSON is dropped as such")
  func changeNotJSON() {
    #expect(tryChange(#"{"eventName":["INSERT"]}"#, "not json") == .notJSON)
  }

  @Test("a record of a batch shows the fields that its event shows")
  func recordOfBatch() throws {
    var packed: [UInt8] = []
    Array("é1".utf8).withUnsafeBytes { key in
      Array(#"{"t":"x"}"#.utf8).withUnsafeBytes { data in
        RecordLayout.append(partitionKey: key, data: data, explicitHashKey: nil, to: &packed)
      }
    }
    var builder = RecordRunBuilder(firstIndex: RecordIndex(7))
    let isWellFormed = packed.withUnsafeBytes {
      builder.append(packed: $0, recordCount: 1, firstArrival: WallTime(milliseconds: 1_789_651_658_003))
    }
    #expect(isWellFormed)
    let origin = BatchOrigin(stream: "s", shard: ShardNumber(3), shardCreatedAtSeconds: 1_700_000_000, attempt: 1)
    let batch = RecordBatch(origin: origin, run: builder.finish(), range: 0..<1)
    let sequenceNumber = batch.sequenceNumber(at: 0).description
    let patterns = [
      #"{"partitionKey":["é1"],"data":{"t":["x"]}}"#, #"{"sequenceNumber":["\#(sequenceNumber)"]}"#,
      #"{"eventID":["shardId-000000000003:\#(sequenceNumber)"]}"#, #"{"approximateArrivalTimestamp":[1789651658.003]}"#,
      #"{"awsRegion":["eu-west-1"],"eventSourceARN":["arn"],"invokeIdentityArn":[{"exists":false}]}"#,
    ]
    for pattern in patterns {
      var matcher = EventMatcher(
        try EventFilter([pattern], source: .kinesis),
        constants: KinesisConstants(eventSourceARN: "arn", region: "eu-west-1"))
      #expect(matcher.verdict(on: batch[0]) == .matched(pattern: 0), "\(pattern)")
    }
  }
}
