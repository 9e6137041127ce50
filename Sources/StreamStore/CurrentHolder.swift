internal import Glibc

extension StreamStore {
  /// The process that has the store at `path` open to write, now; `nil` if none has. A note that a killed process left
  /// behind does not count: its lock is gone.
  public static func holder(at path: String) -> HolderNote? {
    let opened = unsafe Glibc.open(path + "/" + HolderLock.name, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    defer { _ = Glibc.close(opened) }
    guard flock(opened, LOCK_SH | LOCK_NB) != 0 else { return nil }
    return HolderLock.note(in: path)
  }
}
