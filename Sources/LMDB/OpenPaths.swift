internal import Synchronization

/// The environments open in this process by device and inode. LMDB loses its locks when one process opens a file twice
/// and closes it once, and so a second opening is refused.
enum OpenPaths {
  struct Identity: Hashable {
    var device: UInt64
    var inode: UInt64
  }

  private static let open = Mutex<Set<Identity>>([])

  /// Whether the path was free, which it is no longer.
  static func claim(_ identity: Identity) -> Bool {
    open.withLock { $0.insert(identity).inserted }
  }

  static func release(_ identity: Identity) {
    open.withLock { _ = $0.remove(identity) }
  }
}
