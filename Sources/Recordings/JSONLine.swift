internal import EventPattern
internal import Glibc

/// JSON as it stands in a line.
package enum JSONLine {
  /// A text as a JSON string.
  package static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case "\r": out += "\\r"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }

  /// Whether the bytes are one JSON value on one line without space around it: then they can stand in a line as they are.
  static func isPlain(_ data: UnsafeRawBufferPointer) -> Bool {
    guard let first = unsafe data.first, first > 0x20, let start = data.baseAddress else { return false }
    let span = unsafe RawSpan(_unsafeBytes: data)
    var cursor = JSONCursor(span)
    do throws(JSONFault) {
      try cursor.skipValue(try cursor.peek())
    } catch {
      return false
    }
    // The C library looks at many bytes at once.
    return unsafe cursor.position == data.count && memchr(start, 10, data.count) == nil
  }
}
