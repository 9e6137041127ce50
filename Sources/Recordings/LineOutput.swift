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

  @inline(__always)
  mutating func put(_ number: SequenceNumberDigits) {
    unsafe number.write(to: UnsafeMutableRawBufferPointer(start: address, count: SequenceNumber.digitCount))
    unsafe address += SequenceNumber.digitCount
  }

  @inline(__always)
  mutating func put(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    unsafe address.copyMemory(from: source, byteCount: bytes.count)
    unsafe address += bytes.count
  }

  private static var eightDigits: UInt64 { 100_000_000 }

  /// Without leading zeros. Up to seven bytes behind it are overwritten.
  @inline(__always)
  mutating func put(_ number: UInt64) {
    guard number >= Self.eightDigits else { return putFirst(number) }
    let (upper, lower) = number.quotientAndRemainder(dividingBy: Self.eightDigits)
    if upper < Self.eightDigits {
      putFirst(upper)
    } else {
      let (first, middle) = upper.quotientAndRemainder(dividingBy: Self.eightDigits)
      putFirst(first)
      putEight(middle)
    }
    putEight(lower)
  }

  /// Of up to eight digits.
  @inline(__always)
  private mutating func putFirst(_ number: UInt64) {
    let digits = EightBytes.digits(number)
    let zeros = number == 0 ? 7 : (digits ^ EightBytes.digits(0)).trailingZeroBitCount / 8
    unsafe address.storeBytes(of: (digits &>> UInt64(8 &* zeros)).littleEndian, as: UInt64.self)
    unsafe address += 8 &- zeros
  }

  /// With leading zeros.
  @inline(__always)
  private mutating func putEight(_ number: UInt64) {
    unsafe address.storeBytes(of: EightBytes.digits(number).littleEndian, as: UInt64.self)
    unsafe address += 8
  }

  mutating func put(_ hashKey: HashKey) {
    let sixteenDigits: UInt128 = 10_000_000_000_000_000
    let (upper, lower) = hashKey.rawValue.quotientAndRemainder(dividingBy: sixteenDigits)
    guard upper > 0 else { return put(UInt64(lower)) }
    let (first, middle) = upper.quotientAndRemainder(dividingBy: sixteenDigits)
    if first > 0 {
      put(UInt64(first))
      putSixteen(UInt64(middle))
    } else {
      put(UInt64(middle))
    }
    putSixteen(UInt64(lower))
  }

  private mutating func putSixteen(_ number: UInt64) {
    putEight(number / Self.eightDigits)
    putEight(number % Self.eightDigits)
  }

  /// Eight digits in lower case.
  @inline(__always)
  mutating func putHexadecimal(_ number: UInt32) {
    unsafe address.storeBytes(of: LineCheck.digits(number).bigEndian, as: UInt64.self)
    unsafe address += 8
  }

  /// The inside of a JSON string.
  @inline(__always)
  mutating func putEscaped(_ text: UnsafeRawBufferPointer) {
    var position = 0
    while position &+ 8 <= text.count {
      let word = unsafe UInt64(littleEndian: text.loadUnaligned(fromByteOffset: position, as: UInt64.self))
      guard EightBytes.areAllPlain(word) else { break }
      unsafe address.storeBytes(of: word.littleEndian, as: UInt64.self)
      unsafe address += 8
      position &+= 8
    }
    while position < text.count {
      unsafe putEscaped(text[position])
      position &+= 1
    }
  }

  @inline(__always)
  private mutating func putEscaped(_ byte: UInt8) {
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
