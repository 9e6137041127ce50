import Foundation
import Testing

/// A gate that other processes wait at: a pipe with a name, of which everybody who is let through reads a byte.
struct Gate: ~Copyable {
  /// Waits at the gate whose path is `gate`, in Python.
  static let wait = "os.read(os.open(gate, os.O_RDONLY), 1)"

  let path: String
  // Open for both, so that opening it blocks nobody and what is written stays until it is read.
  private let handle: Int32

  init(in directory: URL) throws {
    path = directory.path + "/gate"
    try #require(mkfifo(path, 0o600) == 0)
    handle = Foundation.open(path, O_RDWR | O_CLOEXEC)
    try #require(handle >= 0)
  }

  deinit { close(handle) }

  /// Lets `count` through, also those who come later.
  func open(for count: Int) {
    let written = [UInt8](repeating: 0, count: count).withUnsafeBytes { write(handle, $0.baseAddress, count) }
    #expect(written == count)
  }
}
