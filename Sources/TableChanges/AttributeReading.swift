import EventPattern
import StreamModel

/// Reads the attributes of an item: each under its name an object with its type and its value, as
/// `{"id":{"S":"a"},"n":{"N":"101"}}`.
enum AttributeReading {
  /// Lists and maps in one another.
  static let nestingLimit = 32
  /// Attributes of a key: the hash key, and the range key if the table has one.
  static let keyAttributes = 1...2

  enum Kind: String, CaseIterable {
    case S, N, B, SS, NS, BS, M, L, NULL, BOOL
  }

  /// Passes the object at the cursor and gives the size that AWS counts: of each attribute its name and its value.
  @_lifetime(cursor: copy cursor)
  static func passItem(_ cursor: inout JSONCursor, isKey: Bool = false, depth: Int = 0) throws -> Int {
    let start = cursor.position
    guard try cursor.peek() == JSONByte.openBrace else {
      throw ChangeProblem("", try excerpt(&cursor), "it is an object of attributes")
    }
    try cursor.enter()
    var size = 0
    var count = 0
    var hasAttribute = try cursor.hasFirst(until: JSONByte.closeBrace)
    while hasAttribute {
      let key = try cursor.key()
      do {
        size += decodedCount(key, cursor.bytes) + (try passValue(&cursor, isKey: isKey, depth: depth))
      } catch let problem as ChangeProblem {
        throw problem.inside(Excerpt.of(cursor.bytes, key.range))
      }
      count += 1
      hasAttribute = try cursor.hasNext(until: JSONByte.closeBrace)
    }
    if isKey, !keyAttributes.contains(count) {
      throw ChangeProblem(
        "", Excerpt.of(cursor.bytes, start..<cursor.position), "a key has one attribute, or two with a range key")
    }
    return size
  }

  /// Passes `{"S":"…"}` and gives its size.
  @_lifetime(cursor: copy cursor)
  private static func passValue(_ cursor: inout JSONCursor, isKey: Bool, depth: Int) throws -> Int {
    guard depth < nestingLimit else {
      throw ChangeProblem("", "nested more deeply", "lists and maps stand in one another \(nestingLimit) times at most")
    }
    guard try cursor.peek() == JSONByte.openBrace else {
      throw ChangeProblem("", try excerpt(&cursor), rule)
    }
    try cursor.enter()
    guard try cursor.hasFirst(until: JSONByte.closeBrace) else { throw ChangeProblem("", "{}", rule) }
    let name = try cursor.key()
    let text = Excerpt.of(cursor.bytes, name.range)
    guard let kind = Kind(rawValue: text) else { throw ChangeProblem(text, "there", rule) }
    if isKey, kind != .S, kind != .N, kind != .B {
      throw ChangeProblem("", text, "an attribute of a key has the type S, N or B")
    }
    let size: Int
    do {
      size = try passValue(&cursor, of: kind, depth: depth)
    } catch let problem as ChangeProblem {
      throw problem.inside(text)
    }
    guard try !cursor.hasNext(until: JSONByte.closeBrace) else {
      throw ChangeProblem("", "of several types", rule)
    }
    return size
  }

  private static let rule =
    "an attribute value is an object with one type of \(Kind.allCases.map(\.rawValue).joined(separator: ", "))"

  @_lifetime(cursor: copy cursor)
  private static func passValue(_ cursor: inout JSONCursor, of kind: Kind, depth: Int) throws -> Int {
    let first = try cursor.peek()
    switch kind {
    case .S, .N, .B:
      return try passText(&cursor, first, kind)
    case .BOOL, .NULL:
      guard first == UInt8(ascii: "t") || first == UInt8(ascii: "f") else {
        throw ChangeProblem("", try excerpt(&cursor), "it is true or false")
      }
      let word = try cursor.word(first)
      if kind == .NULL, word == .false { throw ChangeProblem("", "false", "NULL is true") }
      return 1
    case .SS, .NS, .BS:
      let element: Kind = kind == .SS ? .S : kind == .NS ? .N : .B
      return try passElements(&cursor, first) { cursor throws in try passText(&cursor, cursor.peek(), element) }
    case .L:
      // Containers take three bytes, and each element one.
      return try passElements(&cursor, first, isEmptyAllowed: true) { cursor throws in
        try passValue(&cursor, isKey: false, depth: depth + 1) + 1
      } + 3
    case .M:
      return try passItem(&cursor, depth: depth + 1) + 3
    }
  }

