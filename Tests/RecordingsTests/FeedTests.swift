import Foundation
import Recordings
import StreamModel
import Testing

@Suite("A feed")
struct FeedTests {
  /// What a feed gives, in order.
  private enum Given: Hashable {
    case beginning(Int64, [ShardNumber: RecordIndex])
    case records([Put], [ImportedNumber])
    case opened(ShardNumber)
    case closed(ShardNumber)
    case failed(RecordingError)
    case ended(RecordingStatus)
  }

  private func all(of reader: consuming RecordingReader, _ part: RecordingPart) -> [Given] {
    let feed = RecordingFeed(reader, part)
    var given: [Given] = []
    do throws(RecordingError) {
      while let piece = try feed.next() {
        switch piece {
        case .beginning(let moment, let firsts): given.append(.beginning(moment.milliseconds, firsts))
        case .records(let records, let numbers):
          given.append(.records(Put.all(in: records), numbers))
          feed.reuse(records)
        case .shardOpened(let shard): given.append(.opened(shard.shard))
        case .shardClosed(let closing): given.append(.closed(closing.shard))
        }
      }
    } catch {
      given.append(.failed(error))
    }
    return given + [.ended(feed.status)]
  }

  private func puts(of given: [Given]) -> [Put] {
    given.flatMap { piece -> [Put] in
      if case .records(let puts, _) = piece { puts } else { [] }
    }
  }

  private func inline(_ bytes: [UInt8], _ part: RecordingPart) throws -> [Given] {
    var position = 0
    return all(
      of: try RecordingReader { memory throws(RecordingFileError) in
        let count = min(memory.count, bytes.count - position)
        memory.copyBytes(from: bytes[position..<position + count])
        position += count
        return count
      }, part)
  }

  private func ahead(_ bytes: [UInt8], _ part: RecordingPart) throws -> [Given] {
    let path = FileManager.default.temporaryDirectory.appending(path: "feed-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    var output = try RecordingOutput(path: path, isReplacing: false)
    try output.write(bytes)
    return all(of: try RecordingReader(owning: RecordingInput(path: path)), part)
  }

  /// Some megabytes of three shards that take turns.
  private static let large: [UInt8] = {
    var random = SplitMix64(seed: 7)
    var next: [UInt32: UInt64] = [:]
    let puts = (0..<12_000).map { place -> Put in
      let shard = UInt32(random.next() % 3)
      let index = next[shard, default: 0]
      next[shard] = index + 1
      let text = String(repeating: "x", count: Int(random.next() % 1_500))
      return Put(
        shard: shard, index: index, arrival: 1_700_000_000_000 + Int64(place / 7),
        data: Array(#"{"a":"\#(text)"}"#.utf8))
    }
    return Sample.write(puts).bytes
  }()

  @Test("gives every record once, in the order of its shard, and the same pieces from a thread of its own")
  func pieces() throws {
    let read = Read(Self.large)
    for part in [RecordingPart(), RecordingPart(from: WallTime(milliseconds: 1_700_000_000_300))] {
      let given = try inline(Self.large, part)
      #expect(try ahead(Self.large, part) == given)
      let puts = puts(of: given)
      for shard: UInt32 in 0...2 {
        let wanted = read.puts.filter { $0.shard == shard && $0.arrival >= part.from?.milliseconds ?? 0 }
        #expect(puts.filter { $0.shard == shard } == wanted)
      }
      #expect(given.count { if case .records = $0 { true } else { false } } > 20)
      guard case .ended(let status)? = given.last else { return _ = Issue.record("a feed ends with its status") }
      #expect(status.ending == .complete && status.byteCount == UInt64(Self.large.count))
    }
  }

  @Test("reads lines of any length ahead, those too that are longer than what is read at once")
  func longLines() throws {
    var random = SplitMix64(seed: 11)
    // About what is read at once, and the room for the beginning of a line before it, and far more.
    let lengths = [64 << 10, 256 << 10, 320 << 10, 1 << 20, 3 << 20]
    let puts = (0..<120).map { place -> Put in
      let near = lengths[Int(random.next() % 5)] - 400 + Int(random.next() % 800)
      let length = random.next() % 3 == 0 ? near : Int(random.next() % 3_000)
      return Put(
        shard: 0, index: UInt64(place), arrival: 1_700_000_000_000,
        data: Array(#"{"a":"\#(String(repeating: "x", count: length))"}"#.utf8))
    }
    let bytes = Sample.write(puts).bytes
    let given = try inline(bytes, RecordingPart())
    #expect(try ahead(bytes, RecordingPart()) == given)
    #expect(self.puts(of: given) == puts)
    // Cut anywhere, also in the middle of a long line.
    for _ in 0..<12 {
      let cut = Array(bytes[..<Int(random.next() % UInt64(bytes.count))])
      guard cut.count > 2_000 else { continue }
      #expect(try ahead(cut, RecordingPart()) == inline(cut, RecordingPart()))
    }
  }

  @Test("leaves out what is not in the part")
  func parts() throws {
    let part = RecordingPart(
      from: WallTime(milliseconds: 1_700_000_000_100), to: WallTime(milliseconds: 1_700_000_000_900),
      shards: [ShardNumber(0), ShardNumber(2)])
    let given = try inline(Self.large, part)
    let wanted = Read(Self.large).puts.filter {
      $0.shard != 1 && (1_700_000_000_100..<1_700_000_000_900).contains($0.arrival)
    }
    let puts = puts(of: given)
    #expect(Set(puts) == Set(wanted) && puts.count == wanted.count)
    #expect(!given.contains(.opened(ShardNumber(1))))
    guard
      case .beginning(let moment, let firsts)? = given.first(where: { if case .beginning = $0 { true } else { false } })
    else { return _ = Issue.record("a part with records begins") }
    #expect(moment == 1_700_000_000_100)
    for shard: UInt32 in [0, 2] {
      #expect(firsts[ShardNumber(shard)]?.rawValue == wanted.first { $0.shard == shard }?.index)
    }
  }

  @Test("gives what stands before damage, then the error, and so on whenever it is asked")
  func damage() throws {
    var bytes = Self.large
    bytes[bytes.count / 2] ^= 1
    let given = try inline(bytes, RecordingPart())
    #expect(try ahead(bytes, RecordingPart()) == given)
    let puts = puts(of: given)
    let read = Read(bytes)
    #expect(Set(puts) == Set(read.puts) && !puts.isEmpty)
    #expect(read.error.map { given.contains(.failed($0)) } == true)
  }

  @Test("can be left before its end")
  func abandoned() throws {
    for _ in 0..<50 {
      let path = FileManager.default.temporaryDirectory.appending(path: "feed-\(UUID().uuidString)").path
      defer { try? FileManager.default.removeItem(atPath: path) }
      var output = try RecordingOutput(path: path, isReplacing: false)
      try output.write(Self.large)
      let feed = RecordingFeed(try RecordingReader(owning: RecordingInput(path: path)), RecordingPart())
      #expect(try feed.next() != nil)
    }
  }
}
