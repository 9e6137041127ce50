import StreamModel
import Testing

@Suite("Eight bytes at a time")
struct EightBytesTests {
  private static func word(_ bytes: [UInt8]) -> UInt64 {
    bytes.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) }
  }

  @Test("any bytes: as many digits and plain bytes as a look at each finds, and what the digits say")
  func anyBytes() throws {
    var random = SplitMix64(seed: 7)
    let special: [UInt8] = [
      0, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x2f, 0x30, 0x39, 0x3a, 0x5b, 0x5c, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff,
    ]
    for round in 0..<200_000 {
      let bytes = (0..<8).map { _ -> UInt8 in
        switch random.next() % 4 {
        case 0: special[Int(random.next() % UInt64(special.count))]
        case 1 where round % 2 == 0: UInt8(truncatingIfNeeded: random.next())
        default: 48 + UInt8(random.next() % 10)
        }
      }
      let word = Self.word(bytes)
      let digits = bytes.prefix { (48...57).contains($0) }
      #expect(EightBytes.leadingDigits(word) == digits.count, "\(bytes)")
      #expect(
        EightBytes.leadingPlain(word) == bytes.prefix { $0 != 0x22 && $0 != 0x5c && $0 >= 0x20 }.count, "\(bytes)")
      let ascii = bytes.prefix { $0 != 0x22 && $0 != 0x5c && (0x20..<0x80).contains($0) }
      #expect(EightBytes.leadingPlainASCII(word) == ascii.count, "\(bytes)")
      guard !digits.isEmpty else { continue }
      let number = try #require(UInt64(String(decoding: digits, as: UTF8.self)))
      #expect(EightBytes.number(word, digits: digits.count) == number, "\(bytes)")
    }
    var power: UInt64 = 1
    for digits in 1...8 {
      power *= 10
      #expect(EightBytes.powerOfTen(digits) == power)
    }
  }

  @Test("eight digits of a number are those that it has, with zeros before them")
  func digits() {
    var random = SplitMix64(seed: 8)
    let pairs = (0..<10_000).flatMap { [UInt64($0), UInt64($0) * 10_000, 99_999_999 - UInt64($0)] }
    for number in pairs + (0..<100_000).map({ _ in random.next() % 100_000_000 }) {
      let text = String(number)
      let expected = Array((String(repeating: "0", count: 8 - text.count) + text).utf8)
      #expect(EightBytes.digits(number) == Self.word(expected), "\(number)")
    }
  }
}
