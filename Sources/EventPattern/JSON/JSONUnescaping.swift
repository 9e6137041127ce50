/// Decodes the inside of JSON strings that a ``JSONCursor`` has passed.
package enum JSONUnescaping {
  /// Replaces the contents of `target` with the text at `string`, in UTF-8. A surrogate without its partner, which JSON
  /// may spell but UTF-8 may not, becomes the three bytes that it would have: texts are compared, never shown from here.
  package static func decode(_ string: JSONString, in bytes: RawSpan, into target: inout [UInt8]) {
    target.removeAll(keepingCapacity: true)
    var position = string.start
    while position < string.end {
      let byte = load(bytes, position)
      guard byte == JSONByte.backslash else {
        target.append(byte)
        position += 1
        continue
      }
      let letter = load(bytes, position + 1)
      guard letter == UInt8(ascii: "u") else {
        target.append(plain(letter))
        position += 2
        continue
      }
      var scalar = unit(bytes, position + 2)
      position += 6
      if scalar >> 10 == 0xd800 >> 10, position < string.end, load(bytes, position) == JSONByte.backslash,
        load(bytes, position + 1) == UInt8(ascii: "u")
      {
        let low = unit(bytes, position + 2)
        if low >> 10 == 0xdc00 >> 10 {
          scalar = 0x10000 + (scalar & 0x3ff) << 10 + low & 0x3ff
          position += 6
        }
      }
      append(scalar, to: &target)
    }
  }

  private static func load(_ bytes: RawSpan, _ offset: Int) -> UInt8 {
    unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  /// The four digits of a `\u` escape; the cursor has seen that they are digits.
  private static func unit(_ bytes: RawSpan, _ offset: Int) -> UInt32 {
    (offset..<(offset + 4)).reduce(0) { $0 << 4 | (JSONByte.hexadecimalValue(load(bytes, $1)) ?? 0) }
  }

  private static func plain(_ letter: UInt8) -> UInt8 {
    switch letter {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0c
    case UInt8(ascii: "n"): 0x0a
    case UInt8(ascii: "r"): 0x0d
    case UInt8(ascii: "t"): 0x09
    default: letter
    }
  }

  private static func append(_ scalar: UInt32, to target: inout [UInt8]) {
    func tail(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: 0x80 | scalar >> shift & 0x3f) }
    switch scalar {
    case ..<0x80:
      target.append(UInt8(truncatingIfNeeded: scalar))
    case ..<0x800:
      target.append(UInt8(truncatingIfNeeded: 0xc0 | scalar >> 6))
      target.append(tail(0))
    case ..<0x10000:
      target.append(UInt8(truncatingIfNeeded: 0xe0 | scalar >> 12))
      target.append(tail(6))
      target.append(tail(0))
    default:
      target.append(UInt8(truncatingIfNeeded: 0xf0 | scalar >> 18))
      target.append(tail(12))
      target.append(tail(6))
      target.append(tail(0))
    }
  }
}
