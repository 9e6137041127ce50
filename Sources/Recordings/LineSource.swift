internal import Glibc

/// The lines of a file, out of memory that is used over and over.
@safe
struct LineSource: ~Copyable {
  /// A line, which stands in the source's memory until the next one is asked for.
  struct Line {
    var start: Int
    var count: Int
    /// Where it stands in the file.
    var byte: UInt64
    /// Whether its line feed is there.
    var isWhole: Bool
  }

  /// Longer lines are none of ours: a payload has 10 MiB at most.
  static let lineByteLimit = 64 << 20
  private static let firstByteCount = 256 << 10

  private var buffer: UnsafeMutableRawBufferPointer
  private var begin = 0
  private var end = 0
  private var byte: UInt64 = 0
  private var isAtEnd = false
  private let read: (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int
  /// What reads instead, if it was asked to.
  private var ahead: BlocksAhead?

  /// `read` fills the front of the memory and says how much of it; 0 at the end.
  init(_ read: @escaping (UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int) {
    unsafe buffer = .allocate(byteCount: Self.firstByteCount, alignment: 16)
    unsafe self.read = read
  }

  deinit {
    ahead?.stop()
    unsafe buffer.deallocate()
  }

  /// From here on a thread of its own reads: nobody else may use what the source was made with.
  mutating func readAhead() {
    guard ahead == nil, !isAtEnd else { return }
    // The closure is handed over, although it stays here too: it is not called here any more.
    nonisolated(unsafe) let read = unsafe self.read
    unsafe ahead = BlocksAhead(read)
  }

  /// Where the next line begins in the file.
  var position: UInt64 { byte }

  /// The memory. Nothing of it may be kept beyond the next call of ``next()``.
  var memory: UnsafeRawPointer { unsafe UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped) }

  /// `nil` behind the last line. Of a line that is too long its beginning, as one that is not whole.
  mutating func next() throws(RecordingFileError) -> Line? {
    var looked = begin
    while true {
      if looked < end {
        let found = unsafe memchr(buffer.baseAddress.unsafelyUnwrapped + looked, 10, end - looked)
        if let found = unsafe found {
          let count = unsafe UnsafeRawPointer(found) - memory - begin
          return pass(count, isWhole: true)
        }
        looked = end
      }
      if isAtEnd { return begin < end ? pass(end - begin, isWhole: false) : nil }
      guard end - begin < Self.lineByteLimit else { return pass(end - begin, isWhole: false) }
      looked -= begin
      try readMore()
      looked += begin
    }
  }

  /// Reads what follows behind the beginning of the line, which may move.
  private mutating func readMore() throws(RecordingFileError) {
    if let ahead { return try take(from: ahead) }
    makeRoom()
    let count = unsafe try read(UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
    if count == 0 { isAtEnd = true }
    end += count
  }

  private mutating func take(from ahead: BlocksAhead) throws(RecordingFileError) {
    var block = try ahead.next()
    guard !block.isLast else {
      isAtEnd = true
      return
    }
    let rest = end - begin
    if rest <= BlocksAhead.Block.room {
      let start = BlocksAhead.Block.room - rest
      unsafe block.memory.baseAddress.unsafelyUnwrapped.advanced(by: start).copyMemory(
        from: memory + begin, byteCount: rest)
      let count = block.count
      unsafe swap(&buffer, &block.memory)
      begin = start
      end = start + rest + count
    } else {
      // A long line: its parts are put together here.
      makeRoom(for: block.count)
      unsafe buffer.baseAddress.unsafelyUnwrapped.advanced(by: end).copyMemory(
        from: block.memory.baseAddress.unsafelyUnwrapped + BlocksAhead.Block.room, byteCount: block.count)
      end += block.count
    }
    ahead.reuse(block)
  }

  private mutating func pass(_ count: Int, isWhole: Bool) -> Line {
    let line = Line(start: begin, count: count, byte: byte, isWhole: isWhole)
    let passed = isWhole ? count + 1 : count
    begin += passed
    byte += UInt64(passed)
    return line
  }

  /// Behind the beginning of the line, which moves to the front.
  private mutating func makeRoom(for count: Int = 1) {
    if begin > 0 {
      unsafe memmove(buffer.baseAddress.unsafelyUnwrapped, buffer.baseAddress.unsafelyUnwrapped + begin, end - begin)
      end -= begin
      begin = 0
    }
    guard unsafe buffer.count - end < count else { return }
    let larger = unsafe UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(buffer.count * 2, end + count), alignment: 16)
    unsafe larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<end]))
    unsafe buffer.deallocate()
    unsafe buffer = larger
  }
}
