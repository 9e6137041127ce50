internal import Glibc

/// A file without a name: nothing is left of it when its process ends, however it ends.
@safe
final class TemporaryFile: Sendable {
  private let folder: String
  private let descriptor: Int32

  /// In the Linux headers a macro that Swift does not see.
  private static let unnamed: Int32 = 0o20000000 | O_DIRECTORY

  /// A file on the disk of the folder.
  init(in folder: String) throws(RecordingFileError) {
    self.folder = folder
    let opened = unsafe open(folder, O_RDWR | O_CLOEXEC | Self.unnamed, 0o600)
    if opened >= 0 {
      descriptor = opened
      return
    }
    // Not every file system can make a file that never had a name.
    guard errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL else { throw Self.problem(folder) }
    var path = Array("\(folder)/.sluice-sorting-XXXXXX".utf8CString)
    let named = unsafe mkstemp(&path)
    guard named >= 0 else { throw Self.problem(folder) }
    descriptor = named
    _ = fcntl(named, F_SETFD, FD_CLOEXEC)
    guard unsafe unlink(path) == 0 else {
      let problem = Self.problem(folder)
      close(named)
      throw problem
    }
  }

  deinit { close(descriptor) }

  /// Writes all of the bytes at the place.
  func write(_ bytes: UnsafeRawBufferPointer, at place: UInt64) throws(RecordingFileError) {
    var written = 0
    while written < bytes.count {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[written...])
      let count = unsafe pwrite(descriptor, rest.baseAddress, rest.count, off_t(place) + off_t(written))
      if count < 0 {
        if errno == EINTR { continue }
        throw Self.problem(folder)
      }
      written += count
    }
  }

  /// Fills the front of the memory with what stands at the place; 0 at the end.
  func read(into memory: UnsafeMutableRawBufferPointer, at place: UInt64) throws(RecordingFileError) -> Int {
    while true {
      let count = unsafe pread(descriptor, memory.baseAddress, memory.count, off_t(place))
      if count >= 0 { return count }
      if errno != EINTR { throw Self.problem(folder) }
    }
  }

  private static func problem(_ folder: String) -> RecordingFileError {
    let reason = unsafe String(cString: strerror(errno))
    return RecordingFileError(
      path: folder,
      reason: "\(reason), where records are put in order: the variable TMPDIR names another folder for that")
  }
}
