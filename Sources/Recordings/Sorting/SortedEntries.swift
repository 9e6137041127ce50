/// Entries in the order of the bytes of their keys, which may be gone through several times.
struct SortedEntries: Sendable {
  enum Place: Sendable {
    case memory(EntryMemory)
    case files([SortedFile])
  }

  private let place: Place
  private let bufferByteCount: Int

  init(_ place: Place, bufferByteCount: Int) {
    self.place = place
    self.bufferByteCount = bufferByteCount
  }

  /// Goes through them from the first on.
  func reading() throws(RecordingFileError) -> EntryReading {
    switch place {
    case .memory(let memory): return EntryReading(memory)
    case .files(let files): return try EntryReading(files, bufferByteCount: bufferByteCount)
    }
  }
}

/// An entry, as long as nobody asks for the next one.
@unsafe
struct SortedEntry {
  let key: UnsafeRawBufferPointer
  let body: UnsafeRawBufferPointer

  /// Two counts, then the key and the body.
  static let headByteCount = 8

  /// The entry that begins there.
  init(at address: UnsafeRawPointer) {
    let (keyCount, bodyCount) = unsafe Self.counts(at: address)
    let start = unsafe address + Self.headByteCount
    unsafe key = UnsafeRawBufferPointer(start: start, count: keyCount)
    unsafe body = UnsafeRawBufferPointer(start: start + keyCount, count: bodyCount)
  }

  static func counts(at address: UnsafeRawPointer) -> (key: Int, body: Int) {
    (
      Int(unsafe address.loadUnaligned(as: UInt32.self)),
      Int(unsafe address.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    )
  }
}

/// Goes through sorted entries: those of one memory, or of several files at once.
@safe
final class EntryReading {
  private let memory: EntryMemory?
  private var position = 0
  /// Those that have an entry: a heap, the least key first.
  private var files: [FileReading] = []
  private var isFirst = true

  init(_ memory: EntryMemory) { self.memory = memory }

  /// Of each file so many bytes are in memory, or one entry if that is larger.
  init(_ sorted: [SortedFile], bufferByteCount: Int) throws(RecordingFileError) {
    memory = nil
    for file in sorted {
      let reading = FileReading(file, byteCount: bufferByteCount)
      if try reading.advance() { files.append(reading) }
    }
    for place in stride(from: files.count / 2, through: 0, by: -1) { sink(place) }
  }

  /// Hands over the next entry; `false` behind the last.
  func next(_ body: (SortedEntry) throws(RecordingFileError) -> Void) throws(RecordingFileError) -> Bool {
    if let memory {
      guard position < memory.count else { return false }
      position += 1
      try unsafe memory.withEntry(position - 1, body)
      return true
    }
    if !isFirst, let first = files.first {
      if try !first.advance() {
        files.swapAt(0, files.count - 1)
        files.removeLast()
      }
      sink(0)
    }
    isFirst = false
    guard let first = files.first else { return false }
    unsafe try body(first.entry)
    return true
  }

  private func sink(_ start: Int) {
    var place = start
    while true {
      var least = place
      for child in [2 * place + 1, 2 * place + 2] where child < files.count {
        if unsafe files[child].entry.key.precedes(files[least].entry.key) { least = child }
      }
      if least == place { return }
      files.swapAt(place, least)
      place = least
    }
  }
}

extension UnsafeRawBufferPointer {
  /// In the order of the bytes; what ends first comes first.
  func precedes(_ other: UnsafeRawBufferPointer) -> Bool { unsafe compareBytes(self, other) < 0 }
}
