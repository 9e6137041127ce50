import Recordings
import Replays
import StreamModel
import Testing

@Suite("Replays: what two runs made otherwise")
struct RunDifferenceTests {
  private static let head =
    #"{"handler":"h","mapping":"m","run":1,"seed":1,"settings":{"BatchSize":"10"},"speed":"1","stream":"s"}"#
  private static let end =
    #"{"departures":1,"ended":true,"failures":1,"invocations":2,"leftRecords":1,"milliseconds":5,"records":9,"unsettledLanes":[]}"#

  private func invocation(
    _ records: ClosedRange<Int>, _ result: String = "succeeded", answer: String = "{}", reported: Int? = nil
  ) -> String {
    let more = reported.map { #","reported":\#($0)"# } ?? ""
    return #"{"answer":"\#(answer)","attempt":1,"begunAt":0,"endedAt":0,"errorMessage":"bad","errorType":"E","#
      + #""invocation":1,"lane":0,"records":[[\#(records.lowerBound),\#(records.upperBound)]],"result":"\#(result)","#
      + #""shard":0\#(more)}"#
  }

  private func left(_ records: ClosedRange<Int>, _ condition: String) -> String {
    #"{"at":0,"attempts":1,"condition":"\#(condition)","first":0,"lane":0,"last":0,"left":1,"#
      + #""records":[[\#(records.lowerBound),\#(records.upperBound)]],"shard":0}"#
  }

  private func run(_ lines: [String]) throws -> RunFile {
    var lines = ([Self.head] + lines + [Self.end])[...]
    return try RunFile { lines.popFirst().map { Array($0.utf8)[...] } }
  }

  @Test("records that newly fail or succeed are told in stretches, with the error before they left")
  func outcomes() throws {
    let before = try run([
      invocation(0...4), invocation(5...9, "failed"), left(5...9, "RetryAttemptsExhausted"), invocation(10...19),
    ])
    let after = try run([
      invocation(0...6), invocation(7...19, "reported", reported: 12), invocation(12...19, "failed"),
      left(12...12, "GivenUpByRule"), invocation(13...18),
    ])
    let difference = RunDifference(before, after)
    #expect(!difference.isSame)
    #expect(difference.newlySucceeding.map { [$0.first, $0.last] } == [[5, 9]])
    #expect(difference.newlySucceeding.allSatisfy { $0.before == "RetryAttemptsExhausted: E: bad" })
    #expect(difference.newlyFailing.map { [$0.first, $0.last] } == [[12, 12], [19, 19]])
    #expect(difference.newlyFailing.map(\.after) == ["GivenUpByRule: E: bad", "unsettled"])
    let back = RunDifference(after, before)
    #expect(back.newlyFailing.map(\.count) == difference.newlySucceeding.map(\.count))
    #expect(RunDifference(before, before).isSame && RunDifference(after, after).isSame)
  }

  private static let shardLine = #"{"createdAtSeconds":1700000000,"shard":0}"#

  private static func number(_ index: UInt64) -> String {
    SequenceNumber(shardCreatedAtSeconds: 1_700_000_000, shard: ShardNumber(0), index: RecordIndex(index)).description
  }

  @Test("records are named by their sequence numbers; by their keys too, out of the recording")
  func names() throws {
    let before = try run([
      invocation(0...4, "failed"), left(0...4, "RetryAttemptsExhausted"), invocation(5...9, answer: "a"),
      Self.shardLine,
    ])
    let after = try run([invocation(0...4), invocation(5...9, answer: "b"), Self.shardLine])
    var difference = RunDifference(before, after)
    let record = try #require(difference.newlySucceeding.first)
    #expect(record.names.map(\.index) == [0, 1, 2, 3, 4])
    #expect(record.names.map(\.sequenceNumber) == (0...4).map(Self.number))
    #expect(record.words() == "0–4, \(Self.number(0)) to \(Self.number(4))")
    #expect(difference.lacksPartitionKeys)
    #expect(difference.answers.first?.firstRecord?.sequenceNumber == Self.number(5))

    try difference.name(from: reader(of: (0...9).map { "key \($0)" }))
    let named = try #require(difference.newlySucceeding.first)
    #expect(named.names.map(\.partitionKey) == (0...4).map { "key \($0)" } && !difference.lacksPartitionKeys)
    #expect(named.words() == "0–4, \(Self.number(0)) to \(Self.number(4)), key 0, key 1, key 2 and others")
    #expect(difference.answers.first?.firstRecord?.partitionKey == "key 5")
    let page = RunReport(before, after, difference, names: ["a", "b"]).html
    #expect(page.contains("key 0, key 1, key 2, key 3, key 4") && page.contains("key 5"))
    #expect(page.contains(Self.number(4)))

    // Without what a run says of its shards nothing is named, and the page is whole.
    let bare = RunDifference(try run([invocation(0...0)]), try run([invocation(0...0, "failed")]))
    #expect(bare.newlyFailing.map(\.names) == [[]] && bare.newlyFailing.first?.words() == "0")
  }

  @Test("of many records that came to something else the first ones are named, and the last one")
  func manyNames() throws {
    let last = Int(RunDifference.namedRecordLimit) + 500
    var difference = RunDifference(try run([invocation(0...last)]), try run([invocation(0...last, "failed")]))
    try difference.name(from: reader(of: (0...last).map { "\($0)" }))
    let names = try #require(difference.newlyFailing.first).names
    #expect(names.count == Int(RunDifference.namedRecordLimit) + 1 && names.last?.partitionKey == "\(last)")
    let page = RunReport(try run([invocation(0...last)]), try run([]), difference, names: ["a", "b"]).html
    #expect(page.contains("1,501 records no longer succeed"))
  }

  /// A recording of shard 0 with records of these keys.
  private func reader(of keys: [String]) throws -> RecordingReader {
    var lines = [
      #"{"recording":1,"stream":"s","kind":"kinesis","streamCreatedAt":0,"madeAt":0}"#,
      #"{"shardOpened":0,"at":0,"createdAtSeconds":1700000000,"hashKeys":["0","99"],"parents":[],"first":0}"#,
    ]
    lines += keys.enumerated().map { #"{"shard":0,"index":\#($0.offset),"arrival":1,"key":"\#($0.element)","json":1}"# }
    lines.append(#"{"records":\#(keys.count),"shards":1}"#)
    let input = Bytes(Array(lines.joined(separator: "\n").utf8))
    return try RecordingReader { memory throws(RecordingFileError) in input.read(into: memory) }
  }

  /// What happened to twenty records of shard 0: 5 to 9 failed, 12 is under retry, those behind it wait.
  private func recorded(
    redacted: [String] = [], isEnded: Bool = true, hasOutcomes: Bool = true
  ) throws -> RecordedRun {
    var header = RecordingHeader(stream: "s", kind: .kinesis, streamCreatedAt: .zero, madeAt: .zero)
    header.redacted = redacted
    if hasOutcomes { header.outcomes = RecordingHeader.Outcomes(of: "m", at: .zero) }
    var writer = RecordingWriter(header)
    let shard = ShardNumber(0)
    writer.outline.shardOpened(
      RecordedShard(
        shard: shard, createdAt: .zero, createdAtSeconds: 0, hashKeys: .all, parents: [], first: .zero))
    if hasOutcomes {
      func range(_ first: UInt64, _ last: UInt64) -> RecordRange {
        RecordRange(first: RecordIndex(first), count: last - first + 1)
      }
      var failure = RecordedFailure(at: .zero, attempts: 2)
      failure.deliveries = [
        RecordedDelivery(
          begunAt: .zero, milliseconds: 3, kind: "error", type: "E", message: "bad", requestID: "r",
          batch: RecordedDelivery.Batch(first: RecordIndex(5), last: RecordIndex(9), count: 5))
      ]
      writer.outline.checkpoint(RecordedCheckpoint(next: RecordIndex(12), shard: shard, lane: 0))
      writer.outline.outcome(RecordedOutcome(.retrying, of: shard, records: [range(12, 12)], failure: failure))
      failure.condition = "RetryAttemptsExhausted"
      failure.entry = 1
      writer.outline.outcome(RecordedOutcome(.failed, of: shard, records: [range(5, 9)], failure: failure))
      writer.outline.outcome(RecordedOutcome(.passed, of: shard, records: [range(0, 4), range(10, 11)]))
      writer.outline.outcome(RecordedOutcome(.waiting, of: shard, records: [range(13, 19)]))
    }
    if isEnded { writer.outline.end() }
    var bytes: [UInt8] = []
    writer.take { bytes = Array($0) }
    let input = Bytes(bytes)
    return try RecordedRun(
      try RecordingReader { memory throws(RecordingFileError) in input.read(into: memory) })
  }

  private final class Bytes {
    private var rest: ArraySlice<UInt8>
    init(_ bytes: [UInt8]) { rest = bytes[...] }

    func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
      let piece = rest.prefix(memory.count)
      memory.copyBytes(from: piece)
      rest = rest.dropFirst(piece.count)
      return piece.count
    }
  }

  @Test(
    "what really happened is compared with a run: what nobody knows is counted, and told to be neither good nor bad")
  func whatHappened() throws {
    let happened = RunFile(try recorded())
    let fixed = try run([invocation(0...9), invocation(10...15)])
    let difference = RunDifference(happened, fixed)
    #expect(difference.newlySucceeding.map { [$0.first, $0.last] } == [[5, 9], [12, 12]])
    #expect(
      difference.newlySucceeding.map(\.before) == [
        "RetryAttemptsExhausted: E: bad", "under retry after 2 attempts: E: bad",
      ])
    #expect(difference.newlyFailing.isEmpty && difference.failingOtherwise.isEmpty && difference.settings.isEmpty)
    // Those that wait.
    #expect(difference.notCompared == 7 && difference.invocations == [nil, 2])

    // The same failure is none that is new; a record that the run filtered out is not compared.
    let same = try run([
      invocation(0...4), invocation(5...9, "failed"), left(5...9, "RetryAttemptsExhausted"), invocation(10...10),
      invocation(12...12, "failed"), left(12...12, "RetryAttemptsExhausted"),
    ])
    let likewise = RunDifference(happened, same)
    #expect(likewise.newlySucceeding.isEmpty && likewise.newlyFailing.isEmpty && likewise.notCompared == 8)
    #expect(likewise.failingOtherwise.map(\.first) == [12])
    let worse = RunDifference(happened, try run([invocation(0...4, "failed"), left(0...4, "RecordAgeExceeded")]))
    #expect(worse.newlyFailing.map { [$0.first, $0.last] } == [[0, 4]])

    // Messages that were taken out are not compared.
    let redacted = RunFile(try recorded(redacted: ["name"]))
    #expect(RunDifference(redacted, same).failingOtherwise.map(\.first) == [12])
    #expect(RunDifference(redacted, same).failingOtherwise.map(\.after) == ["RetryAttemptsExhausted"])
  }

  @Test("a recording that does not tell what happened, or not to its end, is refused")
  func notTold() throws {
    #expect(throws: RecordedRun.Problem.self) { try recorded(hasOutcomes: false) }
    #expect(throws: RecordedRun.Problem.self) { try recorded(isEnded: false) }
  }

  @Test("answers are compared where the same batch succeeded; another reason to fail is told")
  func answers() throws {
    let before = try run([
      invocation(0...4, answer: "a"), invocation(5...9, answer: "b"), left(10...10, "RetryAttemptsExhausted"),
    ])
    let after = try run([
      invocation(0...4, answer: "a"), invocation(5...9, answer: "c"), left(10...10, "RecordAgeExceeded"),
    ])
    let difference = RunDifference(before, after)
    #expect(difference.comparedAnswers == 2 && difference.answers.map(\.after) == ["c"])
    #expect(difference.failingOtherwise.map(\.after) == ["RecordAgeExceeded"])
    #expect(difference.newlyFailing.isEmpty && difference.newlySucceeding.isEmpty && difference.settings.isEmpty)
  }

  @Test("of the same records it is told how many answers were compared, and where none could be")
  func sameness() throws {
    let before = try run([invocation(0...4), invocation(5...9)])
    #expect(
      RunDifference(before, before).sameness == "every record came to the same, and none of 2 answers changed")
    let larger = RunDifference(before, try run([invocation(0...9)]))
    #expect(larger.isSame && larger.comparedAnswers == 0 && larger.sameness.contains("no answers were compared"))
    let states = try run([window(0, "3")])
    #expect(RunDifference(states, states).sameness.hasSuffix("and none of 1 tumbling windows came to another state"))
    let happened = RunDifference(RunFile(try recorded()), try run([invocation(0...4)]))
    #expect(happened.sameness.contains("nobody knows the answers"))
  }

