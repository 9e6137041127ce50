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
    waiting.append(10)
    if waiting.count >= Self.pieceByteCount { try flush() }
  }

  mutating func flush() throws {
    guard !waiting.isEmpty else { return }
    try write(waiting)
    waiting.removeAll(keepingCapacity: true)
  }
}
