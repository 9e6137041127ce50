import StreamModel

/// A place in a JSON text that moves forward value by value. Everything it passes is checked to be JSON, whether
/// anybody wants the value or not: a record with one bad byte behind the last field that a pattern asks for is not JSON.
package struct JSONCursor: ~Escapable {
  /// Arrays and objects in one another. Deeper texts are refused, so that nobody's data overflows our stack.
  package static let nestingLimit = 1_000

  package let bytes: RawSpan
  package private(set) var position = 0
  private var depth = 0

  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan) {
    self.bytes = bytes
  }

  /// The first byte of the next value or punctuation, behind white space.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func peek() throws(JSONFault) -> UInt8 {
    if position < bytes.byteCount {
      let byte = byte(at: position)
      if byte > 0x20 { return byte }
    }
    return try peekBehindSpace()
  }

  @_lifetime(self: copy self)
  private mutating func peekBehindSpace() throws(JSONFault) -> UInt8 {
    while position < bytes.byteCount {
      let byte = byte(at: position)
      if byte > 0x20 { return byte }
      guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { throw fault(.unexpectedByte) }
      position &+= 1
    }
    throw fault(.endsEarly)
  }

  /// Passes the punctuation that ``peek()`` has just shown.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func advance() { position &+= 1 }

  /// Only white space may follow.
  @_lifetime(self: copy self)
  package mutating func expectEnd() throws(JSONFault) {
    while position < bytes.byteCount {
      let byte = byte(at: position)
      guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { throw fault(.textBehindValue) }
      position &+= 1
    }
  }

  /// Passes the opening bracket that ``peek()`` has just shown.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func enter() throws(JSONFault) {
    guard depth < Self.nestingLimit else { throw fault(.nestedTooDeeply) }
    depth &+= 1
    position &+= 1
  }

  /// Passes the closing bracket that ``peek()`` has just shown.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func leave() {
    depth &-= 1
    position &+= 1
  }

  /// Behind the opening brace: is there a member? Passes the brace if there is none.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func hasFirst(until closing: UInt8) throws(JSONFault) -> Bool {
    guard try peek() == closing else { return true }
    leave()
    return false
  }

  /// Behind a member or an element: is there another? Passes the comma or the closing bracket.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func hasNext(until closing: UInt8) throws(JSONFault) -> Bool {
    let byte = try peek()
    if byte == JSONByte.comma {
      position &+= 1
      return true
    }
    guard byte == closing else { throw fault(.unexpectedByte) }
    leave()
    return false
  }

  /// The key of the next member. Passes the colon.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func key() throws(JSONFault) -> JSONString {
    guard try peek() == JSONByte.quote else { throw fault(.unexpectedByte) }
    let key = try string()
    guard try peek() == JSONByte.colon else { throw fault(.unexpectedByte) }
    position &+= 1
    return key
  }

  /// The string that begins with the quote that ``peek()`` has just shown.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func string() throws(JSONFault) -> JSONString {
    position &+= 1
    let start = position
    var hasEscapes = false
    while true {
      passPlainText()
      guard position < bytes.byteCount else { throw fault(.endsEarly) }
      let byte = byte(at: position)
      if byte == JSONByte.quote {
        let string = JSONString(start: start, end: position, hasEscapes: hasEscapes)
        position &+= 1
        return string
      }
      if byte == JSONByte.backslash {
        hasEscapes = true
        try passEscape()
      } else if byte < 0x20 {
        throw fault(.controlCharacter)
      } else {
        try passUTF8()
      }
    }
  }

  /// The number that begins where ``peek()`` has just looked.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func number() throws(JSONFault) -> Range<Int> {
    let start = position
    if byte(at: position) == JSONByte.minus { position &+= 1 }
    guard position < bytes.byteCount else { throw fault(.endsEarly) }
    if byte(at: position) == JSONByte.zero {
      position &+= 1
    } else {
      try passDigits()
    }
    if position < bytes.byteCount, byte(at: position) == JSONByte.point {
      position &+= 1
      try passDigits()
    }
    if position < bytes.byteCount, byte(at: position) | 0x20 == JSONByte.exponent {
      position &+= 1
      if position < bytes.byteCount {
        let sign = byte(at: position)
        if sign == JSONByte.plus || sign == JSONByte.minus { position &+= 1 }
      }
      try passDigits()
    }
    return start..<position
  }

  /// `true`, `false` or `null`, whichever begins with `byte`, which ``peek()`` has just shown.
  @_lifetime(self: copy self)
  package mutating func word(_ byte: UInt8) throws(JSONFault) -> JSONWord {
    guard let word = JSONWord(firstByte: byte) else { throw fault(.unexpectedByte) }
    for letter in word.text.utf8 {
      guard position < bytes.byteCount else { throw fault(.endsEarly) }
      guard self.byte(at: position) == letter else { throw fault(.unexpectedByte) }
      position &+= 1
    }
    return word
  }

  /// Passes the value whose first byte ``peek()`` has just shown.
  @inline(__always) @_lifetime(self: copy self)
  package mutating func skipValue(_ first: UInt8) throws(JSONFault) {
    if first == JSONByte.openBrace || first == JSONByte.openBracket {
      try skipContainer(first)
    } else {
      try skipScalar(first)
    }
  }

  @inline(__always) @_lifetime(self: copy self)
  package mutating func skipScalar(_ first: UInt8) throws(JSONFault) {
    if first == JSONByte.quote {
      _ = try string()
    } else if first == JSONByte.minus || JSONByte.isDigit(first) {
      _ = try number()
    } else {
      _ = try word(first)
    }
  }

  /// Without recursion: a bit for each open container says whether it is an object.
  @_lifetime(self: copy self)
  private mutating func skipContainer(_ first: UInt8) throws(JSONFault) {
    var isObject = InlineArray<16, UInt64>(repeating: 0)
    let outerDepth = depth
    var byte = first
    while true {
      // At a value.
      if byte == JSONByte.openBrace || byte == JSONByte.openBracket {
        let opensObject = byte == JSONByte.openBrace
        try enter()
        let bit = UInt64(1) << UInt64(depth & 63)
        if opensObject { isObject[depth >> 6] |= bit } else { isObject[depth >> 6] &= ~bit }
        if try peek() != (opensObject ? JSONByte.closeBrace : JSONByte.closeBracket) {
          if opensObject { _ = try key() }
          byte = try peek()
          continue
        }
        leave()
      } else {
        try skipScalar(byte)
      }
      // Behind a value.
      while true {
        if depth == outerDepth { return }
        let isInObject = isObject[depth >> 6] >> UInt64(depth & 63) & 1 == 1
        if try hasNext(until: isInObject ? JSONByte.closeBrace : JSONByte.closeBracket) {
          if isInObject { _ = try key() }
          byte = try peek()
          break
        }
      }
    }
  }

  func fault(_ kind: JSONFault.Kind) -> JSONFault { JSONFault(kind: kind, offset: position) }

  @inline(__always)
  package func byte(at offset: Int) -> UInt8 {
    unsafe bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
  }

  /// Passes bytes of a string up to the first quote, backslash, control character or byte that is not ASCII; eight at
  /// a time while there are so many.
  @inline(__always) @_lifetime(self: copy self)
  private mutating func passPlainText() {
    var place = position
    while place &+ 8 <= bytes.byteCount {
      let word = UInt64(
        littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: place, as: UInt64.self))
      let count = EightBytes.leadingPlainASCII(word)
      place &+= count
      guard count == 8 else {
        position = place
        return
      }
    }
    while place < bytes.byteCount {
      let byte = byte(at: place)
      if byte < 0x20 || byte >= 0x80 || byte == JSONByte.quote || byte == JSONByte.backslash { break }
      place &+= 1
    }
    position = place
  }

  @_lifetime(self: copy self)
  private mutating func passEscape() throws(JSONFault) {
    guard position + 1 < bytes.byteCount else { throw fault(.endsEarly) }
    switch byte(at: position + 1) {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 2
    case UInt8(ascii: "u"):
      guard position + 6 <= bytes.byteCount else { throw fault(.endsEarly) }
      for offset in (position + 2)..<(position + 6) where JSONByte.hexadecimalValue(byte(at: offset)) == nil {
        throw fault(.badEscape)
      }
      position += 6
    default:
      throw fault(.badEscape)
    }
  }

  /// Passes one scalar of two to four bytes, in the shortest form and no surrogate (Unicode 3.9, table 3-7).
  @_lifetime(self: copy self)
  private mutating func passUTF8() throws(JSONFault) {
    let first = byte(at: position)
    let count: Int
    var second: ClosedRange<UInt8> = 0x80...0xbf
    switch first {
    case 0xc2...0xdf: count = 2
    case 0xe0:
      count = 3
      second = 0xa0...0xbf
    case 0xed:
      count = 3
      second = 0x80...0x9f
    case 0xe1...0xef: count = 3
    case 0xf0:
      count = 4
      second = 0x90...0xbf
    case 0xf1...0xf3: count = 4
    case 0xf4:
      count = 4
      second = 0x80...0x8f
    default: throw fault(.notUTF8)
    }
    guard position + count <= bytes.byteCount, second.contains(byte(at: position + 1)) else { throw fault(.notUTF8) }
    for offset in 2..<max(count, 2) where byte(at: position + offset) & 0xc0 != 0x80 { throw fault(.notUTF8) }
    position += count
  }

  /// At least one digit.
  @inline(__always) @_lifetime(self: copy self)
  private mutating func passDigits() throws(JSONFault) {
    let start = position
    var place = start
    while place < bytes.byteCount, JSONByte.isDigit(byte(at: place)) { place &+= 1 }
    position = place
    guard place > start else { throw fault(place < bytes.byteCount ? .badNumber : .endsEarly) }
  }
}
