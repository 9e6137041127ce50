import Glibc
@testable import LMDB
import Testing

@Suite("LMDB: writing ahead of small commits")
struct FileGrowthTests {
  private static let fileBytes = 4 << 20

  /// Tells `fill` of these ends of the pages in use, on a file full of ones; where zeros stand afterwards.
  private func zeros(after usedBytes: [Int], from first: Int) throws -> Range<Int>? {
    var template = Array("/tmp/sluice-growth-XXXXXX".utf8CString)
    // swift-format-ignore: NeverForceUnwrap
    let descriptor = template.withUnsafeMutableBufferPointer { mkstemp($0.baseAddress!) }
    defer {
      close(descriptor)
      unlink(template)
    }
    var bytes = [UInt8](repeating: 1, count: Self.fileBytes)
    try #require(pwrite(descriptor, bytes, bytes.count, 0) == bytes.count)
    var growth = FileGrowth(fileBytes: Self.fileBytes, usedBytes: first)
    for used in usedBytes { growth.fill(descriptor: descriptor, usedBytes: used) }
    try #require(pread(descriptor, &bytes, bytes.count, 0) == bytes.count)
    #expect(lseek(descriptor, 0, SEEK_END) == Self.fileBytes)
    guard let begin = bytes.firstIndex(of: 0), let last = bytes.lastIndex(of: 0) else { return nil }
    #expect(bytes[begin...last].allSatisfy { $0 == 0 })
    return begin..<(last + 1)
  }

  @Test("zeros are written behind the pages in use, and again before their end is reached")
  func small() throws {
    let (step, margin) = (FileGrowth.filledStepBytes, FileGrowth.filledMarginBytes)
    #expect(try zeros(after: [8192], from: 4096) == 8192..<(8192 + step))
    #expect(try zeros(after: [8192, 12288, 16384], from: 4096) == 8192..<(8192 + step))
    let near = Array(stride(from: 8192, through: 8192 + step - margin + 4096, by: 4096))
    #expect(try zeros(after: near, from: 4096) == 8192..<(8192 + 2 * step))
  }

  @Test("large transactions, and those that take no new pages, have none")
  func none() throws {
    #expect(try zeros(after: [4096, 4096], from: 4096) == nil)
    #expect(try zeros(after: [1 << 20, 2 << 20, 3 << 20], from: 4096) == nil)
  }

  @Test("nothing is written into pages that a large transaction took, nor behind the end of the file")
  func bounds() throws {
    let step = FileGrowth.filledStepBytes
    #expect(try zeros(after: [1 << 20, 1 << 20 + 4096], from: 4096) == (1 << 20 + 4096)..<(1 << 20 + 4096 + step))
    let end = Self.fileBytes
    #expect(try zeros(after: [end - 8192, end - 4096], from: 4096) == (end - 4096)..<end)
    #expect(try zeros(after: [end - 4096, end], from: 4096) == nil)
  }
}
