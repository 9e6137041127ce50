import StreamModel
import Testing

@testable import Recordings

@Suite("Recordings: putting more in order than memory holds")
struct SortingTests {
  /// A world of files that is decided by its seed: copies of records, arrivals that step back, records without numbers.
  private struct World {
    var files: [[UInt8]] = []
    var settings = ImportSettings()
    var format: ImportFormat

    init(seed: UInt64, _ format: ImportFormat) {
      self.format = format
      var dice = SplitMix64(seed: seed)
      settings.shardCount = Int.random(in: 1...5, using: &dice)
      (settings.keyField, settings.timeField, settings.badRecordLimit) = ("k", "t", 1_000)
      for _ in 0..<Int.random(in: 1...3, using: &dice) {
        var records: [String] = []
        for _ in 0..<Int.random(in: 0...120, using: &dice) { records.append(Self.record(format, &dice)) }
        switch format {
        case .lines, .tableExport: files.append(Array((records.joined(separator: "\n") + "\n").utf8))
        case .csv: files.append(Array((["t,k,x"] + records).joined(separator: "\r\n").utf8))
        case .kinesisRecords, .tableRecords, .lambdaEvent:
          let half = records.count / 2
          let pages = [records[..<half], records[half...]].map { #"{"Records":[\#($0.joined(separator: ", "))]}"# }
          files.append(Array(pages.joined(separator: "\n ").utf8))
        }
      }
    }

    private static func record(_ format: ImportFormat, _ dice: inout SplitMix64) -> String {
      let number = UInt64.random(in: 0...60, using: &dice)
      let time = 1_700_000_000 + Int.random(in: -3...3, using: &dice) * Int.random(in: 0...1_000, using: &dice)
      let key = "k\(Int.random(in: 0...9, using: &dice))"
      let text = String(repeating: "é", count: Int.random(in: 0...90, using: &dice))
      let shard = UInt32.random(in: 0...2, using: &dice)
      let place = SequenceNumber(
        shardCreatedAtSeconds: 1_700_000_000, shard: ShardNumber(shard), index: RecordIndex(number))
      switch format {
      case .lines:
        return Bool.random(using: &dice) || number > 0 ? #"{"t":\#(time),"k":"\#(key)","x":"\#(text)"}"# : "nonsense"
      case .csv: return "\(time),\(key),\"\(text)\n\"\"\""
      case .tableExport:
        return
          #"{"Metadata":{"WriteTimestampMicros":{"N":"\#(time)000000"}},"Keys":{"id":{"S":"\#(key)"}},"NewImage":{"x":{"S":"\#(text)"}}}"#
      case .kinesisRecords:
        return
          #"{"SequenceNumber":"\#(place)","ApproximateArrivalTimestamp":\#(time),"Data":"","PartitionKey":"\#(key)\#(text)"}"#
      case .lambdaEvent:
        return #"{"kinesis":{"partitionKey":"\#(key)\#(text)","sequenceNumber":"\#(place)","data":"SGk=","#
          + #""approximateArrivalTimestamp":\#(time)},"eventSource":"aws:kinesis","eventID":"\#(ShardNumber(shard)):\#(place)"}"#
      case .tableRecords:
        // One identity may have several numbers here, and a shard records without any.
        let digits = Int.random(in: 0...40, using: &dice)
        let numbered = digits == 0 ? "" : #","SequenceNumber":"\#(Self.sequenceNumber(digits))""#
        return
          #"{"eventID":"\#(Self.eventID(number))","eventName":"INSERT","dynamodb":{"ApproximateCreationDateTime":\#(time),"#
          + #""Keys":{"id":{"S":"\#(key)"}},"NewImage":{"x":{"S":"\#(text)"}}\#(numbered),"StreamViewType":"NEW_IMAGE"}}"#
      }
    }

    /// Those of great numbers are a digit longer, and come behind the shorter ones.
    static func sequenceNumber(_ number: Int) -> String {
      (number > 20 ? "1" : "") + "1" + eventID(UInt64(number)).suffix(20)
    }

    static func eventID(_ number: UInt64) -> String {
      let digits = String(number)
      return String(repeating: "0", count: 32 - digits.count) + digits
    }

    func recording(memory: Int, piece: Int) throws -> ImportedRecording {
      var settings = settings
      settings.sortingByteLimit = memory
      return try Imported.recording(of: files, settings, format: format, piece: piece)
    }
  }

