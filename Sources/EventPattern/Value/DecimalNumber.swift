/// A JSON number by its value: `300`, `300.0` and `3e2` are equal, and nothing is rounded, so that 9007199254740993 is
/// not 9007199254740992.
struct DecimalNumber: Sendable {
  /// Never for zero.
  private var isNegative = false
  /// The value is 0.DIGITS × 10^magnitude. Zero for the number zero.
  private var magnitude = 0
  /// The first 19 significant digits, filled up with zeros on the right; 0 for zero.
  private var leading: UInt64 = 0
  /// Digits other than zero follow the first 19.
  private var hasTail = false

  private static let leadingDigitCount = 19
  /// Exponents beyond this are taken for it: nothing near it fits in a record's other digits.
  private static let exponentLimit = 1_000_000_000_000

  /// Reads `literal`, which a ``JSONCursor`` has passed as a number.
  init(_ literal: RawSpan) {
    var position = 0
    if literal.byteCount > 0, literal.byte(0) == JSONByte.minus {
      isNegative = true
      position = 1
    }
    var digitCount = 0
    var isBehindPoint = false
    var exponent = 0
    while position < literal.byteCount {
      let byte = literal.byte(position)
      position &+= 1
      if JSONByte.isDigit(byte) {
        if digitCount == 0, byte == JSONByte.zero {
          if isBehindPoint { magnitude &-= 1 }
          continue
        }
        if !isBehindPoint { magnitude &+= 1 }
        if digitCount < Self.leadingDigitCount {
          leading = leading &* 10 &+ UInt64(byte &- JSONByte.zero)
        } else if byte != JSONByte.zero {
          hasTail = true
        }
        digitCount &+= 1
      } else if byte == JSONByte.point {
        isBehindPoint = true
      } else {
        exponent = Self.exponent(literal, from: position)
        break
      }
    }
    guard digitCount > 0 else {
      self = DecimalNumber.zero
      return
    }
    magnitude += exponent
    if digitCount < Self.leadingDigitCount { leading = leading &* Self.powers[Self.leadingDigitCount &- digitCount] }
  }

  private init() {}

  static let zero = DecimalNumber()

  private static func exponent(_ literal: RawSpan, from start: Int) -> Int {
    var position = start
    var isNegative = false
    if position < literal.byteCount, !JSONByte.isDigit(literal.byte(position)) {
      isNegative = literal.byte(position) == JSONByte.minus
      position += 1
    }
    var value = 0
    while position < literal.byteCount {
      value = min(value * 10 + Int(literal.byte(position) &- JSONByte.zero), exponentLimit)
      position += 1
    }
    return isNegative ? -value : value
  }

  /// -1, 0 or 1: how `left`, written as `leftText`, stands to `right`, written as `rightText`. Both texts are only read
  /// when more than 19 digits have to decide.
  static func compare(
    _ left: DecimalNumber, _ leftText: RawSpan, _ right: DecimalNumber, _ rightText: RawSpan
  ) -> Int {
    if left.isNegative != right.isNegative { return left.isNegative ? -1 : 1 }
    let order = compareSizes(left, leftText, right, rightText)
    return left.isNegative ? -order : order
  }

  private static func compareSizes(
    _ left: DecimalNumber, _ leftText: RawSpan, _ right: DecimalNumber, _ rightText: RawSpan
  ) -> Int {
    // Zero has no digits, whatever its magnitude.
    if left.leading == 0 || right.leading == 0 {
      return left.leading == right.leading ? 0 : left.leading < right.leading ? -1 : 1
    }
    if left.magnitude != right.magnitude { return left.magnitude < right.magnitude ? -1 : 1 }
    if left.leading != right.leading { return left.leading < right.leading ? -1 : 1 }
    if !left.hasTail && !right.hasTail { return 0 }
    var leftDigits = SignificantDigits(leftText)
    var rightDigits = SignificantDigits(rightText)
    while true {
      let leftDigit = leftDigits.next()
      let rightDigit = rightDigits.next()
      if leftDigit == nil && rightDigit == nil { return 0 }
      let difference = Int(leftDigit ?? JSONByte.zero) - Int(rightDigit ?? JSONByte.zero)
      if difference != 0 { return difference.signum() }
    }
  }

  private static let powers: InlineArray<20, UInt64> = [
    1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000,
    100_000_000_000, 1_000_000_000_000, 10_000_000_000_000, 100_000_000_000_000, 1_000_000_000_000_000,
    10_000_000_000_000_000, 100_000_000_000_000_000, 1_000_000_000_000_000_000, 10_000_000_000_000_000_000,
  ]
}

/// The digits of a number from the first that is not zero, one by one.
private struct SignificantDigits: ~Escapable {
  private let literal: RawSpan
  private var position = 0
  private var hasBegun = false

  @_lifetime(copy literal)
  init(_ literal: RawSpan) {
    self.literal = literal
  }

  @_lifetime(self: copy self)
  mutating func next() -> UInt8? {
    while position < literal.byteCount {
      let byte = literal.byte(position)
      position += 1
      if byte | 0x20 == JSONByte.exponent {
        position = literal.byteCount
        return nil
      }
      guard JSONByte.isDigit(byte) else { continue }
      if byte != JSONByte.zero { hasBegun = true }
      if hasBegun { return byte }
    }
    return nil
  }
}

/// A number of a pattern: its value and how it is written.
struct PatternNumber: Sendable {
  let value: DecimalNumber
  let text: [UInt8]

  init(_ text: [UInt8]) {
    self.value = unsafe DecimalNumber(text.span.bytes)
    self.text = text
  }

  /// -1, 0 or 1: how `other`, written as `otherText`, stands to this.
  @inline(__always)
  func compare(_ other: DecimalNumber, _ otherText: RawSpan) -> Int {
    unsafe DecimalNumber.compare(other, otherText, value, text.span.bytes)
  }

  /// A double holds it without losing a digit that is written. `numeric` takes no others, as on AWS.
  var isHeldByDouble: Bool {
    guard let double = Double(String(decoding: text, as: UTF8.self)), double.isFinite else { return false }
    return PatternNumber(Array(double.description.utf8)).isEqual(to: self)
  }

  func isEqual(to other: PatternNumber) -> Bool { unsafe compare(other.value, other.text.span.bytes) == 0 }
}
