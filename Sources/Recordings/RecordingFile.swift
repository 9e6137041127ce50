internal import Glibc

/// Where a recording is written to. A path that ends in `.zst` is compressed: each call of ``write(_:)`` makes frames of
/// its own, so that what was written before an interruption can be read. Or whoever writes has made the frames, with
/// ``write(made:)``.
@safe
public struct RecordingOutput: ~Copyable {
  public let path: String
  private let descriptor: Int32
  private let compressor: FrameCompressor?

  /// A new file, or standard output for `-`. What is there already is kept, unless it is to be replaced.
  public init(path: String, isReplacing: Bool) throws(RecordingFileError) {
    self.path = path
    compressor = Self.isCompressed(at: path) ? FrameCompressor() : nil
    guard path != "-" else {
      descriptor = STDOUT_FILENO
      return
    }
    let mode = isReplacing ? O_TRUNC : O_EXCL
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | mode, 0o644)
    guard descriptor >= 0 else {
      let isThereAlready = errno == EEXIST
      var error = RecordingFileError.system(path)
      error.isThereAlready = isThereAlready
      throw error
    }
  }

  deinit { if descriptor != STDOUT_FILENO, descriptor >= 0 { close(descriptor) } }

  /// Whether a file of this name holds frames of zstd.
  public static func isCompressed(at path: String) -> Bool { path.hasSuffix(".zst") }

  /// Writes all of the bytes, which are frames already if the file is compressed.
  public mutating func write(made bytes: UnsafeRawBufferPointer) throws(RecordingFileError) {
    unsafe try writeAll(bytes)
  }

  /// Writes all of the bytes.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(RecordingFileError) {
    guard let compressor else { return unsafe try writeAll(bytes) }
    try unsafe compressor.compress(bytes) { (frame) throws(RecordingFileError) in try unsafe writeAll(frame) }
  }

  /// Writes all of the bytes.
  public mutating func write(_ bytes: [UInt8]) throws(RecordingFileError) {
    let span = unsafe bytes.span.bytes
    var failure: RecordingFileError?
    unsafe span.withUnsafeBytes { bytes in
      do throws(RecordingFileError) { unsafe try write(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private func writeAll(_ bytes: UnsafeRawBufferPointer) throws(RecordingFileError) {
    var written = 0
    while written < bytes.count {
      let count = unsafe Glibc.write(descriptor, bytes.baseAddress.unsafelyUnwrapped + written, bytes.count - written)
      if count < 0 {
        if errno == EINTR { continue }
        throw .system(path)
      }
      written += count
    }
  }
}

/// Where a recording is read from. What is compressed with zstd or gzip shows in its first bytes, and is read as it was
/// before.
@safe
public final class RecordingInput {
  public let path: String
  /// The bytes that can be read; `nil` where nobody knows it, as of a pipe, or what is compressed.
  public let byteCount: UInt64?
  private let descriptor: Int32
  /// What was looked at and not yet read.
  private var beginning: [UInt8] = []
  private let decompressor: Decompressor?
  private let file: PlainInput

  private static let peekByteCount = 4_096

  /// A file, or standard input for `-`.
  public init(path: String) throws(RecordingFileError) {
    self.path = path
    if path == "-" {
      descriptor = STDIN_FILENO
    } else {
      descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw .system(path) }
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
    }
    var status = stat()
    let isFile = unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    let file = PlainInput(path: path, descriptor: descriptor)
    let first = try file.firstBytes(4)
    decompressor = Decompressor.Format(first).map { format in
      unsafe Decompressor(format, path: path) { memory throws(RecordingFileError) in
        unsafe try file.read(into: memory)
      }
    }
    self.file = file
    byteCount = isFile && decompressor == nil ? UInt64(status.st_size) : nil
  }

  /// What is compressed ended in the middle.
  public var endedEarly: Bool { decompressor?.endedEarly ?? false }

  deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

  /// The first bytes, which are read nevertheless; fewer where the file ends. Before anything is read.
  public func peek() throws(RecordingFileError) -> [UInt8] {
    var bytes: [UInt8] = []
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.peekByteCount, alignment: 16)
    defer { unsafe piece.deallocate() }
    while bytes.count < Self.peekByteCount {
      let count = unsafe try read(into: UnsafeMutableRawBufferPointer(rebasing: piece[..<(piece.count - bytes.count)]))
      if count == 0 { break }
      unsafe bytes.append(contentsOf: piece[..<count])
    }
    beginning = bytes
    return bytes
  }

  /// Fills the front of the memory; 0 at the end.
  public func read(into memory: UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int {
    if !beginning.isEmpty {
      let count = min(beginning.count, memory.count)
      unsafe memory.copyBytes(from: beginning[..<count])
      beginning.removeFirst(count)
      return count
    }
    if let decompressor { return unsafe try decompressor.decompress(into: memory) }
    return unsafe try file.read(into: memory)
  }
}

/// The bytes of a file as they are.
@safe
private final class PlainInput {
  let path: String
  private let descriptor: Int32
  /// What was looked at and not yet read.
  private var beginning: [UInt8] = []

  init(path: String, descriptor: Int32) {
    self.path = path
    self.descriptor = descriptor
  }

  /// So many bytes, which are read nevertheless; fewer where the file ends.
  func firstBytes(_ count: Int) throws(RecordingFileError) -> [UInt8] {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    defer { unsafe memory.deallocate() }
    var found = 0
    while found < count {
      let more = unsafe try readFile(into: UnsafeMutableRawBufferPointer(rebasing: memory[found...]))
      if more == 0 { break }
      found += more
    }
    beginning = unsafe Array(memory[..<found])
    return beginning
  }

  func read(into memory: UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int {
    guard !beginning.isEmpty else { return unsafe try readFile(into: memory) }
    let count = min(beginning.count, memory.count)
    unsafe memory.copyBytes(from: beginning[..<count])
    beginning.removeFirst(count)
    return count
  }

  private func readFile(into memory: UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int {
    while true {
      let count = unsafe Glibc.read(descriptor, memory.baseAddress, memory.count)
      if count >= 0 { return count }
      if errno != EINTR { throw .system(path) }
    }
  }
}

extension RecordingFileError {
  fileprivate static func system(_ path: String) -> RecordingFileError {
    RecordingFileError(
      path: path == "-" ? "standard input or output" : path, reason: unsafe String(cString: strerror(errno)))
  }
}
