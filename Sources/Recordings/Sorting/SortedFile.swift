/// Sorted entries in a file of their own.
struct SortedFile: Sendable {
  fileprivate let file: TemporaryFile
  let byteCount: UInt64
}

/// Writes a sorted file.
@safe
final class SortedFileWriter {
  private let file: TemporaryFile
  private var byteCount: UInt64 = 0
  private var waiting: [UInt8] = []

  private static let pieceByteCount = 1 << 20

  init(in folder: String) throws(RecordingFileError) { file = try TemporaryFile(in: folder) }

  func append(_ entry: SortedEntry) throws(RecordingFileError) {
    for count in unsafe [entry.key.count, entry.body.count] {
      unsafe withUnsafeBytes(of: UInt32(count)) { unsafe waiting.append(contentsOf: $0) }
    }
    unsafe waiting.append(contentsOf: entry.key)
    unsafe waiting.append(contentsOf: entry.body)
    if waiting.count >= Self.pieceByteCount { try flush() }
  }

  func end() throws(RecordingFileError) -> SortedFile {
    try flush()
    return SortedFile(file: file, byteCount: byteCount)
  }

  private func flush() throws(RecordingFileError) {
    unsafe try waiting.lendBytes { (bytes) throws(RecordingFileError) in
      unsafe try file.write(bytes, at: byteCount)
    }
    byteCount += UInt64(waiting.count)
    waiting.removeAll(keepingCapacity: true)
  }
}

/// Goes through a sorted file.
@safe
final class FileReading {
  private let file: SortedFile
  private var buffer: UnsafeMutableRawBufferPointer
  /// The entry, and the end of what was read.
  private var start = 0
  private var end = 0
  private var entryByteCount = 0
  private var place: UInt64 = 0
  private let headByteCount = unsafe SortedEntry.headByteCount

  init(_ file: SortedFile, byteCount: Int) {
    self.file = file
    let byteCount = max(byteCount, 16)
    unsafe buffer = .allocate(byteCount: byteCount, alignment: 16)
  }

  deinit { unsafe buffer.deallocate() }

  /// The entry that was reached; there is one.
  var entry: SortedEntry { unsafe SortedEntry(at: UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped) + start) }

  /// Goes to the next entry; `false` behind the last.
  func advance() throws(RecordingFileError) -> Bool {
    start += entryByteCount
    entryByteCount = 0
    if start == end, place == file.byteCount { return false }
    try hold(headByteCount)
    let counts = unsafe SortedEntry.counts(at: UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped) + start)
    let byteCount = headByteCount + counts.key + counts.body
    try hold(byteCount)
    entryByteCount = byteCount
    return true
  }

  /// Sees to it that so many bytes of the file are there.
  private func hold(_ byteCount: Int) throws(RecordingFileError) {
    guard end - start < byteCount else { return }
    let larger = unsafe byteCount > buffer.count ? max(byteCount, buffer.count * 2) : nil
    let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[start..<end])
    if let larger {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: larger, alignment: 16)
      unsafe memory.copyMemory(from: rest)
      unsafe buffer.deallocate()
      unsafe buffer = memory
    } else {
      unsafe buffer.copyMemory(from: rest)
    }
    (start, end) = (0, end - start)
    while end < byteCount {
      let count = unsafe try file.file.read(
        into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]), at: place)
      guard count > 0 else {
        throw RecordingFileError(path: "a temporary file", reason: "it ends before what was written to it does")
      }
      end += count
      place += UInt64(count)
    }
  }
}