  @Test(
    "a memory for one record, and files read in small pieces, make the same recording as much memory does",
    arguments: ImportFormat.allCases)
  func property(format: ImportFormat) throws {
    for seed in UInt64(1)...6 {
      let world = World(seed: seed, format)
      let whole = try world.recording(memory: 64 << 20, piece: .max)
      let text = try Imported.text(whole)
      #expect(
        whole.skipped.allSatisfy { $0.problem.reason.contains("JSON") }, "\(whole.skipped.first?.description ?? "")")
      for (memory, piece) in [(1, 1), (700, 13), (20_000, 1_000)] {
        let other = try world.recording(memory: memory, piece: piece)
        #expect(try Imported.text(other) == text, "seed \(seed), memory \(memory)")
        #expect(other.duplicates == whole.duplicates && other.liftedArrivals == whole.liftedArrivals)
        #expect(other.skipped == whole.skipped && other.recordCount == whole.recordCount)
      }
    }
  }

  /// How the records of a page are to be put in order, said as simply as can be.
  private func expected(_ records: [(id: UInt64, digits: Int?, time: Int)]) -> [(id: UInt64, time: Int)] {
    let isNumbered = records.allSatisfy { $0.digits != nil }
    let ordered = records.enumerated().sorted { left, right in
      let (before, after) = (left.element, right.element)
      if isNumbered, let first = before.digits, let second = after.digits, first != second { return first < second }
      if !isNumbered, before.time != after.time { return before.time < after.time }
      return left.offset < right.offset
    }
    var (known, latest): (Set<UInt64>, Int) = ([], .min)
    return ordered.compactMap { _, record in
      guard known.insert(record.id).inserted else { return nil }
      latest = max(latest, record.time)
      return (record.id, latest)
    }
  }

  @Test(
    "of copies the first in the order of the shard stays, whether all have numbers or not", arguments: [true, false])
  func copies(areNumbered: Bool) throws {
    var dice = SplitMix64(seed: 7)
    for _ in 0..<40 {
      let records = (0..<Int.random(in: 1...30, using: &dice)).map { _ in
        (
          id: UInt64.random(in: 0...9, using: &dice),
          digits: areNumbered || Bool.random(using: &dice) ? Int?.some(Int.random(in: 1...200, using: &dice)) : nil,
          time: Int.random(in: 1...20, using: &dice)
        )
      }
      let changes = records.map { record in
        let numbered = record.digits.map { #","SequenceNumber":"\#(World.sequenceNumber($0))""# } ?? ""
        return #"{"eventID":"\#(World.eventID(record.id))","eventName":"REMOVE","dynamodb":"#
          + #"{"ApproximateCreationDateTime":\#(record.time),"Keys":{"id":{"S":"a"}}\#(numbered),"StreamViewType":"KEYS_ONLY"}}"#
      }
      var settings = ImportSettings()
      settings.sortingByteLimit = 500
      let recording = try Imported.recording(
        of: [Array(#"{"Records":[\#(changes.joined(separator: ","))]}"#.utf8)], settings, format: .tableRecords)
      let read = Read(try Imported.text(recording))
      let expected = expected(records)
      #expect(read.error == nil && read.ending == .complete)
      #expect(read.puts.map(\.arrival) == expected.map { Int64($0.time) * 1_000 })
      for (put, record) in zip(read.puts, expected) {
        #expect(String(decoding: put.data, as: UTF8.self).hasPrefix(#"{"eventID":"\#(World.eventID(record.id))""#))
      }
      #expect(recording.duplicates == UInt64(records.count - expected.count))
    }
  }

  @Test("entries come in the order of the bytes of their keys, of thousands of files too")
  func sorter() throws {
    var dice = SplitMix64(seed: 3)
    let keys = (0..<1_500).map { _ in
      (0..<Int.random(in: 0...12, using: &dice)).map { _ in UInt8.random(in: 0...3, using: &dice) }
    }
    for limit in [1, 300, 1 << 20] {
      let sorter = EntrySorter(byteLimit: limit, folder: "/tmp")
      for key in keys { try key.withUnsafeBytes { try sorter.add(key: key, body: $0) } }
      let sorted = try sorter.sorted()
      for _ in 0..<2 {
        let reading = try sorted.reading()
        var found: [[UInt8]] = []
        while try reading.next({ entry throws(RecordingFileError) in
          #expect(Array(entry.key) == Array(entry.body))
          found.append(Array(entry.key))
        }) {}
        #expect(found == keys.sorted { $0.lexicographicallyPrecedes($1) })
      }
    }
  }

  @Test("a folder that takes nothing is named")
  func noFolder() throws {
    var settings = ImportSettings()
    (settings.keyField, settings.timeField) = ("k", "t")
    (settings.sortingByteLimit, settings.sortingFolder) = (1, "/nowhere")
    #expect {
      _ = try Imported.recording(of: [Array(#"{"k":"a","t":1}"#.utf8)], settings)
    } throws: {
      "\($0)"
        == "/nowhere: No such file or directory, where records are put in order: the variable TMPDIR names another folder for that"
    }
  }
}
