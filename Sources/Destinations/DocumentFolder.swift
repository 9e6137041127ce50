public import StreamRuntime

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A directory that takes documents, each as a file of its own.
///
/// A document is there as a whole or not at all: it is written beside its place, flushed to the disk and renamed, and
/// the new names are flushed too. What a crash leaves behind ends in `.partial` and is overwritten by the next attempt.
public struct DocumentFolder: Hashable, Sendable {
  public let path: String

  public init(path: String) { self.path = path }

  /// Writes a document and returns its path, which ends in `suffix`. Blocks for the disk.
  public func write(_ document: [UInt8], at key: ObjectKey, suffix: String = "") throws(DestinationFailure) -> String {
    let parts = key.components
    var folders = [path]
    for part in parts.dropLast() { folders.append(folders[folders.count - 1] + "/" + part) }
    // From the first one that was not there, so that a new folder is durable before what lies in it.
    for (position, folder) in folders.enumerated() where try makeFolder(folder) {
      try flushFolder(position > 0 ? folders[position - 1] : Self.parent(of: folder))
    }
    let folder = folders[folders.count - 1]
    let file = folder + "/" + parts[parts.count - 1] + suffix
    let partial = file + ".partial"
    do throws(DestinationFailure) {
      try writeFlushed(document, to: partial)
      guard unsafe rename(partial, file) == 0 else { throw Self.failure("put \(file) into its place") }
    } catch {
      unsafe unlink(partial)
      throw error
    }
    try flushFolder(folder)
    return file
  }

  /// Whether it was made now.
  private func makeFolder(_ folder: String) throws(DestinationFailure) -> Bool {
    if unsafe mkdir(folder, 0o755) == 0 { return true }
    guard errno != EEXIST else { return false }
    if errno == ENOENT, folder == path, Self.parent(of: path) != path {
      throw DestinationFailure("cannot make the directory \(path): the one that it is to lie in does not exist")
    }
    throw Self.failure("make the directory \(folder)")
  }

  private func writeFlushed(_ bytes: [UInt8], to file: String) throws(DestinationFailure) {
    let descriptor = unsafe open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure("create \(file)") }
    defer { close(descriptor) }
    var written = 0
    while written < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { memory in
        unsafe Glibc.write(descriptor, memory.baseAddress.map { unsafe $0 + written }, memory.count - written)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Self.failure("write \(file)") }
      written += count
    }
    guard fsync(descriptor) == 0 else { throw Self.failure("flush \(file)") }
  }

  private func flushFolder(_ folder: String) throws(DestinationFailure) {
    let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure("open the directory \(folder)") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw Self.failure("flush the directory \(folder)") }
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func failure(_ what: String) -> DestinationFailure {
    let reason = unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "error \(errno)"
    return DestinationFailure("cannot \(what): \(reason)")
  }
}
