import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Reads the lines of a ``FunctionLogFile``, also while it is written and when it is replaced.
public struct FunctionLogReader {
  /// One line of a function's log.
  public struct Line: Codable, Hashable, Sendable {
    /// RFC 3339, UTC, with milliseconds.
    public var time: String
    /// Of the invocation that it belongs to; empty if there is none.
    public var requestId: String
    public var message: String

    init?(_ bytes: some Sequence<UInt8>) {
      let parts = String(decoding: Array(bytes), as: UTF8.self)
        .split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { return nil }
      (time, requestId, message) = (String(parts[0]), parts[1] == "-" ? "" : String(parts[1]), String(parts[2]))
    }
  }

  private let path: String
  private var handle: FileHandle?
  private var isFirst = true
  /// The start of a line whose end has not been written yet.
  private var rest: [UInt8] = []

  public init(path: String) {
    self.path = path
  }

  /// What was written since the last call, oldest first; the first time all that there is. Empty where nothing was
  /// ever written.
  public mutating func next() throws -> [Line] {
    var lines: [Line] = []
    if isFirst {
      isFirst = false
      // Opened before the former one is read: what is written in between is not lost, even when the files turn.
      handle = FileHandle(forReadingAtPath: path)
      if let former = FileManager.default.contents(atPath: FunctionLogFile.formerPath(of: path)) {
        take(former, &lines)
      }
    }
    try readOn(&lines)
    // A full file was replaced: the last of it is read, then the new one.
    if handle == nil || !isCurrent, let fresh = FileHandle(forReadingAtPath: path) {
      try readOn(&lines)
      try handle?.close()
      handle = fresh
      try readOn(&lines)
    }
    return lines
  }

  private mutating func readOn(_ lines: inout [Line]) throws {
    guard let handle else { return }
    while let data = try handle.read(upToCount: 1 << 20), !data.isEmpty { take(data, &lines) }
  }

  private mutating func take(_ data: Data, _ lines: inout [Line]) {
    rest += data
    var start = rest.startIndex
    while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
      if let line = Line(rest[start..<end]) { lines.append(line) }
      start = end + 1
    }
    rest.removeFirst(start)
  }

  /// Whether the open file is the one at the path.
  private var isCurrent: Bool {
    guard let handle else { return false }
    var (open, named) = (stat(), stat())
    guard unsafe fstat(handle.fileDescriptor, &open) == 0, unsafe stat(path, &named) == 0 else { return true }
    return open.st_ino == named.st_ino && open.st_dev == named.st_dev
  }
}
