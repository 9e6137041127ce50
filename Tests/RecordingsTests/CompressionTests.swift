import Foundation
import StreamModel
import Testing

@testable import Recordings

@Suite("Recordings: compressed")
struct CompressionTests {
  /// Calls the body with the path of a file that does not exist yet.
  private func withFile<Result>(_ name: String, _ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "recordings-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.appending(path: name).path)
  }

  /// The bytes of a recording as they lie on disk when it is written in pieces.
  private func compressed(_ pieces: [[UInt8]]) throws -> [UInt8] {
    try withFile("a.ndjson.zst") { path in
      do {
        var output = try RecordingOutput(path: path, isReplacing: false)
        for piece in pieces { try output.write(piece) }
      }
      return Array(try Data(contentsOf: URL(filePath: path)))
    }
  }

  @Test("records that wait in memory are smaller when they are compressed, and afterwards what they were")
  func waitingRecords() throws {
    let puts = (0..<1_000).map { number in
      Put(
        index: UInt64(number), arrival: 1_700_000_000_000 + Int64(number), key: "key \(number)",
        data: Array(#"{"number":\#(number),"text":"the same in each"}"#.utf8))
    }
    let bytes = Sample.write(puts).bytes
    var position = 0
    var reader = try RecordingReader { memory throws(RecordingFileError) in
      let count = min(memory.count, bytes.count - position)
      memory.copyBytes(from: bytes[position..<position + count])
      position += count
      return count
    }
    _ = try reader.next()
    _ = try reader.next()
    let records = PackedRecords(shard: reader.shard, first: reader.index, firstArrival: reader.arrival)
    var appended = RecordingReader.Appended()
    _ = try reader.appendRecords(to: records, counting: &appended)
    records.fit()
    #expect(records.count == 1_000 && records.memoryByteCount <= records.byteCount / 8 * 9)
    let compressor = RecordCompressor()
    for _ in 0..<2 {
      records.compress(with: compressor)
      records.compress(with: compressor)
      #expect(records.isCompressed && records.memoryByteCount <= records.byteCount / 4 * 3)
      records.expand(with: compressor)
      records.expand(with: compressor)
      #expect(!records.isCompressed && Put.all(in: records) == puts)
    }
    // What compressing does not make smaller stays as it is, and memory is used again for other records.
    records.compress(with: compressor)
    records.reuse(for: ShardNumber(3), first: RecordIndex(7), firstArrival: reader.arrival)
    #expect(!records.isCompressed && records.count == 0 && records.byteCount == 0)
    var dice = SystemRandomNumberGenerator()
    let data = (0..<500).map { _ in UInt8.random(in: 0...255, using: &dice) }
    let noise = Put(index: 0, arrival: 1_700_000_000_000, data: data)
    let noisy = Sample.write([noise]).bytes
    position = 0
    var other = try RecordingReader { memory throws(RecordingFileError) in
      let count = min(memory.count, noisy.count - position)
      memory.copyBytes(from: noisy[position..<position + count])
      position += count
      return count
    }
    _ = try other.next()
    _ = try other.next()
    let single = PackedRecords(shard: other.shard, first: other.index, firstArrival: other.arrival)
    other.appendRecord(to: single)
    single.compress(with: compressor)
    #expect(!single.isCompressed && Put.all(in: single) == [noise])
  }

  private struct Content {
    var bytes: [UInt8] = []
    var beginning: [UInt8] = []
    var endedEarly = false
    var byteCount: UInt64?
  }

  /// What a file of these bytes reads as, so many bytes at once.
  private func read(_ bytes: [UInt8], piece: Int) throws -> Content {
    try withFile("b") { path in
      try Data(bytes).write(to: URL(filePath: path))
      let input = try RecordingInput(path: path)
      var content = Content()
      content.beginning = try input.peek()
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 16)
      defer { memory.deallocate() }
      while true {
        let count = try input.read(into: memory)
        if count == 0 { break }
        content.bytes += memory[..<count]
      }
      content.endedEarly = input.endedEarly
      content.byteCount = input.byteCount
      return content
    }
  }

  private func noise(_ count: Int) -> [UInt8] {
    var random = SplitMix64(seed: 3)
    return (0..<count).map { _ in UInt8.random(in: 0...15, using: &random) }
  }

  @Test("what was compressed is read as it was, in pieces of any size", arguments: [1, 100, 65_536, 1 << 22])
  func roundTrip(piece: Int) throws {
    let pieces = [noise(3), [], noise(70_000), [UInt8](repeating: 7, count: piece == 1 ? 100_000 : 9 << 20)]
    let whole = Array(pieces.joined())
    let bytes = try compressed(pieces)
    #expect(bytes.count < whole.count)
    let content = try read(bytes, piece: piece)
    #expect(content.bytes == whole && !content.endedEarly && content.byteCount == nil)
    #expect(content.beginning == Array(whole.prefix(4_096)))
  }

  @Test("cut anywhere, a recording is valid up to there; whole frames are whole")
  func truncated() throws {
    let lines = Sample.write().lines.map { $0 + [10] }
    let bytes = try compressed(lines)
    for count in stride(from: 4, to: bytes.count, by: 3) {
      let content = try read(Array(bytes[..<count]), piece: 1_000)
      let read = Read(content.bytes)
      guard content.bytes.count >= lines[0].count else { continue }
      #expect(read.error == nil && Array(Sample.puts.prefix(read.puts.count)) == read.puts, "\(count)")
      // What is missing of the last frame may be its checksum, or the line feed behind the end.
      if read.ending == .complete, content.endedEarly, read.puts == Sample.puts { continue }
      guard case .interrupted = read.ending else {
        Issue.record("\(count) bytes ended with \(String(describing: read.ending))")
        continue
      }
    }
    #expect(Read(try read(bytes, piece: 1_000).bytes).ending == .complete)
    // The frames before the one that is cut have all their records.
    let last = try compressed([lines[lines.count - 1]])
    let cut = try read(Array(bytes.dropLast(last.count - 1)), piece: 1_000)
    #expect(cut.endedEarly && Read(cut.bytes).puts == Sample.puts)
  }

  @Test("a changed byte is noticed")
  func corrupted() throws {
    let whole = noise(10_000)
    var bytes = try compressed([whole])
    bytes[bytes.count / 2] ^= 1
    #expect {
      let content = try read(bytes, piece: 1_000)
      #expect(content.bytes != whole || content.endedEarly)
    } throws: {
      "\($0)".contains("what is compressed there is damaged, at byte")
    }
  }

  @Test("gzip is read, also in several members, and that it is cut is known")
  func gzip() throws {
    let bytes = Array(
      Data(
        base64Encoded:
          "H4sIAAAAAAACA6tWylayUkpU0lEqUbIyrOUCAEQufPYQAAAAH4sIAAAAAAACA6tWylayUkpS0lEqUbIyquUCAB4rDR8QAAAA") ?? Data())
    let text = "{\"k\":\"a\",\"t\":1}\n{\"k\":\"b\",\"t\":2}\n"
    for piece in [1, 7, 4_096] {
      let content = try read(bytes, piece: piece)
      #expect(String(decoding: content.bytes, as: UTF8.self) == text && !content.endedEarly)
    }
    #expect(try read(Array(bytes.dropLast(9)), piece: 100).endedEarly)
    var changed = bytes
    changed[bytes.count - 6] ^= 1
    #expect(throws: RecordingFileError.self) { try read(changed, piece: 100) }
  }
}
