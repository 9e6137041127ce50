import Foundation
import Testing

/// A gate that other processes wait at: a pipe with a name, of which everybody who is let through reads a byte.
struct Gate {
  /// Waits at the gate of the folder that it works in, in Python.
  static let wait = "os.read(os.open('gate', os.O_RDONLY), 1)"

  // Open for both, so that opening it blocks nobody and what is written stays until it is read.
  private let handle: FileHandle

  init(in directory: URL) throws {
    let path = directory.path + "/gate"
    try #require(mkfifo(path, 0o600) == 0)
    handle = try FileHandle(forUpdating: URL(filePath: path))
  }

  /// Lets `count` through, also those who come later.
  func open(for count: Int) throws { try handle.write(contentsOf: Data(count: count)) }

  /// When nobody waits any more.
  func remove() {
    do {
      try handle.close()
    } catch {
      Issue.record(error)
    }
  }
}
