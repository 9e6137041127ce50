/// Puts any number of entries in the order of the bytes of their keys, in bounded memory: what does not fit is sorted and
/// written to files without a name, which are read side by side in the end.
///
/// The memory is the limit for entries, once more as much at most for reading files, and one entry if it is larger. The
/// disk holds every entry once, and while files are put together those of them twice.
@safe
final class EntrySorter {
  private var memory: EntryMemory
  /// By level: a file of a level holds as many of the level below as are put together.
  private var files: [[SortedFile]] = []
  private let byteLimit: Int
  private let folder: String

  /// So many files of a level become one.
  private static let joinedFileCount = 32

  init(byteLimit: Int, folder: String) {
    self.byteLimit = byteLimit
    self.folder = folder
    memory = EntryMemory(byteLimit: byteLimit)
  }

  func add(key: [UInt8], body: UnsafeRawBufferPointer) throws(RecordingFileError) {
    unsafe key.withUnsafeBytes { unsafe memory.append(key: $0, body: body) }
    if memory.byteCount >= byteLimit { try spill() }
  }

  /// All of them. Nothing is added afterwards.
  func sorted() throws(RecordingFileError) -> SortedEntries {
    if !files.isEmpty, memory.count > 0 { try spill() }
    if files.isEmpty { memory.sort() }
    let place: SortedEntries.Place = files.isEmpty ? .memory(memory) : .files(files.flatMap(\.self))
    memory = EntryMemory(byteLimit: 0)
    files = []
    return SortedEntries(place, bufferByteCount: bufferByteCount)
  }

  /// There are fewer than four levels, 64 TiB.
  private var bufferByteCount: Int { byteLimit / (4 * Self.joinedFileCount) }

  private func spill() throws(RecordingFileError) {
    memory.sort()
    let writer = try SortedFileWriter(in: folder)
    for position in 0..<memory.count {
      try unsafe memory.withEntry(position) { (entry) throws(RecordingFileError) in unsafe try writer.append(entry) }
    }
    memory.removeAll()
    try keep(try writer.end(), level: 0)
  }

  private func keep(_ file: SortedFile, level: Int) throws(RecordingFileError) {
    if files.count == level { files.append([]) }
    files[level].append(file)
    guard files[level].count == Self.joinedFileCount else { return }
    let writer = try SortedFileWriter(in: folder)
    let reading = try EntryReading(files[level], bufferByteCount: bufferByteCount)
    while unsafe try reading.next({ (entry) throws(RecordingFileError) in unsafe try writer.append(entry) }) {}
    files[level] = []
    try keep(try writer.end(), level: level + 1)
  }
}
