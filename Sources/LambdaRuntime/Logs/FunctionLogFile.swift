import Foundation
import Locks
import StreamModel

#if canImport(Glibc)
  import Glibc
#endif

/// The log of one function: a file that is appended to, and the one before it. Bounded: at ``byteLimit`` the file
/// takes the place of the one before.
///
/// A line is a time (RFC 3339, UTC, milliseconds), the request id or `-`, and the text, with tabs between.
public final class FunctionLogFile: Sendable {
  public let path: String
  private let byteLimit: Int
  private let state: Mutex<State>

  private struct State {
    var handle: Int32 = -1
    var byteCount = 0
  }

  /// The bytes of each of the two files, about.
  public static let standardByteLimit = 16 << 20

  /// The file and its directory are made with the first line.
  public init(path: String, byteLimit: Int = standardByteLimit) {
    self.path = path
    self.byteLimit = byteLimit
    self.state = Mutex(State())
  }

  deinit {
    let handle = state.withLock { $0.handle }
    if handle >= 0 { close(handle) }
  }

  /// Where the log of a function is, for a store in `directory`.
  public static func path(of function: String, inStore directory: String) -> String {
    "\(directory)/logs/\(function).log"
  }

  /// The file before, which is there once the first was full.
  public static func formerPath(of path: String) -> String { path + ".1" }

  /// Appends a line. What cannot be written is lost: a full disk must not stop a function.
  public func append(_ text: String, requestID: String) {
    let time = CalendarTime(WallTime(milliseconds: SystemCall.wallMilliseconds())).withMilliseconds
    var line = "\(time)\t\(requestID.isEmpty ? "-" : requestID)\t\(text)\n"
    state.withLock { state in
      guard open(&state) else { return }
      let written = line.withUTF8 { bytes in unsafe write(state.handle, bytes.baseAddress, bytes.count) }
      state.byteCount += max(0, written)
      if state.byteCount >= byteLimit { turn(&state) }
    }
  }

  private func open(_ state: inout State) -> Bool {
    if state.handle >= 0 { return true }
    let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
    state.handle = unsafe Foundation.open(path, flags, 0o640)
    if state.handle < 0, errno == ENOENT {
      try? FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      state.handle = unsafe Foundation.open(path, flags, 0o640)
    }
    guard state.handle >= 0 else { return false }
    state.byteCount = Int(lseek(state.handle, 0, SEEK_END))
    return true
  }

  private func turn(_ state: inout State) {
    close(state.handle)
    state.handle = -1
    _ = unsafe rename(path, Self.formerPath(of: path))
  }
}
