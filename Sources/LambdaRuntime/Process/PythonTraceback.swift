/// The last Python traceback in what a process wrote to its standard error.
struct PythonTraceback: Hashable, Sendable {
  /// Such as `KeyError` or `json.decoder.JSONDecodeError`.
  var type: String
  var message: String

  /// `nil` when there is none, or when it is cut off before its last line.
  init?(in lines: [String]) {
    guard let start = lines.lastIndex(where: { $0.hasPrefix("Traceback (most recent call last)") }) else { return nil }
    // The frames are indented; the first line that is not names the exception.
    guard let line = lines[(start + 1)...].first(where: { !$0.isEmpty && !$0.hasPrefix(" ") }) else { return nil }
    let parts = line.split(separator: ":", maxSplits: 1)
    let name = parts[0]
    guard name.utf8.allSatisfy({ Self.isPartOfName($0) }), let first = name.utf8.first, first > 57 else { return nil }
    self.type = String(name)
    self.message = parts.count > 1 ? String(parts[1].drop(while: { $0 == " " })) : ""
  }

  private static func isPartOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case 46, 48...57, 65...90, 95, 97...122, 128...: true
    default: false
    }
  }
}
