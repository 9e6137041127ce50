import Foundation
import StreamModel

/// Writes the lines of a run file: JSON with its members in the order of their names, so that the same run gives the same
/// bytes.
struct RunFileWriter {
  private let encoder: JSONEncoder
  private let write: ([UInt8]) throws -> Void
  private var waiting: [UInt8] = []

  /// So many bytes are written at once.
  private static let pieceByteCount = 1 << 20

  init(_ write: @escaping ([UInt8]) throws -> Void) {
    self.write = write
    encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  }

  mutating func append(_ line: some Encodable) throws {
    waiting += try encoder.encode(line)
    try endLine()
  }

  /// The same bytes as those of the encoder, which takes ten times as long for them: most invocations say no more.
  mutating func append(_ line: RunInvocation) throws {
    guard line.isPlain else {
      waiting += try encoder.encode(line)
      return try endLine()
    }
    add(#"{"attempt":"#, line.attempt)
    add(#","begunAt":"#, line.begunAt)
    add(#","endedAt":"#, line.endedAt)
    add(#","invocation":"#, line.invocation)
    add(#","lane":"#, line.lane)
    waiting += #","records":["#.utf8
    for (place, stretch) in line.records.enumerated() {
      if place > 0 { waiting.append(UInt8(ascii: ",")) }
      for (place, index) in stretch.enumerated() { add(place == 0 ? "[" : ",", index) }
      waiting.append(UInt8(ascii: "]"))
    }
    waiting += #"],"result":""#.utf8
    waiting += line.result.utf8
    add(#"","shard":"#, line.shard)
    waiting.append(UInt8(ascii: "}"))
    try endLine()
  }

  private mutating func add(_ text: String, _ number: some BinaryInteger) {
    waiting += text.utf8
    waiting += String(number).utf8
  }

  private mutating func endLine() throws {
    waiting.append(10)
    if waiting.count >= Self.pieceByteCount { try flush() }
  }

  mutating func flush() throws {
    guard !waiting.isEmpty else { return }
    try write(waiting)
    waiting.removeAll(keepingCapacity: true)
  }
}

extension RunInvocation {
  /// A delivery that succeeded and of which there is nothing else to say.
  fileprivate var isPlain: Bool {
    result == "succeeded" && reported == nil && failure == nil && errorType == nil && errorMessage == nil
      && answer == nil && window == nil && state == nil && tookMicroseconds == nil
      && records.allSatisfy { $0.count == 2 }
  }
}
