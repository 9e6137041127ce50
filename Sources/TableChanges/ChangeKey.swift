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
      let key = String(decoding: try keyText(data, ChangeLayout(data)), as: UTF8.self)
      guard key.unicodeScalars.count > 256 else { return key }
      return hexadecimal(HashKey(partitionKey: key).rawValue)
    } catch let problem as ChangeProblem {
      throw problem
    } catch {
      throw ChangeProblem("Data", "not JSON (\(error))", "the data of a change is a JSON object")
    }
  }

  /// The keys of a change that was checked: its attributes by name, without spaces.
  static func keyText(_ data: RawSpan, _ layout: ChangeLayout) throws -> [UInt8] {
    let members = try attributes(of: .keys, data, layout).map { name, value in
      [JSONByte.quote] + name + [JSONByte.quote, JSONByte.colon] + value
    }.sorted { $0.lexicographicallyPrecedes($1) }
    return [JSONByte.openBrace] + members.joined(separator: [JSONByte.comma]) + [JSONByte.closeBrace]
  }

  /// The attributes of keys or of an image that were checked, in their order: names as they are written, and values without
  /// spaces.
  static func attributes(
    of part: ChangeLayout.Part, _ data: RawSpan, _ layout: ChangeLayout
  ) throws -> [(name: [UInt8], value: [UInt8])] {
    var attributes: [(name: [UInt8], value: [UInt8])] = []
    var cursor = JSONCursor(data.extracting(layout[part]))
    _ = try cursor.peek()
    try cursor.enter()
    var hasAttribute = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasAttribute {
      let name = try cursor.key().range.map { cursor.byte(at: $0) }
      let first = try cursor.peek()
      let start = cursor.position
      try cursor.skipValue(first)
      var value: [UInt8] = []
      value.append(withoutSpace: (start..<cursor.position).map { cursor.byte(at: $0) })
      attributes.append((name, value))
      hasAttribute = try cursor.hasNext(until: JSONByte.closeBrace)
    }
    return attributes
  }

  /// 32 lower-case digits.
  static func hexadecimal(_ number: UInt128) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 32 - digits.utf8.count) + digits
  }
}
