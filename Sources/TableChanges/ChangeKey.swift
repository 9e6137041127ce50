import EventPattern
import StreamModel

/// The item that a change is about.
extension ChangeRecord {
  /// The partition key under which all changes of one item come, and so stay in order: its key attributes in JSON, by
  /// name and without spaces, as `{"id":{"S":"a"}}`. Beyond the 256 characters that a partition key may have: the MD5 of
  /// that, in hexadecimal.
  public static func partitionKey(of data: RawSpan) throws(ChangeProblem) -> String {
    try check(data)
    do {
      let layout = try ChangeLayout(data)
      var attributes: [(name: [UInt8], text: [UInt8])] = []
      var cursor = JSONCursor(data.extracting(layout[.keys]))
      _ = try cursor.peek()
      try cursor.enter()
      var hasAttribute = try cursor.hasFirst(until: JSONByte.closeBrace)
      while hasAttribute {
        let name = try cursor.key()
        var text = [JSONByte.quote]
        text += name.range.map { cursor.byte(at: $0) }
        text += [JSONByte.quote, JSONByte.colon]
        let first = try cursor.peek()
        let start = cursor.position
        try cursor.skipValue(first)
        text.append(withoutSpace: (start..<cursor.position).map { cursor.byte(at: $0) })
        attributes.append((text, text))
        hasAttribute = try cursor.hasNext(until: JSONByte.closeBrace)
      }
      attributes.sort { $0.name.lexicographicallyPrecedes($1.name) }
      let json =
        [JSONByte.openBrace] + attributes.map(\.text).joined(separator: [JSONByte.comma]) + [JSONByte.closeBrace]
      let key = String(decoding: json, as: UTF8.self)
      guard key.unicodeScalars.count > 256 else { return key }
      return hexadecimal(HashKey(partitionKey: key).rawValue)
    } catch let problem as ChangeProblem {
      throw problem
    } catch {
      throw ChangeProblem("Data", "not JSON (\(error))", "the data of a change is a JSON object")
    }
  }

  /// 32 lower-case digits.
  static func hexadecimal(_ number: UInt128) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 32 - digits.utf8.count) + digits
  }
}
