/// Base64 with the standard alphabet and padding (RFC 4648 §4), by hand because nearly every byte of an event is made
/// here: two characters per look-up, six bytes per store.
enum Base64 {
  /// The characters for `byteCount` bytes.
  static func characterCount(forByteCount byteCount: Int) -> Int { (byteCount + 2) / 3 * 4 }

  /// For each number of twelve bits its two characters, the first one in the low byte.
  static let pairs: [UInt16] = {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    return (0..<4_096).map { UInt16(alphabet[$0 >> 6]) | UInt16(alphabet[$0 & 63]) << 8 }
  }()

  /// Writes the characters for `count` bytes at `source` to `target` and returns the end of what was written.
  /// `target` must have room for ``characterCount(forByteCount:)``; `pairs` is the table above.
  @inline(__always)
  static func write(
    _ source: UnsafeRawPointer, count: Int, to target: UnsafeMutableRawPointer, pairs: UnsafePointer<UInt16>
  ) -> UnsafeMutableRawPointer {
    var position = 0
    var out = unsafe target
    // Eight bytes are read for the six that are used.
    while count &- position >= 8 {
      let word = unsafe UInt64(
        bigEndian: source.loadUnaligned(fromByteOffset: position, as: UInt64.self))
      let first = unsafe UInt64(pairs[Int(truncatingIfNeeded: word >> 52)])
      let second = unsafe UInt64(pairs[Int(truncatingIfNeeded: word >> 40 & 0xfff)])
      let third = unsafe UInt64(pairs[Int(truncatingIfNeeded: word >> 28 & 0xfff)])
      let fourth = unsafe UInt64(pairs[Int(truncatingIfNeeded: word >> 16 & 0xfff)])
      let characters = first | second << 16 | third << 32 | fourth << 48
      unsafe out.storeBytes(of: characters.littleEndian, as: UInt64.self)
      unsafe out += 8
      position &+= 6
    }
    while count &- position >= 3 {
      let word = unsafe bits(source, position, 3)
      unsafe out.storeBytes(of: pairs[word >> 12].littleEndian, as: UInt16.self)
      unsafe out.storeBytes(of: pairs[word & 0xfff].littleEndian, toByteOffset: 2, as: UInt16.self)
      unsafe out += 4
      position &+= 3
    }
    let rest = count &- position
    guard rest > 0 else { return unsafe out }
    let word = unsafe bits(source, position, rest)
    unsafe out.storeBytes(of: pairs[word >> 12].littleEndian, as: UInt16.self)
    unsafe out.storeBytes(of: pairs[word & 0xfff].littleEndian, toByteOffset: 2, as: UInt16.self)
    if rest == 1 { unsafe out.storeBytes(of: padding, toByteOffset: 2, as: UInt8.self) }
    unsafe out.storeBytes(of: padding, toByteOffset: 3, as: UInt8.self)
    return unsafe out + 4
  }

  private static let padding = UInt8(ascii: "=")

  /// `count` bytes from `position`, 1 ... 3, as the upper ones of a number of 24 bits.
  @inline(__always)
  private static func bits(_ source: UnsafeRawPointer, _ position: Int, _ count: Int) -> Int {
    var word = 0
    for step in 0..<count {
      let byte = unsafe source.load(fromByteOffset: position + step, as: UInt8.self)
      word |= Int(byte) << (16 - 8 * step)
    }
    return word
  }
}
