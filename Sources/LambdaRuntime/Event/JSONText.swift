/// The inside of a JSON string (RFC 8259 §7): quotes, backslashes and control characters are escaped, everything else
/// passes as it is.
public enum JSONText {
  /// Appends the inside of a JSON string with these UTF-8 bytes.
  public static func append(escaping bytes: [UInt8], to target: inout [UInt8]) {
    unsafe bytes.withUnsafeBytes { source in
      let count = unsafe byteCount(of: source)
      guard count > source.count else { return target.append(contentsOf: bytes) }
      let escaped = unsafe [UInt8](unsafeUninitializedCapacity: count) { memory, written in
        guard let start = UnsafeMutableRawPointer(memory.baseAddress) else { return }
        _ = unsafe write(source, to: start)
        written = count
      }
      target.append(contentsOf: escaped)
    }
  }

  /// The bytes that `bytes` take when escaped.
  @inline(__always)
  static func byteCount(of bytes: UnsafeRawBufferPointer) -> Int {
    var count = bytes.count
    for position in 0..<bytes.count {
      let byte = unsafe bytes[position]
      if byte < 0x20 || byte == quote || byte == backslash { count += short(byte) == 0 ? 5 : 1 }
    }
    return count
  }

  /// Writes `bytes`, escaped, to `target` and returns the end of what was written.
  static func write(
    _ bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer
  ) -> UnsafeMutableRawPointer {
    var out = unsafe target
    for position in 0..<bytes.count {
      let byte = unsafe bytes[position]
      guard byte < 0x20 || byte == quote || byte == backslash else {
        unsafe out.storeBytes(of: byte, as: UInt8.self)
        unsafe out += 1
        continue
      }
      unsafe out.storeBytes(of: backslash, as: UInt8.self)
      let letter = short(byte)
      if letter != 0 {
        unsafe out.storeBytes(of: letter, toByteOffset: 1, as: UInt8.self)
        unsafe out += 2
        continue
      }
      unsafe out.storeBytes(of: UInt8(ascii: "u"), toByteOffset: 1, as: UInt8.self)
      unsafe out.storeBytes(of: UInt8(ascii: "0"), toByteOffset: 2, as: UInt8.self)
      unsafe out.storeBytes(of: UInt8(ascii: "0"), toByteOffset: 3, as: UInt8.self)
      unsafe out.storeBytes(of: hexadecimal(byte >> 4), toByteOffset: 4, as: UInt8.self)
      unsafe out.storeBytes(of: hexadecimal(byte & 15), toByteOffset: 5, as: UInt8.self)
      unsafe out += 6
    }
    return unsafe out
  }

  /// A text as the inside of a JSON string.
  static func escaped(_ text: String) -> String {
    let bytes = Array(text.utf8)
    return unsafe bytes.withUnsafeBytes { source in
      let count = unsafe byteCount(of: source)
      return unsafe String(unsafeUninitializedCapacity: count) { target in
        guard let start = UnsafeMutableRawPointer(target.baseAddress) else { return 0 }
        _ = unsafe write(source, to: start)
        return count
      }
    }
  }

  private static let quote = UInt8(ascii: "\"")
  private static let backslash = UInt8(ascii: "\\")

  /// The letter of the short escape, or 0 if there is none and six bytes are needed.
  @inline(__always)
  private static func short(_ byte: UInt8) -> UInt8 {
    switch byte {
    case 0x22, 0x5c: byte
    case 0x08: UInt8(ascii: "b")
    case 0x09: UInt8(ascii: "t")
    case 0x0a: UInt8(ascii: "n")
    case 0x0c: UInt8(ascii: "f")
    case 0x0d: UInt8(ascii: "r")
    default: 0
    }
  }

  private static func hexadecimal(_ digit: UInt8) -> UInt8 {
    digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
  }
}
