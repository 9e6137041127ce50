import StreamModel
import Testing

@testable import Recordings

/// Recordings whose text is made on several threads.
@Suite("Recordings of drafts", .timeLimit(.minutes(10)))
struct DraftedRecordingTests {
  private struct Broken: Error {}

  /// So many drafts of one to forty records each, of two shards; the last one ends the recording.
  private func drafts(_ count: Int, header: RecordingHeader = Sample.header) -> [RecordingDraft] {
    var random = SplitMix64(seed: 5)
    var outline = RecordingOutline(header)
    var next: [UInt64] = [0, 0]
    for shard: UInt32 in 0..<2 { outline.shardOpened(Sample.shard(shard)) }
    return (0..<count).map { place in
      for _ in 0..<1 + random.next() % 40 {
        let shard = UInt32(random.next() % 2)
        let size = Int(random.next() % 300)
        let isJSON = random.next() % 3 > 0
        let data = isJSON ? Array(#"{"size":\#(size)}"#.utf8) : [UInt8](repeating: 7, count: size)
        let put = Put(
          shard: shard, index: next[Int(shard)], arrival: 1_700_000_000_000 + Int64(place), key: "key \(size)",
          data: data)
        next[Int(shard)] += 1
        outline.records(at: 0..<1, of: put.run, shard: ShardNumber(shard))
      }
      if place == count - 1 { outline.end() }
      return outline.take()
    }
  }

  /// What one thread writes.
  private func written(_ drafts: [RecordingDraft], header: RecordingHeader = Sample.header) -> (
    bytes: [UInt8], tally: RecordingTally
  ) {
    var text = RecordingText(Redaction(of: header))
    for draft in drafts {
      text.append(draft)
      if let shardCount = draft.shardCount { text.end(text.tally, shardCount: shardCount) }
    }
    var bytes: [UInt8] = []
    text.withBytes { bytes = Array($0) }
    return (bytes, text.tally)
  }

  @Test(
    "any number of threads makes the same text, byte for byte, in the order of the drafts", arguments: [0, 1, 2, 5])
  func sameText(threads: Int) throws {
    var redacted = Sample.header
    redacted.redacted = ["size"]
    for header in [Sample.header, redacted] {
      let drafts = drafts(300, header: header)
      let expected = written(drafts, header: header)
      var rest = drafts[...]
      var recording = DraftedRecording(header, threads: threads)
      var bytes: [UInt8] = []
      while try recording.next({ rest.popFirst() }) { recording.take { bytes += Array($0) } }
      #expect(bytes == expected.bytes)
      #expect(recording.tally.recordCount == expected.tally.recordCount)
      #expect(recording.tally.dataByteCount == expected.tally.dataByteCount)
      #expect(recording.tally.redactedWhole == expected.tally.redactedWhole)
      #expect(header.redacted.isEmpty == (expected.tally.redactedWhole == 0))
      let read = Read(bytes)
      #expect(read.error == nil && read.ending == .complete)
      #expect(UInt64(read.puts.count) == expected.tally.recordCount)
      // Nothing comes behind the end, however often one asks.
      #expect(try !recording.next { nil })
    }
  }

  @Test("compressed on any number of threads it is the same text, and each part is whole frames", arguments: [0, 1, 3])
  func compressed(threads: Int) throws {
    let drafts = drafts(60)
    let expected = written(drafts)
    var rest = drafts[...]
    var recording = DraftedRecording(Sample.header, compresses: true, threads: threads)
    var (bytes, text): ([UInt8], [UInt8]) = ([], [])
    while try recording.next({ rest.popFirst() }) {
      var frames: [UInt8] = []
      recording.take { frames = Array($0) }
      bytes += frames
      text += try expanded(frames)
    }
    #expect(text == expected.bytes && bytes.count < text.count)
    #expect(try expanded(bytes) == text)
    #expect(recording.tally.textByteCount == UInt64(text.count))
  }

  private func expanded(_ frames: [UInt8]) throws -> [UInt8] {
    var position = 0
    let format = try #require(Decompressor.Format(Array(frames.prefix(4))))
    let decompressor = Decompressor(format, path: "frames") { memory in
      let count = min(memory.count, frames.count - position)
      memory.copyBytes(from: frames[position..<position + count])
      position += count
      return count
    }
    var text: [UInt8] = []
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { memory.deallocate() }
    while true {
      let count = try decompressor.decompress(into: memory)
      if count == 0 { break }
      text += memory[..<count]
    }
    #expect(!decompressor.endedEarly)
    return text
  }

  @Test("it asks for a few drafts ahead, and no more: memory does not grow with the recording", arguments: [0, 1, 3])
  func fewAhead(threads: Int) throws {
    let drafts = drafts(200)
    var (given, taken, most) = (0, 0, 0)
    var recording = DraftedRecording(Sample.header, threads: threads)
    let next = { () -> RecordingDraft? in
      guard given < drafts.count else { return nil }
      given += 1
      most = max(most, given - taken)
      return drafts[given - 1]
    }
    while try recording.next(next) { taken += 1 }
    #expect(taken == drafts.count && most <= (threads + 1) * 3, "\(most) ahead")
  }

  @Test("what cannot be had ends it when all before it was handed out, with its own error", arguments: [0, 1, 3])
  func failing(threads: Int) throws {
    let drafts = drafts(20)
    var rest = drafts[..<9]
    var recording = DraftedRecording(Sample.header, threads: threads)
    var bytes: [UInt8] = []
    #expect(throws: Broken.self) {
      while try recording.next({
        guard let draft = rest.popFirst() else { throw Broken() }
        return draft
      }) { recording.take { bytes += Array($0) } }
    }
    #expect(bytes == written(Array(drafts[..<9])).bytes)
    #expect(throws: Broken.self) { try recording.next { drafts[9] } }
    let read = Read(bytes)
    guard case .interrupted = read.ending else {
      Issue.record("\(read.error as Any), \(read.ending as Any)")
      return
    }
  }

  @Test("whoever stops in the middle leaves no thread behind")
  func abandoned() throws {
    let drafts = drafts(30)
    for taken in 0..<20 {
      weak var makers: TextMakers?
      do {
        var rest = drafts[...]
        var recording = DraftedRecording(Sample.header, threads: 3)
        makers = recording.makers
        for _ in 0..<taken { #expect(try recording.next { rest.popFirst() }) }
        #expect(makers != nil)
      }
      #expect(makers == nil)
    }
  }
}
