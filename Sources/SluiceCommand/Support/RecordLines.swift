import Foundation
import Recordings
import Sluice
import StreamModel
import TableChanges

/// Makes records out of lines: the line is the data, a field of it or a fixed text the partition key.
struct RecordLines {
  enum Key {
    /// This field of the JSON object in each line.
    case field(String)
    /// The same key for all.
    case fixed(String)
    /// The item that the change in each line is about.
    case change
  }

  var key: Key
  /// The key of records whose field is missing or null. `nil`: those are errors.
  var missingKey: String?
  var recordByteLimit: Int
  /// Each line is a change of a table.
  var holdsChanges = false

  /// Appends the record of a line in packed form. Empty lines are errors: they would be records without data.
  func append(_ line: ArraySlice<UInt8>, number: Int, to packed: inout [UInt8]) throws {
    guard !line.isEmpty else { throw bad(number, "is empty") }
    if holdsChanges { try check(line, number: number) }
    let partitionKey = try partitionKey(of: line, number: number)
    let keyLength = partitionKey.unicodeScalars.count
    guard (1...256).contains(keyLength) else {
      throw bad(number, "has a partition key of \(keyLength) characters: allowed are 1 to 256")
    }
    let size = line.count + partitionKey.utf8.count
    guard size <= recordByteLimit else {
      throw bad(number, "makes a record of \(size) bytes, key included: the stream takes at most \(recordByteLimit)")
    }
    var text = partitionKey
    text.withUTF8 { keyBytes in
      line.withUnsafeBytes { data in
        RecordLayout.append(
          partitionKey: UnsafeRawBufferPointer(keyBytes), data: data, explicitHashKey: nil, to: &packed)
      }
    }
  }

  private func partitionKey(of line: ArraySlice<UInt8>, number: Int) throws -> String {
    switch key {
    case .field(let name): try partitionKey(in: name, of: line, number: number)
    case .fixed(let text): text
    case .change:
      try change(line, number: number) { data throws(ChangeProblem) in try ChangeRecord.partitionKey(of: data) }
    }
  }

  private func check(_ line: ArraySlice<UInt8>, number: Int) throws {
    try change(line, number: number) { data throws(ChangeProblem) in try ChangeRecord.check(data) }
  }

  private func change<Result>(
    _ line: ArraySlice<UInt8>, number: Int, _ body: (RawSpan) throws(ChangeProblem) -> Result
  ) throws -> Result {
    do {
      return try body(line.span.bytes)
    } catch {
      throw bad(number, "is not a change: \(error)")
    }
  }

  private func partitionKey(in name: String, of line: ArraySlice<UInt8>, number: Int) throws -> String {
    let object: Any
    do {
      object = try JSONSerialization.jsonObject(with: Data(line))
    } catch {
      throw bad(number, "is not JSON, so it has no field \(name): \(error.localizedDescription)")
    }
    guard let fields = object as? [String: Any] else {
      throw bad(number, "is not a JSON object, so it has no field \(name)")
    }
    switch fields[name] {
    case let text as String where !text.isEmpty: return text
    case let number as NSNumber: return number.stringValue
    case nil, is NSNull, is String:
      guard let missingKey else {
        throw bad(
          number,
          "has no value in \(name), the key field. Name a key for such records with --missing-key, "
            + "or mend the line")
      }
      return missingKey
    default: throw bad(number, "has a list or an object in \(name): a partition key is text or a number")
    }
  }

  private func bad(_ number: Int, _ text: String) -> Problem {
    Problem(Exit.badInput, "line \(number) \(text)")
  }
}

/// Reads lines from a file or from standard input in large pieces. The last line may lack its end.
struct LineReader {
  /// The next piece; empty at the end.
  private let read: () throws -> [UInt8]
  private var buffer: [UInt8] = []
  private var offset = 0
  private var isAtEnd = false

  init(path: String) throws {
    if path == "-" {
      read = Self.reading(.standardInput)
    } else {
      guard let file = FileHandle(forReadingAtPath: path) else {
        throw Problem(Exit.badInput, "\(path) cannot be read: no such file, or no permission")
      }
      read = Self.reading(file)
    }
  }

  /// What is compressed is read as it was before.
  init(_ input: RecordingInput) {
    read = {
      try [UInt8](unsafeUninitializedCapacity: Self.pieceByteCount) { memory, count in
        count = try input.read(into: UnsafeMutableRawBufferPointer(memory))
      }
    }
  }

  private static let pieceByteCount = 1 << 20

  private static func reading(_ handle: FileHandle) -> () throws -> [UInt8] {
    { try handle.read(upToCount: pieceByteCount).map { Array($0) } ?? [] }
  }

  /// The next line without its end, or `nil` behind the last.
  mutating func next() throws -> ArraySlice<UInt8>? {
    while true {
      if let end = buffer[offset...].firstIndex(of: 10) {
        defer { offset = end + 1 }
        return trimmed(buffer[offset..<end])
      }
      if isAtEnd {
        guard offset < buffer.count else { return nil }
        defer { offset = buffer.count }
        return trimmed(buffer[offset...])
      }
      buffer.removeFirst(offset)
      offset = 0
      let piece = try read()
      buffer += piece
      isAtEnd = piece.isEmpty
    }
  }

  private func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    line.last == 13 ? line.dropLast() : line
  }
}
