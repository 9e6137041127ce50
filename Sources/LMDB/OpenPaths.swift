internal import Glibc
internal import Locks

/// The environments open in this process by device and inode. LMDB loses its locks when one process opens a file twice
/// and closes it once, and so a second opening is refused.
enum OpenPaths {
  struct Identity: Hashable {
    var device: UInt64
    var inode: UInt64
  }

  private static let open = Monitor<Set<Identity>>([])

  /// Whether the path was free, which it is no longer.
  static func claim(_ identity: Identity) -> Bool {
    open.withLock { $0.insert(identity).inserted }
  }

  static func release(_ identity: Identity) {
    open.withLock { _ = $0.remove(identity) }
  }
}

/// The claim to a folder, for as long as this object lives. It holds the folder open: the inode of one that was removed
/// meanwhile would be given to another.
final class FolderClaim: Sendable {
  private let descriptor: Int32
  private let identity: OpenPaths.Identity

  init(path: String) throws(LMDBError) {
    let opened = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else {
      if errno == ENOENT { throw .missing(path: path) }
      throw LMDBError(code: errno)
    }
    var status = stat()
    guard unsafe fstat(opened, &status) == 0 else {
      let code = errno
      _ = close(opened)
      throw LMDBError(code: code)
    }
    let identity = OpenPaths.Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    guard OpenPaths.claim(identity) else {
      _ = close(opened)
      throw .alreadyOpen(path: path)
    }
    self.descriptor = opened
    self.identity = identity
  }

  deinit {
    OpenPaths.release(identity)
    _ = close(descriptor)
  }
}
