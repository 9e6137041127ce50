import StreamModel

/// Writes the pieces of a line behind each other. Whoever uses it has made room for all of them.
@safe
struct LineOutput {
  private(set) var address: UnsafeMutableRawPointer

  init(_ address: UnsafeMutableRawPointer) {
    unsafe self.address = address
  }

  @inline(__always)
  mutating func put(_ text: StaticString) {
    unsafe address.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
    unsafe address += text.utf8CodeUnitCount
  }

  mutating func put(_ number: SequenceNumber) {
    unsafe number.write(to: UnsafeMutableRawBufferPointer(start: address, count: SequenceNumber.digitCount))
    unsafe address += SequenceNumber.digitCount
  }

  @inline(__always)
  mutating func put(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    unsafe address.copyMemory(from: source, byteCount: bytes.count)
    unsafe address += bytes.count
  }

  mutating func put(_ number: UInt64) {
    var count = 1
    var power: UInt64 = 10
    while count < 20, number >= power {
      count += 1
      let (next, overflow) = power.multipliedReportingOverflow(by: 10)
      if overflow { break }
      power = next
    }
    var rest = number
    for place in stride(from: count - 1, through: 0, by: -1) {
      unsafe address.storeBytes(of: UInt8(truncatingIfNeeded: 48 + rest % 10), toByteOffset: place, as: UInt8.self)
      rest /= 10
    }
    unsafe address += count
  }

  mutating func putHexadecimal(_ number: UInt32) {
    for place in 0..<8 {
      let digit = UInt8(truncatingIfNeeded: number >> UInt32(28 - 4 * place) & 15)
      unsafe address.storeBytes(of: digit < 10 ? 48 + digit : 87 + digit, toByteOffset: place, as: UInt8.self)
    }
    unsafe address += 8
  }

  /// The inside of a JSON string.
  mutating func putEscaped(_ text: UnsafeRawBufferPointer) {
    for position in 0..<text.count {
      let byte = unsafe text[position]
      if byte >= 0x20, byte != 0x22, byte != 0x5c {
        unsafe address.storeBytes(of: byte, as: UInt8.self)
        unsafe address += 1
      } else if byte >= 0x20 {
        unsafe address.storeBytes(of: 0x5c, as: UInt8.self)
        unsafe address.storeBytes(of: byte, toByteOffset: 1, as: UInt8.self)
        unsafe address += 2
      } else {
        put("\\u00")
        for digit in [byte >> 4, byte & 15] {
          unsafe address.storeBytes(of: digit < 10 ? 48 + digit : 87 + digit, as: UInt8.self)
          unsafe address += 1
        }
      }
    }
  }

  private static let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

  /// RFC 4648 §4, with padding.
  mutating func putBase64(_ data: UnsafeRawBufferPointer) {
    let alphabet = unsafe Self.alphabet.utf8Start
    var position = 0
    while position < data.count {
      let left = data.count - position
      var word = unsafe UInt32(data[position]) << 16
      if left > 1 { word |= unsafe UInt32(data[position + 1]) << 8 }
      if left > 2 { word |= unsafe UInt32(data[position + 2]) }
      for place in 0..<4 {
        let bits = Int(word >> UInt32(18 - 6 * place) & 63)
        let character = unsafe place <= left ? alphabet[bits] : UInt8(ascii: "=")
        unsafe address.storeBytes(of: character, toByteOffset: place, as: UInt8.self)
      }
      unsafe address += 4
      position += 3
    }
  }
}
