internal import EventPattern

/// A JSON value of a file that is imported, and where it stands in it.
struct JSONNode {
  enum Value {
    case object([(name: String, node: JSONNode)])
    case list([JSONNode])
    /// Decoded.
    case text([UInt8])
    case number
    case null
    case other
  }

  var value: Value
  /// In the file.
  var range: Range<Int>

  /// The first value of the bytes of a file from `start` on, which does not stand behind `end`.
  init(_ bytes: [UInt8], from start: Int, to end: Int) throws(LineFault) {
    try self.init(unsafe bytes.span.bytes.extracting(start..<end), at: start)
  }

  /// The first value of the bytes, which stand at `base`.
  init(_ bytes: RawSpan, at base: Int = 0) throws(LineFault) {
    do throws(JSONFault) {
      var cursor = JSONCursor(bytes)
      self = try Self.value(&cursor, base)
    } catch {
      throw LineFault("this is not JSON: \(error.reason)", at: base + error.offset)
    }
  }

  /// Passes the value at the cursor, whose first byte stands at `base`.
  @_lifetime(cursor: copy cursor)
  init(_ cursor: inout JSONCursor, at base: Int) throws(JSONFault) { self = try Self.value(&cursor, base) }

  @_lifetime(cursor: copy cursor)
  private static func value(_ cursor: inout JSONCursor, _ base: Int) throws(JSONFault) -> JSONNode {
    let byte = try cursor.peek()
    let start = cursor.position
    var value = Value.other
    switch byte {
    case JSONByte.openBrace:
      try cursor.enter()
      var members: [(name: String, node: JSONNode)] = []
      var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
      while hasMember {
        let name = decoded(try cursor.key(), cursor.bytes)
        members.append((String(decoding: name, as: UTF8.self), try self.value(&cursor, base)))
        hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
      }
      value = .object(members)
    case JSONByte.openBracket:
      try cursor.enter()
      var elements: [JSONNode] = []
      var hasElement = try cursor.hasFirst(until: JSONByte.closeBracket)
      while hasElement {
        elements.append(try self.value(&cursor, base))
        hasElement = try cursor.hasNext(until: JSONByte.closeBracket)
      }
      value = .list(elements)
    case JSONByte.quote:
      value = .text(decoded(try cursor.string(), cursor.bytes))
    default:
      try cursor.skipValue(byte)
      if byte == JSONByte.minus || JSONByte.isDigit(byte) { value = .number }
      if byte == UInt8(ascii: "n") { value = .null }
    }
    return JSONNode(value: value, range: base + start..<base + cursor.position)
  }

  private init(value: Value, range: Range<Int>) {
    self.value = value
    self.range = range
  }

  private static func decoded(_ string: JSONString, _ bytes: RawSpan) -> [UInt8] {
    var text: [UInt8] = []
    JSONUnescaping.decode(string, in: bytes, into: &text)
    return text
  }

  var members: [(name: String, node: JSONNode)]? {
    if case .object(let members) = value { members } else { nil }
  }

  var elements: [JSONNode]? { if case .list(let elements) = value { elements } else { nil } }

  var isNull: Bool { if case .null = value { true } else { false } }

  /// The member of an object; `nil` if it is not there, or is `null`.
  subscript(name: String) -> JSONNode? {
    guard let node = members?.first(where: { $0.name == name })?.node, !node.isNull else { return nil }
    return node
  }

  func member(_ name: String) throws(LineFault) -> JSONNode {
    guard let node = self[name] else { throw LineFault("\(name) is missing", at: range.lowerBound) }
    return node
  }

  /// The text of a member.
  func text(_ name: String) throws(LineFault) -> [UInt8] {
    let node = try member(name)
    guard case .text(let text) = node.value else {
      throw LineFault("\(name) must be a text", at: node.range.lowerBound)
    }
    return text
  }

  /// The bytes that stand there, without the space between values.
  func appendCompact(of bytes: [UInt8], to target: inout [UInt8]) {
    target.append(withoutSpace: bytes[range])
  }
}
