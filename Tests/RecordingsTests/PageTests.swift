import StreamModel
import Testing

@testable import Recordings

/// Pages as they were read once: each as a whole.
private enum WholePages {
  /// The records of each page; what is wrong with a page ends the file.
  static func read(
    _ bytes: [UInt8], into sink: inout ImportSink,
    _ make: (JSONNode, ImportedFile) throws(LineFault) -> ImportedRecord
  ) throws(ImportError) {
    var position = 0
    while true {
      let whole = ImportedFile(name: "file", bytes: bytes, byte: 0, line: 1)
      position = whole.passSpace(from: position)
      guard position < bytes.count else { return }
      let page: JSONNode
      do throws(LineFault) {
        page = try JSONNode(bytes, from: position, to: bytes.count)
      } catch {
        return try sink.leaveOut(
          LineFault("\(error.reason); nothing behind it can be read", at: error.offset), of: whole)
      }
      let beginning = position
      position = page.range.upperBound
      guard let records = page.members?.first(where: { $0.name == "Records" })?.node.elements else {
        try sink.leaveOut(LineFault("a JSON object with a list Records was expected", at: beginning), of: whole)
        continue
      }
      for record in records {
        try sink.take(whole, at: record.range.lowerBound) { () throws(LineFault) in try make(record, whole) }
      }
    }
  }
}

@Suite("Recordings: pages are read record by record")
struct PageTests {
  private struct Outcome {
    var text: [UInt8] = []
    var skipped: [ImportProblem] = []
    var error: ImportError?

    /// The place where a page stops being JSON, if it does.
    var broken: RecordingProblem? {
      var problems = skipped.map(\.problem)
      if case .problem(let last)? = error { problems.append(last.problem) }
      return problems.last { $0.reason.hasSuffix("nothing behind it can be read") }
    }
  }

  private static func outcome(
    _ limit: Int, _ read: (inout ImportSink) throws(ImportError) -> Void
  ) throws -> Outcome {
    var settings = ImportSettings()
    settings.badRecordLimit = limit
    var sink = ImportSink(settings)
    sink.kind = .kinesis
    sink.gathering = RecordGathering(settings, .kinesisRecords)
    var outcome = Outcome()
    do throws(ImportError) {
      try read(&sink)
    } catch {
      outcome.error = error
      outcome.skipped = sink.skipped
      return outcome
    }
    outcome.skipped = sink.skipped
    let gathering = try #require(sink.gathering)
    let header = RecordingHeader(
      stream: "s", kind: .kinesis, streamCreatedAt: .zero, madeAt: .zero)
    outcome.text = try Imported.text(
      ImportedRecording(try gathering.end(), header: header, skipped: sink.skipped))
    return outcome
  }

  private static func source(_ bytes: [UInt8], piece: Int) -> ImportSource {
    var position = 0
    return ImportSource("file") { memory throws(RecordingFileError) in
      let count = min(memory.count, bytes.count - position, piece)
      memory.copyBytes(from: bytes[position..<position + count])
      position += count
      return count
    }
  }

  private static func both(_ bytes: [UInt8], limit: Int, piece: Int) throws -> (whole: Outcome, streamed: Outcome) {
    let whole = try outcome(limit) { (sink) throws(ImportError) in
      try WholePages.read(bytes, into: &sink) { (node, file) throws(LineFault) in
        try KinesisRecordsFormat.record(node, file)
      }
    }
    let streamed = try outcome(limit) { (sink) throws(ImportError) in
      try KinesisRecordsFormat().read(source(bytes, piece: piece), into: &sink)
    }
    return (whole, streamed)
  }

  private static let space = ["", "", " ", "\n", "\r\n\t "]
  private static let values = [
    "0", "-1.5e3", "true", "null", #""text \"quoted\" \u00e9 ü""#, "[]", "[1, [2, {}], \"]\"]", #"{"a":{"b":[]}}"#,
    "\"\"",
  ]

  private static func pick<Element>(_ all: [Element], _ dice: inout SplitMix64) -> Element {
    all[Int(dice.next() % UInt64(all.count))]
  }

