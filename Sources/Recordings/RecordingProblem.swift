/// What is wrong with a recording, and where.
public struct RecordingProblem: Error, Hashable, Sendable, CustomStringConvertible {
  /// The byte of the file, counted from 0.
  public var byte: UInt64
  /// The line, counted from 1.
  public var line: UInt64
  /// The record that it would have been, counted from 1: one more than there are records before it.
  public var record: UInt64
  public var reason: String

  public init(byte: UInt64, line: UInt64, record: UInt64, reason: String) {
    self.byte = byte
    self.line = line
    self.record = record
    self.reason = reason
  }

  public var description: String { "byte \(byte), line \(line), record \(record): \(reason)" }
}

/// Why a line cannot be used: what the reader makes a ``RecordingProblem`` of.
struct LineFault: Error {
  /// Of the line, from 0.
  var offset: Int
  var reason: String
  /// The record was there before.
  var isRepeated: Bool

  init(_ reason: String, at offset: Int = 0, isRepeated: Bool = false) {
    self.reason = reason
    self.offset = offset
    self.isRepeated = isRepeated
  }
}

/// The system refused to read or write.
public struct RecordingFileError: Error, Hashable, Sendable, CustomStringConvertible {
  public var path: String
  public var reason: String
  /// A new file was asked for, and there is one already.
  public var isThereAlready = false

  public init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }

  public var description: String { "\(path): \(reason)" }
}