  @Test("long texts are shown from where they begin to differ")
  func changedTexts() {
    let equal = String(repeating: "x", count: 500)
    let texts = ChangedText(equal + "1", equal + "2", limit: 100)
    let context = "…" + String(repeating: "x", count: 30)
    #expect(texts.before == context + "1" && texts.after == context + "2")
    #expect(ChangedText("abc", "abd", limit: 100).before == "abc")
    #expect(ChangedText(equal, equal + "2", limit: 100).after == context + "2")
  }

  private func window(_ begin: Int, _ state: String?, took: Int? = nil) -> String {
    let more = (state.map { #","state":"\#($0)""# } ?? "") + (took.map { #","tookMicroseconds":\#($0)"# } ?? "")
    return #"{"attempt":1,"begunAt":0,"endedAt":\#(begin),"invocation":1,"lane":0,"records":[[0,1]],"#
      + #""result":"succeeded","shard":0,"window":[\#(begin),\#(begin + 10)]\#(more)}"#
  }

  @Test("the last state of each tumbling window counts; one that only one run has is told")
  func windows() throws {
    let before = try run([window(0, "1"), window(0, "3"), window(0, nil), window(10, "9"), window(20, "x")])
    let after = try run([window(0, "3"), window(10, "9"), window(10, "8")])
    let difference = RunDifference(before, after)
    #expect(!difference.isSame && difference.comparedWindows == 2 && difference.newlyFailing.isEmpty)
    #expect(difference.windows.map(\.begin) == [10, 20])
    #expect(difference.windows.map(\.before) == ["9", "x"] && difference.windows.map(\.after) == ["8", nil])
    #expect(RunDifference(before, before).isSame)
  }

  @Test("what was measured is told and changes nothing")
  func durations() throws {
    let before = try run((1...100).map { window(0, "s", took: $0 * 100) })
    let after = try run((1...100).map { window(0, "s", took: $0 * 300) })
    let difference = RunDifference(before, after)
    #expect(difference.isSame)
    #expect(difference.durations.map { $0?.median } == [5_100, 15_300])
    #expect(difference.durations.map { $0?.ninetyNinth } == [10_000, 30_000])
    #expect(difference.durations.map { $0?.total } == [505_000, 1_515_000])
    #expect(RunDifference(try run([window(0, "s")]), after).durations[0] == nil)
  }

  @Test("the page is whole: every change, pictures, no text of a handler as markup, and nothing from elsewhere")
  func page() throws {
    let hostile = "<script>alert('x')</script> & more"
    let before = try run([invocation(0...4, answer: hostile), invocation(5...9, "failed"), left(5...9, "Exhausted")])
    let after = try run([invocation(0...4, answer: "fine"), invocation(5...9), window(0, "new", took: 5)])
    let page = RunReport(before, after, RunDifference(before, after), names: ["old <1>.run", "new.run"]).html
    #expect(page.hasPrefix("<!doctype html>") && page.hasSuffix("</html>\n"))
    #expect(!page.contains("<script") && page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more"))
    #expect(page.contains("old &lt;1&gt;.run → new.run"))
    #expect(!page.contains("http") && !page.contains("src=") && !page.contains("url("))
    // Every bracket of a picture is closed.
    #expect(page.ranges(of: "<svg").count == 3 && page.ranges(of: "</svg>").count == 3)
    for part in ["5 records newly succeed", "1 answers changed", "1 windows came to another state"] {
      #expect(page.contains(part), "\(part)")
    }
    // Records 5 to 9 are red before and green after.
    #expect(page.contains("<rect x='555' y='4' width='405' height='16' fill='#c8412f'/>"))
    #expect(page.contains("<rect x='150' y='22' width='810' height='16' fill='#3d9a5f'/>"))
    let same = RunReport(before, before, RunDifference(before, before), names: ["a", "b"]).html
    #expect(same.contains("Every record came to the same") && !same.contains("Changed answers"))
  }

  @Test(
    "what is not a run is refused with its line",
    arguments: [
      ([], "line 1: the file is empty"), (["{}"], "line 1: this is not a run file"),
      ([#"{"run":2}"#], "line 1: the run is of format 2"), ([head], "line 1: the run has no end"),
      ([head, "x"], "line 2: the line is none of a run file"), ([head, end, end], "line 3: something follows"),
    ])
  func refused(lines: [String], reason: String) {
    #expect {
      var left = lines[...]
      _ = try RunFile { left.popFirst().map { Array($0.utf8)[...] } }
    } throws: {
      "\($0)".contains(reason)
    }
  }
}
