internal import Glibc

/// Where a recording is written to.
@safe
public struct RecordingOutput: ~Copyable {
  public let path: String
  private let descriptor: Int32

  /// A new file, or standard output for `-`. What is there already is kept, unless it is to be replaced.
  public init(path: String, isReplacing: Bool) throws(RecordingFileError) {
    self.path = path
    guard path != "-" else {
      descriptor = STDOUT_FILENO
      return
    }
    let mode = isReplacing ? O_TRUNC : O_EXCL
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | mode, 0o644)
    guard descriptor >= 0 else { throw .system(path) }
  }

  deinit { if descriptor != STDOUT_FILENO, descriptor >= 0 { close(descriptor) } }

  /// Writes all of the bytes.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(RecordingFileError) {
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

/// Where a recording is read from.
@safe
public final class RecordingInput {
  public let path: String
  /// The size of the file; `nil` where nobody knows it, as of a pipe.
  public let byteCount: UInt64?
  private let descriptor: Int32

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
    byteCount = isFile ? UInt64(status.st_size) : nil
  }

  deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

  /// Fills the front of the memory; 0 at the end.
  public func read(into memory: UnsafeMutableRawBufferPointer) throws(RecordingFileError) -> Int {
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
