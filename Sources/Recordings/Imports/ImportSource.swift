/// A file that is imported, of which as much is in memory as the piece that is read: a line, a row, a record of a page.
@safe
final class ImportSource {
  let name: String
  /// What is in memory; it holds something from `start` to `end`.
  private(set) var bytes: [UInt8]
  private(set) var start = 0
  private(set) var end = 0
  /// Nothing follows what is in memory.
  private(set) var isAtEnd = false
  /// Where `start` stands in the file.
  private var byte: UInt64 = 0
  private var line: UInt64 = 1
  private let read: (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int

  /// Longer lines and rows are none of ours: a payload has 10 MiB at most.
  static let lineByteLimit = 64 << 20
  /// Of a record of a page or an event, and of each of its other members.
  static let valueByteLimit = 64 << 20
  private static let firstByteCount = 256 << 10

  /// `read` fills the front of the memory and says how much of it; 0 at the end.
  init(_ name: String, _ read: @escaping (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int) {
    self.name = name
    unsafe self.read = read
    bytes = [UInt8](repeating: 0, count: Self.firstByteCount)
  }

  /// Bytes that are in memory.
  var byteCount: Int { end - start }

  /// Reads on. What was in memory stays there, at another place.
  func more() throws(ImportError) {
    if start > 0 {
      unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
      }
      (start, end) = (0, end - start)
    }
    if end == bytes.count { bytes.append(contentsOf: repeatElement(0, count: bytes.count)) }
    do throws(RecordingFileError) {
      var count = 0
      let (read, end) = unsafe (read, end)
      unsafe try bytes.lendMutableBytes { (bytes) throws(RecordingFileError) in
        count = unsafe try read(UnsafeMutableRawBufferPointer(rebasing: bytes[end...]))
      }
      self.end += count
      isAtEnd = count == 0
    } catch {
      throw .file(error)
    }
  }

  /// Reads until there is twice as much, so that whoever looks at all of it each time looks at little twice.
  func moreOfPiece() throws(ImportError) {
    let wanted = 2 * byteCount
    repeat { try more() } while byteCount < wanted && !isAtEnd
  }

  /// Passes white space; `false` if the file ends behind it.
  func passSpace() throws(ImportError) -> Bool {
    while true {
      while start < end {
        let byte = bytes[start]
        guard byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d else { return true }
        pass(1)
      }
      if isAtEnd { return false }
      try more()
    }
  }

  /// A piece of the file from where it was read to, which is not passed.
  func piece(to end: Int) -> ImportedFile {
    ImportedFile(name: name, bytes: Array(bytes[start..<end]), byte: byte, line: line)
  }

  /// Goes on so many bytes.
  func pass(_ count: Int) {
    for place in start..<start + count where bytes[place] == 10 { line += 1 }
    start += count
    byte += UInt64(count)
  }
}

/// A piece of a file that is imported.
struct ImportedFile {
  let name: String
  let bytes: [UInt8]
  /// Where it stands in the file: the first byte, counted from 0, and its line, counted from 1.
  let byte: UInt64
  let line: UInt64

  func passSpace(from start: Int, to end: Int? = nil) -> Int {
    let end = end ?? bytes.count
    var position = start
    while position < end, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) { position += 1 }
    return position
  }

  /// What is wrong at a byte of the piece.
  func problem(_ fault: LineFault, record: UInt64) -> ImportProblem {
    let lines = bytes[..<min(fault.offset, bytes.count)].count { $0 == 10 }
    return ImportProblem(
      file: name,
      problem: RecordingProblem(
        byte: byte + UInt64(fault.offset), line: line + UInt64(lines), record: record, reason: fault.reason))
  }
}
