import Foundation
import Sluice

/// A JSON document with one text.
struct DecodedData: Decodable {
  var text: String

  /// That of an empty text.
  static let leastByteCount = 11

  static func document(byteCount: Int) -> [UInt8] {
    Array(#"{"text":"\#(String(repeating: "a", count: byteCount - leastByteCount))"}"#.utf8)
  }

  /// Decodes a document, and throws if it is not one of these.
  static func check(_ bytes: [UInt8], _ decoder: JSONDecoder) throws {
    let text = try decoder.decode(DecodedData.self, from: Data(bytes)).text
    guard text.utf8.count == bytes.count - leastByteCount else {
      throw HandlerFailure(kind: .error, type: "DecodedData", message: "the text of a record is not what was put")
    }
  }
}