  private static func members(_ members: [(String, String)], _ dice: inout SplitMix64) -> String {
    func space() -> String { pick(Self.space, &dice) }
    let inside = members.map { #"\#(space())"\#($0)"\#(space()):\#(space())\#($1)\#(space())"# }.joined(separator: ",")
    return "{\(inside)}"
  }

  private static func record(_ dice: inout SplitMix64) -> String {
    if dice.next() % 20 == 0 { return pick(values, &dice) }
    let number = SequenceNumber(
      shardCreatedAtSeconds: 1_700_000_000, shard: ShardNumber(UInt32(dice.next() % 3)),
      index: RecordIndex(dice.next() % 1_000))
    var all = [
      ("SequenceNumber", #""\#(number)""#), ("ApproximateArrivalTimestamp", "\(dice.next() % 1_000).25"),
      ("Data", pick([#""""#, #""eyJhIjogMX0=""#, #""AAEC""#], &dice)),
      ("PartitionKey", pick([#""k""#, #""\u006b\n""#], &dice)),
      ("EncryptionType", pick(values, &dice)),
    ]
    if dice.next() % 10 == 0 { all.remove(at: Int(dice.next() % UInt64(all.count))) }
    if dice.next() % 10 == 0 { all[Int(dice.next() % UInt64(all.count))].1 = pick(values, &dice) }
    return members(all, &dice)
  }

  private static func page(_ dice: inout SplitMix64) -> String {
    if dice.next() % 15 == 0 { return pick(values, &dice) }
    let records = (0..<dice.next() % 6).map { _ in pick(space, &dice) + record(&dice) + pick(space, &dice) }
    var all = [
      ("NextShardIterator", #""AAAA""#), ("Records", "[\(records.joined(separator: ","))]"), ("x", pick(values, &dice)),
    ]
    if dice.next() % 8 == 0 { all[1].0 = pick(["Records", "\\u0052ecords", "records"], &dice) }
    if dice.next() % 12 == 0 { all.append(("Records", pick(values + ["[{}]"], &dice))) }
    if dice.next() % 15 == 0 { all.insert(("Records", pick(values, &dice)), at: 0) }
    return members(all, &dice)
  }

  @Test("random pages, whole and spoilt, give what they give when each is read as a whole", arguments: 0..<40)
  func random(seed: UInt64) throws {
    var dice = SplitMix64(seed: seed)
    for _ in 0..<25 {
      var bytes: [UInt8] = []
      for _ in 0..<1 + dice.next() % 3 {
        bytes += Array((Self.pick(Self.space, &dice) + Self.page(&dice) + Self.pick(Self.space, &dice)).utf8)
        if bytes.last.map({ $0 > 0x20 }) ?? false { bytes.append(10) }
      }
      if dice.next() % 3 == 0, !bytes.isEmpty {
        let place = Int(dice.next() % UInt64(bytes.count))
        switch dice.next() % 3 {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: dice.next())
        case 1: bytes.removeSubrange(place...)
        default: bytes.remove(at: place)
        }
      }
      let limit = Self.pick([0, 2, 1_000], &dice)
      let (whole, streamed) = try Self.both(bytes, limit: limit, piece: Int(Self.pick([1, 7, 100, 1 << 20], &dice)))
      let file = "\(String(decoding: bytes, as: UTF8.self)), up to \(limit)"
      if let broken = whole.broken, limit == 1_000 || streamed.broken != nil {
        // The records in front of it are known by now, so that it has another number.
        let found = try #require(streamed.broken, "\(file)")
        #expect(found.byte == broken.byte && found.line == broken.line && found.reason == broken.reason, "\(file)")
        #expect(found.record >= broken.record, "\(file)")
        #expect(streamed.skipped.starts(with: whole.skipped.dropLast()), "\(file)")
      } else if whole.broken == nil {
        #expect(streamed.error == whole.error && streamed.skipped == whole.skipped, "\(file)")
        #expect(streamed.text == whole.text, "\(file)")
      } else {
        // A record in front of it ends it first.
        #expect(streamed.error != nil, "\(file)")
      }
    }
  }

  @Test(
    "a page of any size is read in the memory of a record, and of a file no more is looked at than shows what it is")
  func memory() throws {
    let record = #"{"SequenceNumber":"1","ApproximateArrivalTimestamp":1,"Data":"AAEC","PartitionKey":"k"}"#
    let (count, head) = (40_000, #"{"NextShardIterator":"x","Records":["#)
    var position = 0
    var piece = Array(head.utf8)
    let source = ImportSource("file") { memory throws(RecordingFileError) in
      if piece.isEmpty, position < count {
        position += 1
        piece = Array((record + (position < count ? ",\n" : "]}")).utf8)
      }
      let part = piece.prefix(memory.count)
      memory.copyBytes(from: part)
      piece.removeFirst(part.count)
      return part.count
    }
    #expect(try ImportFormat.recognized(in: source) == .kinesisRecords)
    #expect(position < 100)
    var sink = ImportSink(ImportSettings())
    try KinesisRecordsFormat().read(source, into: &sink)
    #expect(source.bytes.count == 256 << 10 && position == count && sink.skipped.isEmpty)
  }

  @Test(
    "a file shows what it is, wherever that stands, and whatever follows",
    arguments: [
      (#"{"Records":[{"PartitionKey":"k"}"#, ImportFormat.kinesisRecords),
      (#"{"x":[{"Records":1}],"Records":[{"kinesis":{}},"#, .lambdaEvent),
      (#"{"Records":[{"dynamodb":{}}]}"#, .tableRecords),
      (#"{"Records":[],"MillisBehindLatest":0}"#, .kinesisRecords), (#"{"Records":[]}"#, .tableRecords),
      (#"{"MillisBehindLatest":null,"Records":[]}"#, .tableRecords), (#"{"Records":{"a":1}}"#, .lines),
      (#"{"Keys":{},"Metadata":{"WriteTimestampMicros":{"N":"1"}}}"#, .tableExport), (#"{"a":1}"#, .lines),
      (#"[{"Records":[]}]"#, nil), (#"{"Records":[{"PartitionKey":"k""#, nil), (#"{"a":}"#, nil),
    ] as [(String, ImportFormat?)])
  func shown(text: String, format: ImportFormat?) throws {
    for piece in [1, 1_000] {
      #expect(try ImportFormat.recognized(in: Self.source(Array(text.utf8), piece: piece)) == format, "\(text)")
    }
  }
}
