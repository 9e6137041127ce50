/// Eight bytes in a word, the first of them lowest, looked at together.
///
/// Public because other rooms inline nothing else.
public enum EightBytes {
  // Computed: other rooms would ask a function for the place of a stored one, each time.
  @inlinable @inline(__always)
  static var highs: UInt64 { 0x8080_8080_8080_8080 }
  @inlinable @inline(__always)
  static var ones: UInt64 { 0x0101_0101_0101_0101 }

  /// How many bytes from the first on are digits.
  @inlinable @inline(__always)
  public static func leadingDigits(_ word: UInt64) -> Int {
    let values = word ^ (ones &* 48)
    // A carry out of one byte changes only those behind it.
    return ((values &+ ones &* 118 | values) & highs).trailingZeroBitCount >> 3
  }

  /// What the first digits say, one to eight of them.
  @inlinable @inline(__always)
  public static func number(_ word: UInt64, digits: Int) -> UInt64 {
    // Zeros before them instead of what stands behind them; then pairs, fours, and all eight.
    var value = (word ^ (ones &* 48)) &<< UInt64(64 &- 8 &* digits)
    value = value &* 10 &+ value &>> 8
    let pairs: UInt64 = 0x0000_00ff_0000_00ff
    return ((value & pairs) &* 0x000f_4240_0000_0064 &+ (value &>> 16 & pairs) &* 0x0000_2710_0000_0001) &>> 32
  }

  /// The eight digits of a number below 10^8 as ASCII, leading zeros with them, the first one lowest.
  @inlinable @inline(__always)
  public static func digits(_ number: UInt64) -> UInt64 {
    // Two of four digits, four of two, eight of one: each division multiplies by a little more than what it divides by.
    let (high, low) = (number / 10_000, number % 10_000)
    var value = high | low &<< 32
    let hundreds = (value &* 10_486) &>> 20 & 0x0000_007f_0000_007f
    value = hundreds | (value &- hundreds &* 100) &<< 16
    let tens = (value &* 103) &>> 10 & 0x000f_000f_000f_000f
    value = tens | (value &- tens &* 10) &<< 8
    return value | ones &* 48
  }

  /// Of one to eight digits.
  @inlinable @inline(__always)
  public static func powerOfTen(_ digits: Int) -> UInt64 {
    switch digits {
    case 1: 10
    case 2: 100
    case 3: 1_000
    case 4: 10_000
    case 5: 100_000
    case 6: 1_000_000
    case 7: 10_000_000
    default: 100_000_000
    }
  }

  /// How many bytes from the first on are neither a quote, nor a backslash, nor below a space.
  @inlinable @inline(__always)
  public static func leadingPlain(_ word: UInt64) -> Int { (specials(word) & highs).trailingZeroBitCount >> 3 }

  /// Whether none is a quote, a backslash or below a space.
  @inlinable @inline(__always)
  public static func areAllPlain(_ word: UInt64) -> Bool { specials(word) & highs == 0 }

  /// The same, and none that is not ASCII.
  @inlinable @inline(__always)
  public static func leadingPlainASCII(_ word: UInt64) -> Int {
    ((specials(word) | word) & highs).trailingZeroBitCount >> 3
  }

  /// The high bit of the first quote, backslash or byte below a space, and maybe some behind it: a borrow can mark a byte
  /// above a true hit, never below one.
  @inlinable @inline(__always)
  static func specials(_ word: UInt64) -> UInt64 {
    let quotes = word ^ (ones &* 0x22)
    let backslashes = word ^ (ones &* 0x5c)
    return ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes) | ((word &- ones &* 0x20) & ~word)
  }
}
