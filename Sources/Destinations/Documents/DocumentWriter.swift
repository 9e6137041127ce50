import LambdaRuntime

/// Puts JSON together, text by text.
struct DocumentWriter {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int) { bytes.reserveCapacity(capacity) }

  mutating func raw(_ json: String) { bytes.append(contentsOf: json.utf8) }

  /// A value that is JSON already.
  mutating func raw(_ json: [UInt8]) { bytes.append(contentsOf: json) }

  mutating func text(_ text: String) { self.text(Array(text.utf8)) }

  /// A string of JSON with these UTF-8 bytes inside.
  mutating func text(_ text: [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    JSONText.append(escaping: text, to: &bytes)
    bytes.append(UInt8(ascii: "\""))
  }
}
