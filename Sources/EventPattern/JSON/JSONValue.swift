/// A JSON text as a tree, for patterns and for explanations. Records on their way to a handler never become one.
struct JSONValue {
  indirect enum Content {
    /// In the order of the text; a key may repeat.
    case object([Member])
    case array([JSONValue])
    /// Decoded, in UTF-8.
    case string([UInt8])
    /// As it is written.
    case number([UInt8])
    case word(JSONWord)
  }

  struct Member {
    var key: [UInt8]
    var value: JSONValue
  }

  var content: Content
  /// Where it stands in the text.
  var range: Range<Int>

  init(content: Content, range: Range<Int>) {
    self.content = content
    self.range = range
  }

  /// Reads a whole text.
  init(_ bytes: RawSpan) throws(JSONFault) {
    var cursor = JSONCursor(bytes)
    self = try JSONValue(&cursor)
    try cursor.expectEnd()
  }

  init(text: [UInt8]) throws(JSONFault) {
    try unsafe self.init(text.span.bytes)
  }

  private init(_ cursor: inout JSONCursor) throws(JSONFault) {
    let first = try cursor.peek()
    let start = cursor.position
    switch first {
    case JSONByte.openBrace: content = .object(try Self.members(&cursor))
    case JSONByte.openBracket: content = .array(try Self.elements(&cursor))
    case JSONByte.quote: content = .string(Self.decoded(try cursor.string(), cursor))
    case JSONByte.minus, JSONByte.zero...UInt8(ascii: "9"):
      content = .number(Self.copy(try cursor.number(), cursor))
    default: content = .word(try cursor.word(first))
    }
    range = start..<cursor.position
  }

  private static func members(_ cursor: inout JSONCursor) throws(JSONFault) -> [Member] {
    var members: [Member] = []
    try cursor.enter()
    var hasMember = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasMember {
      let key = decoded(try cursor.key(), cursor)
      members.append(Member(key: key, value: try JSONValue(&cursor)))
      hasMember = try cursor.hasNext(until: JSONByte.closeBrace)
    }
    return members
  }

  private static func elements(_ cursor: inout JSONCursor) throws(JSONFault) -> [JSONValue] {
    var elements: [JSONValue] = []
    try cursor.enter()
    var hasElement = try cursor.hasFirst(until: JSONByte.closeBracket)
    while hasElement {
      elements.append(try JSONValue(&cursor))
      hasElement = try cursor.hasNext(until: JSONByte.closeBracket)
    }
    return elements
  }

  private static func decoded(_ string: JSONString, _ cursor: borrowing JSONCursor) -> [UInt8] {
    guard string.hasEscapes else { return copy(string.range, cursor) }
    var text: [UInt8] = []
    JSONUnescaping.decode(string, in: cursor.bytes, into: &text)
    return text
  }

  private static func copy(_ range: Range<Int>, _ cursor: borrowing JSONCursor) -> [UInt8] {
    range.map { cursor.byte(at: $0) }
  }
}

extension JSONValue {
  var isObject: Bool {
    if case .object = content { true } else { false }
  }

  var isArray: Bool {
    if case .array = content { true } else { false }
  }

  /// The members of an object of which later ones with the same key have been taken instead of earlier ones; `nil` for
  /// anything else.
  var lastMembers: [Member]? {
    guard case .object(let members) = content else { return nil }
    var places: [[UInt8]: Int] = [:]
    for (place, member) in members.enumerated() { places[member.key] = place }
    return members.enumerated().filter { places[$0.element.key] == $0.offset }.map(\.element)
  }

  /// The string's text; `nil` for anything else.
  var text: [UInt8]? {
    if case .string(let text) = content { text } else { nil }
  }
}
