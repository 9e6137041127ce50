import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A file system of its own at a folder, until ``end()``. Takes the right to mount.
struct Mount {
  private let path: String

  /// An empty file system in memory with so many bytes.
  static func memory(at folder: URL, bytes: Int) throws -> Mount {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try check(mount("tmpfs", folder.path, "tmpfs", 0, "size=\(bytes)"))
    return Mount(path: folder.path)
  }

  /// The folder with all that is in it, which nobody can change any more.
  static func readOnly(_ folder: URL) throws -> Mount {
    let (bind, again, readOnly) = (UInt(MS_BIND), UInt(MS_REMOUNT), UInt(MS_RDONLY))
    try check(mount(folder.path, folder.path, nil, bind, nil))
    let mounted = Mount(path: folder.path)
    do {
      try check(mount(nil, folder.path, nil, bind | again | readOnly, nil))
    } catch {
      mounted.end()
      throw error
    }
    return mounted
  }

  /// Lets go of the file system, as soon as nobody uses it.
  func end() { umount2(path, Int32(MNT_DETACH)) }

  /// Whether this process may mount: tried once.
  static let isPermitted: Bool = {
    let folder = URL(filePath: NSTemporaryDirectory()).appending(path: "sluice-mount-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    guard let tried = try? memory(at: folder, bytes: 65_536) else { return false }
    tried.end()
    return true
  }()

  private static func check(_ code: Int32) throws {
    guard code == 0 else { throw NotHappened(description: "mount: \(String(cString: strerror(errno)))") }
  }
}
