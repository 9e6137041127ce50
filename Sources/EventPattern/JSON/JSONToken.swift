/// The inside of a string in a JSON text: where it is, and whether it must be decoded before it can be compared.
package struct JSONString {
  package var start: Int
  package var end: Int
  package var hasEscapes: Bool

  @inline(__always)
  package var count: Int { end &- start }
  package var range: Range<Int> { start..<end }
}

/// The three values that are words.
package enum JSONWord: Hashable, Sendable {
  case `true`
  case `false`
  case null

  init?(firstByte: UInt8) {
    switch firstByte {
    case UInt8(ascii: "t"): self = .true
    case UInt8(ascii: "f"): self = .false
    case UInt8(ascii: "n"): self = .null
    default: return nil
    }
  }

  var text: String {
    switch self {
    case .true: "true"
    case .false: "false"
    case .null: "null"
    }
  }
}

/// The bytes that mean something in JSON.
package enum JSONByte {
  package static let quote = UInt8(ascii: "\"")
  package static let backslash = UInt8(ascii: "\\")
  package static let comma = UInt8(ascii: ",")
  package static let colon = UInt8(ascii: ":")
  package static let openBrace = UInt8(ascii: "{")
  package static let closeBrace = UInt8(ascii: "}")
  package static let openBracket = UInt8(ascii: "[")
  package static let closeBracket = UInt8(ascii: "]")
  package static let minus = UInt8(ascii: "-")
  package static let plus = UInt8(ascii: "+")
  package static let point = UInt8(ascii: ".")
  package static let zero = UInt8(ascii: "0")
  package static let exponent = UInt8(ascii: "e")

  @inline(__always)
  package static func isDigit(_ byte: UInt8) -> Bool { byte &- zero < 10 }

  static func hexadecimalValue(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