  @_lifetime(cursor: copy cursor)
  private static func passElements(
    _ cursor: inout JSONCursor, _ first: UInt8, isEmptyAllowed: Bool = false,
    _ pass: (inout JSONCursor) throws -> Int
  ) throws -> Int {
    guard first == JSONByte.openBracket else { throw ChangeProblem("", try excerpt(&cursor), "it is a list") }
    try cursor.enter()
    var size = 0
    var count = 0
    var hasElement = try cursor.hasFirst(until: JSONByte.closeBracket)
    while hasElement {
      do {
        size += try pass(&cursor)
      } catch let problem as ChangeProblem {
        throw problem.inside("\(count)")
      }
      count += 1
      hasElement = try cursor.hasNext(until: JSONByte.closeBracket)
    }
    guard count > 0 || isEmptyAllowed else { throw ChangeProblem("", "[]", "a set is not empty") }
    return size
  }

  @_lifetime(cursor: copy cursor)
  private static func passText(_ cursor: inout JSONCursor, _ first: UInt8, _ kind: Kind) throws -> Int {
    guard first == JSONByte.quote else {
      throw ChangeProblem("", try excerpt(&cursor), "\(kind.rawValue) is a text, also of a number")
    }
    let string = try cursor.string()
    switch kind {
    case .N:
      guard let digits = significantDigits(string, cursor.bytes) else {
        throw ChangeProblem("", Excerpt.of(cursor.bytes, string.range), "it is the text of a number")
      }
      return (digits + 1) / 2 + 1
    case .B:
      guard let count = base64Count(string, cursor.bytes) else {
        throw ChangeProblem("", Excerpt.of(cursor.bytes, string.range), "it is base64")
      }
      return count
    default:
      return decodedCount(string, cursor.bytes)
    }
  }

  /// The UTF-8 bytes of a string of JSON.
  private static func decodedCount(_ string: JSONString, _ bytes: RawSpan) -> Int {
    guard string.hasEscapes else { return string.count }
    var text: [UInt8] = []
    JSONUnescaping.decode(string, in: bytes, into: &text)
    return text.count
  }

  /// `nil` if the string is not a number as JSON writes it.
  private static func significantDigits(_ string: JSONString, _ bytes: RawSpan) -> Int? {
    guard !string.hasEscapes, string.count > 0 else { return nil }
    var number = JSONCursor(bytes.extracting(string.range))
    do {
      let first = try number.peek()
      guard first == JSONByte.minus || JSONByte.isDigit(first) else { return nil }
      let range = try number.number()
      guard range == 0..<string.count else { return nil }
    } catch {
      return nil
    }
    var digits = 0
    for offset in string.range {
      let byte = Excerpt.byte(of: bytes, at: offset)
      if byte | 0x20 == JSONByte.exponent { break }
      if JSONByte.isDigit(byte) { digits += 1 }
    }
    return digits
  }

  /// The bytes that base64 stands for; `nil` if it is not base64 with its padding.
  private static func base64Count(_ string: JSONString, _ bytes: RawSpan) -> Int? {
    guard !string.hasEscapes, string.count % 4 == 0 else { return nil }
    var padding = 0
    for offset in string.range {
      let byte = Excerpt.byte(of: bytes, at: offset)
      if byte == UInt8(ascii: "=") {
        padding += 1
        continue
      }
      guard padding == 0 else { return nil }
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
        break
      default: return nil
      }
    }
    return padding <= 2 ? string.count / 4 * 3 - padding : nil
  }

  /// Passes the value and shows how it begins.
  @_lifetime(cursor: copy cursor)
  static func excerpt(_ cursor: inout JSONCursor) throws -> String {
    let first = try cursor.peek()
    let start = cursor.position
    try cursor.skipValue(first)
    return Excerpt.of(cursor.bytes, start..<cursor.position)
  }
}
