import StreamModel
import Testing

@testable import Recordings

@Suite("Recordings")
struct RecordingTests {
  @Test(
    "what was written is read, record by record, whatever the pieces in which the file comes",
    arguments: [1, 7, 4096, .max])
  func roundTrip(piece: Int) {
    let read = Read(Sample.write().bytes, piece: piece)
    #expect(read.error == nil)
    #expect(read.puts == Sample.puts)
    #expect(read.lines == [.shardOpened(Sample.shard(0)), .shardOpened(Sample.shard(1))])
    #expect(read.ending == .complete)
  }

  @Test("each line is what the specification says")
  func text() throws {
    let lines = Sample.write().lines.map { String(decoding: $0, as: UTF8.self) }
    #expect(lines.count == 11)
    #expect(lines[0].hasPrefix(#"{"recording":1,"stream":"flights","kind":"kinesis","streamCreatedAt":1700000000000,"#))
    let number = Sample.shard(0).sequenceNumber(of: .zero)
    #expect(
      lines[3].hasPrefix(
        #"{"shard":0,"index":0,"sequenceNumber":"\#(number)","arrival":1700000000001,"key":"N14228","json":{"a":[1,2,{"b":null}]},"check":""#
      ))
    #expect(lines[4].contains(#""base64":"AAEC/w==""#))
    #expect(lines[5].contains(#""hashKey":"340282366920938463463374607431768211455","base64":"","#))
    #expect(lines[6].contains(#""key":"key","lineage":3,"base64":"#))
    #expect(lines[7].contains(#""hashKey":"7","lineage":255,"base64":"#))
    #expect(lines.count { $0.contains("lineage") } == 2)
    #expect(lines[10].hasPrefix(#"{"records":7,"shards":2,"digest":""#))
  }

  @Test("cut at any byte, it is valid up to there, and says where it ends")
  func truncated() throws {
    let whole = Sample.write()
    let headEnd = whole.lines[0].count
    for count in 0..<whole.bytes.count {
      let read = Read(Array(whole.bytes[..<count]))
      #expect(Read(Array(whole.bytes[..<count]), inRuns: true, byteLimit: count % 7 * 40).byShard == read.byShard)
      guard count >= headEnd else {
        let problem = try #require(read.problem, "\(count)")
        #expect(read.error != nil && problem.line == 1 && problem.record == 1)
        continue
      }
      #expect(read.error == nil, "\(count)")
      #expect(Array(Sample.puts.prefix(read.puts.count)) == read.puts)
      // The end may lack its line feed.
      if count == whole.bytes.count - 1 {
        #expect(read.ending == .complete)
        continue
      }
      let problem = try #require(read.problem, "\(count)")
      #expect(problem.record == UInt64(read.puts.count) + 1)
      #expect(problem.byte <= UInt64(count))
    }
  }

  @Test("one changed byte anywhere is found and named")
  func corrupted() throws {
    let whole = Sample.write()
    // That the header has lost its check shows at the next line, which has one.
    let headEnd = whole.lines[0].count
    for place in whole.bytes.indices {
      for change: UInt8 in [1, 0x80, whole.bytes[place] ^ 10] where change != 0 {
        var bytes = whole.bytes
        bytes[place] ^= change
        let read = Read(bytes)
        #expect(Read(bytes, inRuns: true).byShard == read.byShard)
        // Without its line feed the end is the end.
        if place == bytes.count - 1, read.ending == .complete { continue }
        let problem = try #require(read.problem, "byte \(place) changed by \(change) was not noticed")
        #expect(problem.byte <= UInt64(max(place, headEnd)) + 1 && !problem.reason.isEmpty)
      }
    }
  }

  @Test("lines that are left out are counted and told, and what is whole is read")
  func skipped() throws {
    var lines = Sample.write().lines
    lines[5][20] ^= 1
    lines[6].removeLast(3)
    let bytes = Array(lines.joined(separator: [10])) + [10]
    #expect(Read(bytes, badLineLimit: 1).error != nil)
    let read = Read(bytes, badLineLimit: 9)
    #expect(read.error == nil)
    #expect(read.puts == Sample.puts.filter { !($0.shard == 0 && $0.index > 0) })
    #expect(read.skipped.map(\.line) == [6, 7])
    #expect(read.skipped.map(\.record) == [3, 3])
    #expect(read.ending == .complete)
  }

  @Test("one damage counts once: a line that is left out and the gap behind it are both named")
  func oneDamage() {
    let lines = Sample.write().lines
    func read(_ lines: [[UInt8]], upTo limit: Int) -> Read {
      Read(Array(lines.joined(separator: [10])) + [10], badLineLimit: limit)
    }
    // The first record of shard 0: its second one stands behind it.
    var changed = lines
    changed[3][20] ^= 1
    let one = read(changed, upTo: 1)
    #expect(one.error == nil && one.puts == Sample.puts.filter { !($0.shard == 0 && $0.index == 0) })
    #expect(one.skipped.map(\.line) == [4, 6] && one.skipped.map(\.record) == [1, 2])
    #expect(one.skipped[1].reason.contains("records 0 to 0 of shardId-000000000000 are missing before record 1"))
    #expect(one.skipped[1].byte == UInt64(lines[..<5].reduce(0) { $0 + $1.count + 1 }))

    // A line feed that was damaged makes one line of two, of both shards.
    changed = lines
    changed[3] += [32] + changed.remove(at: 4)
    let joined = read(changed, upTo: 1)
    #expect(joined.error == nil && joined.puts == Array(Sample.puts.dropFirst(2)))
    #expect(joined.skipped.map(\.line) == [4, 5, 7])

    // What no line explains is a damage of its own.
    changed = lines
    changed.remove(at: 7)
    changed[3][20] ^= 1
    #expect(read(changed, upTo: 1).problem?.reason.contains("records 1 to 1 of shardId-000000000001") == true)
    #expect(read(changed, upTo: 2).error == nil)

    // A record that is there twice takes none away.
    changed = lines
    changed[5] = lines[3]
    #expect(read(changed, upTo: 1).problem?.reason.contains("records 1 to 1 of shardId-000000000000") == true)
    #expect(read(changed, upTo: 2).error == nil)
  }

  @Test("records that are said to be missing may stand behind a line that is left out")
  func gapBeforeMissing() {
    var lines = [
      #"{"recording":1,"stream":"s","kind":"kinesis","streamCreatedAt":0,"madeAt":0}"#,
      #"{"shardOpened":3,"at":0,"createdAtSeconds":0,"hashKeys":["0","99"],"parents":[],"first":5}"#,
      #"{"shard":3,"index":5,"arrival":4,"key":"k","json":1}"#,
      #"{"missing":3,"first":6,"count":2}"#,
      #"{"shard":3,"index":8,"arrival":4,"key":"k","json":true}"#,
      #"{"records":2,"shards":1}"#,
    ]
    lines[2] = "?" + lines[2]
    let text = Array(lines.joined(separator: "\n").utf8)
    #expect(Read(text).problem?.line == 3)
    let read = Read(text, badLineLimit: 1)
    #expect(read.error == nil && read.puts.map(\.index) == [8] && read.skipped.map(\.line) == [3, 4])
  }

  @Test("lines that were lost, doubled or exchanged are found")
  func moved() {
    let lines = Sample.write().lines
    func problem(_ lines: [[UInt8]]) -> String {
      Read(Array(lines.joined(separator: [10])) + [10]).problem?.reason ?? ""
    }
    var changed = lines
    changed.remove(at: 5)
    #expect(problem(changed).contains("records 1 to 1 of shardId-000000000000 are missing before record 2"))
    let cut = Array(changed.joined(separator: [10])) + [10]
    #expect(Read(cut, badLineLimit: 1).skipped.map(\.byte) == [Read(cut).problem?.byte])
    changed = lines
    changed.insert(lines[5], at: 6)
    #expect(problem(changed).contains("record 1 of shardId-000000000000 is out of order: 2 or a later one follows"))
    changed = lines
    changed.swapAt(3, 4)
    #expect(problem(changed).contains("exchanged"))
    changed = lines
    changed.remove(at: 9)
    #expect(problem(changed).contains("says that it holds 7 records, and there are 6"))
    #expect(problem(lines + lines).contains("something follows the end"))
    changed = lines
    changed.insert(lines[0], at: 4)
    #expect(problem(changed).contains("another recording begins here"))
    changed = lines
    changed[0] = Array(#"{"recording":3,"stream":"s"}"#.utf8)
    #expect(problem(changed).contains("it is of format 3, and this program reads formats 1 to 2"))
  }

  @Test("a recording that another program wrote is read with care: any order, spaces, no checks")
  func foreign() {
    let number = Sample.shard(3, first: 5).sequenceNumber(of: RecordIndex(5))
    let text = """
      { "recording" : 1 , "kind":"kinesis","stream":"orders","streamCreatedAt":0,"madeAt":0, "unknown":{"a":1}}
      {"shardOpened":3,"at":0,"createdAtSeconds":1700000000,"hashKeys":["0","99"],"parents":[],"first":5}
      {"shard":3,"json": {"a" : "\\u00e9"} ,"index":5,"key":"\\u00e9","arrival":-4,"sequenceNumber":"\(number)"}
      {"shard":3,"index":6,"arrival":4,"key":"k","base64":"aGk="}
      {"missing":3,"first":7,"count":2}
      {"shard":3,"index":9,"arrival":4,"key":"k","hashKey":"5","json":true}
      {"shardClosed":3,"at":7,"end":10}
      {"records":3,"shards":1}
      """
    let read = Read(Array(text.utf8))
    #expect(read.error == nil)
    #expect(read.ending == .complete)
    #expect(
      read.puts == [
        Put(shard: 3, index: 5, arrival: -4, key: "é", data: Array(#"{"a" : "\u00e9"}"#.utf8)),
        Put(shard: 3, index: 6, arrival: 4, key: "k", data: Array("hi".utf8)),
        Put(shard: 3, index: 9, arrival: 4, key: "k", data: Array("true".utf8), hashKey: HashKey(5)),
      ])
    #expect(read.lines.count == 3)
  }

  @Test(
    "what a line may not say is refused with its field",
    arguments: [
      (#"{"shard":1,"index":0,"arrival":1,"key":"k","json":1}"#, "shardId-000000000001 was not opened"),
      (#"{"shard":0,"index":-1,"arrival":1,"key":"k","json":1}"#, "index is -1: allowed are 0 to"),
      (#"{"shard":0,"index":0,"key":"k","json":1}"#, "arrival is missing"),
      (#"{"shard":0,"index":0,"arrival":1,"key":"","json":1}"#, "key has 0 bytes"),
      (#"{"shard":0,"index":0,"arrival":1,"key":"k"}"#, "the payload is missing"),
      (#"{"shard":0,"index":0,"arrival":1,"key":"k","json":1,"base64":""}"#, "two payloads"),
      (#"{"shard":0,"index":0,"arrival":1,"key":"k","base64":"A==="}"#, "base64 is not base64"),
      (#"{"shard":0,"index":0,"arrival":1,"key":"k","base64":"aGl="}"#, "base64 is not base64"),
      (#"{"shard":0,"index":0,"arrival":1,"key":"k","hashKey":"x","json":1}"#, "hashKey must be a number"),
      (#"{"shard":0,"index":0,"arrival":1,"key":"k","sequenceNumber":"7","json":1}"#, "sequenceNumber is not that"),
      (#"{"shard":0.5}"#, "shard must be a whole number"), (#"[1]"#, "not a JSON object"), ("", "not a JSON object"),
      (#"{"other":1}"#, #"its first member is "other""#), (#"{"shardClosed":0,"at":1,"end":-1}"#, "end is -1"),
      (#"{"shardOpened":0}"#, "opened twice"),
      (#"{"shardOpened":1,"hashKeys":["1"]}"#, "hashKeys must be the first and the last"),
      (#"{"shardOpened":1,"hashKeys":["0","1"],"parents":[7]}"#, "parents of shardId-000000000001 holds 7"),
    ])
  func refused(line: String, reason: String) throws {
    let text = """
      {"recording":1,"kind":"kinesis","stream":"s","streamCreatedAt":0,"madeAt":0}
      {"shardOpened":0,"at":0,"createdAtSeconds":0,"hashKeys":["0","99"],"parents":[],"first":0}
      \(line)

      """
    let problem = try #require(Read(Array(text.utf8)).problem)
    #expect(problem.reason.contains(reason), "\(problem)")
    #expect(problem.line == 3 && problem.record == 1)
  }

  @Test("what a recording of a table's changes holds must be changes: whoever writes events relies on it")
  func changes() throws {
    let change = #"{"eventName":"REMOVE","dynamodb":{"Keys":{"id":{"S":"a"}},"StreamViewType":"KEYS_ONLY"}}"#
    for (payload, reason) in [(change, nil), (#"{"a":1}"#, "the payload is no change of a table: a is there")] {
      var header = Sample.header
      header.kind = .dynamodb
      let read = Read(Sample.write([Put(index: 0, arrival: 1, data: Array(payload.utf8))], header: header).bytes)
      #expect(read.puts.count == (reason == nil ? 1 : 0))
      if let reason { #expect(read.problem?.reason.hasPrefix(reason) == true) }
    }
  }

  @Test("an arrival that steps back is refused: windows and ages would be wrong")
  func arrivals() {
    var puts = Array(Sample.puts.prefix(1))
    puts.append(Put(index: 1, arrival: 5, data: []))
    #expect(Read(Sample.write(puts).bytes).problem?.reason.contains("steps back") == true)
  }

  @Test("redacted fields are gone, at any depth and in lists, and what is not JSON as a whole")
  func redaction() {
    var header = Sample.header
    header.redacted = ["crew.name", "tail"]
    let puts = [
      Put(
        index: 0, arrival: 1,
        data: Array(#"{"tail": "N1", "crew":[{"name":{"x":1},"id":2}, {"name":null}],"z":1 }"#.utf8)),
      Put(index: 1, arrival: 1, data: Array("secret".utf8)),
      Put(index: 2, arrival: 1, data: Array(#"{"name":1,"t\u0061il":[1,2]}"#.utf8)),
    ]
    let bytes = Sample.write(puts, header: header).bytes
    #expect(
      Read(bytes).puts.map { String(decoding: $0.data, as: UTF8.self) } == [
        #"{"tail": "[redacted]", "crew":[{"name":"[redacted]","id":2}, {"name":"[redacted]"}],"z":1 }"#,
        #""[redacted]""#, #"{"name":1,"t\u0061il":"[redacted]"}"#,
      ])
  }

  @Test("random records of all shapes come back as they were, and random damage never goes unnoticed")
  func property() throws {
    var random = SplitMix64(seed: 7)
    for _ in 0..<60 {
      var puts: [Put] = []
      var arrival: Int64 = -5
      for index in 0..<UInt64.random(in: 1...30, using: &random) {
        arrival += .random(in: 0...3, using: &random)
        let length = Int.random(in: 0...40, using: &random)
        let data: [UInt8] =
          switch Int.random(in: 0...2, using: &random) {
          case 0: (0..<length).map { _ in .random(in: .min ... .max, using: &random) }
          case 1: Array(#"{"n":\#(length),"t":"ü"}"#.utf8)
          default: Array(String(length).utf8)
          }
        let scalars = (0...Int.random(in: 0...5, using: &random)).map { _ in
          Unicode.Scalar(UInt32.random(in: 1...0x24ff, using: &random)) ?? "x"
        }
        let hashKey = Bool.random(using: &random) ? HashKey(.random(in: .min ... .max, using: &random)) : nil
        puts.append(
          Put(
            index: index, arrival: arrival, key: String(String.UnicodeScalarView(scalars)), data: data,
            hashKey: hashKey))
      }
      let bytes = Sample.write(puts).bytes
      #expect(Read(bytes).puts == puts)
      #expect(Read(bytes, inRuns: true).byShard == Read(bytes).byShard)
      var damaged = bytes
      let place = Int.random(in: 0..<bytes.count - 1, using: &random)
      switch Int.random(in: 0...2, using: &random) {
      case 0: damaged[place] ^= UInt8.random(in: 1...255, using: &random)
      case 1: damaged.remove(at: place)
      default: damaged.insert(.random(in: .min ... .max, using: &random), at: place)
      }
      if damaged != bytes { #expect(Read(damaged).problem != nil) }
      // However many lines may be left out, reading comes to an end.
      let read = Read(damaged, badLineLimit: .max)
      #expect(read.puts.count <= puts.count)
      #expect(Read(damaged, badLineLimit: .max, inRuns: true).byShard == read.byShard)
    }
  }

  @Test("the pseudonym of a key is half of its HMAC-SHA256, with a secret of any length", arguments: pseudonyms)
  func pseudonym(secret: [UInt8], key: String, expected: String) {
    let pseudonyms = KeyPseudonyms(secret: secret)
    let own = Array(key.utf8).withUnsafeBytes { pseudonyms.pseudonym(of: $0) }
    #expect(String(decoding: own, as: UTF8.self) == expected)
  }

  /// Of RFC 4231: cases 1, 2 and 6.
  private static let pseudonyms: [([UInt8], String, String)] = [
    (Array(repeating: 0x0b, count: 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b"),
    (Array("Jefe".utf8), "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c7"),
    (
      Array(repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f"
    ),
  ]

  @Test("keys become pseudonyms: the same one for the same key, and everything else stays")
  func keys() throws {
    func read(_ secret: String?) -> Read {
      var header = Sample.header
      header.keys = .pseudonyms
      header.keySecret = secret.map { Array($0.utf8) }
      return Read(Sample.write(header: header).bytes)
    }
    let redacted = read("a secret of sixteen")
    #expect(redacted.error == nil && redacted.ending == .complete)
    #expect(redacted.header?.keys == .pseudonyms && redacted.header?.isRedacted == true)
    var plain = redacted.puts
    for place in plain.indices { plain[place].key = Sample.puts[place].key }
    #expect(plain == Sample.puts)
    let names = zip(Sample.puts, redacted.puts).map { ($0.key, $1.key) }
    #expect(names.allSatisfy { $1.count == 32 && $1.allSatisfy(\.isHexDigit) })
    // As many of them as there are keys.
    #expect(Set(names.map(\.1)).count == Set(names.map(\.0)).count)
    #expect(Dictionary(names) { $0 == $1 ? $0 : "another one" }.values.allSatisfy { $0 != "another one" })
    #expect(read("a secret of sixteen").puts == redacted.puts)
    #expect(read(nil).puts.map(\.key) != redacted.puts.map(\.key) && read(nil).puts != read(nil).puts)
  }

  @Test("outcomes make a recording of format 2, which says so; what it holds is read as it was written")
  func outcomes() throws {
    var header = Sample.header
    header.outcomes = RecordingHeader.Outcomes(of: "flights-delays", at: WallTime(milliseconds: 5))
    var failure = RecordedFailure(at: WallTime(milliseconds: 7), attempts: 3)
    failure.deliveries = [
      RecordedDelivery(
        begunAt: WallTime(milliseconds: 6), milliseconds: 12, kind: "error", type: "Type\"Error", message: "line\nline",
        requestID: "id", batch: RecordedDelivery.Batch(first: RecordIndex(0), last: RecordIndex(9), count: 8))
    ]
    failure.omittedDeliveries = 2
    let retrying = RecordedOutcome(
      .retrying, of: ShardNumber(0), records: [RecordRange(first: RecordIndex(3), count: 2)], failure: failure)
    failure.entry = 4
    failure.condition = "RetryAttemptsExhausted"
    failure.redrives = 1
    let all: [RecordingLine] = [
      .checkpoint(RecordedCheckpoint(next: RecordIndex(3), shard: ShardNumber(0), lane: 1)),
      .outcome(
        RecordedOutcome(
          .failed, of: ShardNumber(0), records: [RecordRange(first: RecordIndex(1), count: 1)], failure: failure)),
      .outcome(retrying),
      .outcome(
        RecordedOutcome(
          .passed, of: ShardNumber(1),
          records: [RecordRange(first: .zero, count: 1), RecordRange(first: RecordIndex(2), count: 5)])),
      .outcome(RecordedOutcome(.waiting, of: ShardNumber(1), records: [])),
    ]
    func write(_ header: RecordingHeader) -> Written {
      var writer = RecordingWriter(header)
      for shard: UInt32 in 0..<2 { writer.outline.shardOpened(Sample.shard(shard)) }
      for line in all {
        if case .checkpoint(let checkpoint) = line { writer.outline.checkpoint(checkpoint) }
        if case .outcome(let outcome) = line { writer.outline.outcome(outcome) }
      }
      writer.outline.end()
      var bytes: [UInt8] = []
      writer.take { bytes = Array($0) }
      return Written(bytes: bytes)
    }
    let written = write(header)
    #expect(String(decoding: written.lines[0], as: UTF8.self).hasPrefix(#"{"recording":2,"#))
    let read = Read(written.bytes)
    #expect(read.problem == nil && read.header?.outcomes == header.outcomes && read.ending == .complete)
    #expect(Array(read.lines.dropFirst(2)) == all)

    // What handlers said may hold what was taken out.
    header.redacted = ["name"]
    let redacted = write(header)
    #expect(!String(decoding: redacted.bytes, as: UTF8.self).contains("line\\nline"))

    // Lines of format 2 under a header of format 1, and a version that nobody knows.
    let checkless = written.lines.map { line -> String in
      let text = String(decoding: line, as: UTF8.self)
      return text.prefix(text.count - 20) + "}"
    }
    func changed(_ from: String, _ to: String) -> Read {
      Read(Array(checkless.map { $0.replacing(from, with: to) + "\n" }.joined().utf8))
    }
    #expect(changed("", "").problem == nil)
    let mixed = changed(#""recording":2"#, #""recording":1"#)
    #expect(mixed.problem?.line == 4 && mixed.problem?.reason.contains("the header says") ?? false, "\(mixed)")
    let newer = changed(#""recording":2"#, #""recording":3"#)
    #expect(newer.problem?.reason.contains("reads formats 1 to 2") ?? false, "\(newer)")
    for (from, to, reason) in [
      (#""outcome":"passed""#, #""outcome":"past""#, "allowed are passed"),
      ("[[0,0],[2,6]]", "[[2,6],[0,0]]", "in their order"), ("[[0,0],", "[[1,0],", "first and the last"),
      (#""attempts":3"#, #""attempts":"3""#, "attempts must be a whole number"),
      (#""outcome":"waiting","shard":1"#, #""outcome":"waiting","shard":7"#, "was not opened"),
    ] {
      let bad = changed(from, to)
      #expect(bad.problem?.reason.contains(reason) ?? false, "\(to): \(bad)")
    }
  }
}
