internal import Glibc

/// What the lock file of a store says about the process that writes to it.
public struct HolderNote: Hashable, Sendable, CustomStringConvertible {
  public var processID: Int32
  /// Where it listens, such as `127.0.0.1:4567`; empty while it does not.
  public var listenAddress: String

  public init(processID: Int32, listenAddress: String = "") {
    self.processID = processID
    self.listenAddress = listenAddress
  }

  public var description: String {
    "process \(processID)" + (listenAddress.isEmpty ? "" : ", listening at \(listenAddress)")
  }

  var text: String { "\(processID)\n\(listenAddress)\n" }

  init?(text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard let first = lines.first, let processID = Int32(first) else { return nil }
    self.init(processID: processID, listenAddress: lines.count > 1 ? String(lines[1]) : "")
  }
}

/// The file `LOCK` of a store, locked by the process that writes. The lock ends with the process, however it ends.
final class HolderLock: Sendable {
  private let descriptor: Int32
  static let name = "LOCK"

  /// Takes the lock and writes the note of this process.
  init(directory: String) throws(StoreError) {
    let path = directory + "/" + Self.name
    let opened = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard opened >= 0 else { throw .unusable(path: directory, reason: systemMessage(errno)) }
    guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      _ = close(opened)
      guard code == EWOULDBLOCK else { throw .unusable(path: directory, reason: systemMessage(code)) }
      throw .inUse(path: directory, holder: Self.note(in: directory))
    }
    descriptor = opened
    try set(HolderNote(processID: getpid()))
  }

  deinit {
    _ = ftruncate(descriptor, 0)
    _ = close(descriptor)
  }

  /// Replaces the note.
  func set(_ note: HolderNote) throws(StoreError) {
    let bytes = Array(note.text.utf8)
    let written = unsafe bytes.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    guard written == bytes.count, ftruncate(descriptor, off_t(bytes.count)) == 0 else {
      throw .failed("the lock file could not be written: \(systemMessage(errno))")
    }
  }

  /// The note of whoever holds the lock, or held it; `nil` if there is none.
  static func note(in directory: String) -> HolderNote? {
    let opened = unsafe open(directory + "/" + name, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    defer { _ = close(opened) }
    let text = unsafe String(unsafeUninitializedCapacity: 1024) { buffer in
      unsafe max(read(opened, buffer.baseAddress, 1024), 0)
    }
    return HolderNote(text: text)
  }
}
