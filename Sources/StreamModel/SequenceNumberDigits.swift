/// The digits of a sequence number, and those of the next one of its shard for two additions: what takes the time is to
/// divide a number of 186 bits.
public struct SequenceNumberDigits: Sendable {
  /// The number is `(high · 10^19 + middle) · 10^19 + low`, each below 10^19; `high` is below 10^18.
  private var high: UInt64
  private var middle: UInt64
  private var low: UInt64
  private var number: SequenceNumber

  private static var limb: UInt64 { 10_000_000_000_000_000_000 }
  // From one index to the next it is 2^80.
  private static var stepMiddle: UInt64 { 120_892 }
  private static var stepLow: UInt64 { 5_819_614_629_174_706_176 }

  public init(_ number: SequenceNumber) {
    self.number = number
    // Three divisions by 10^19 give 57 digits; the first of them is always 0.
    var rest = number.halves
    low = Self.divide(&rest)
    middle = Self.divide(&rest)
    high = Self.divide(&rest)
  }

  /// Becomes those of the record at `index` of the same shard. Cheap for the index that follows and the same one.
  @inline(__always)
  public mutating func advance(to index: RecordIndex) {
    let former = number.index.rawValue
    guard index.rawValue &- former <= 1, former < SequenceNumber.greatestIndex else {
      number.index = index
      self = SequenceNumberDigits(number)
      return
    }
    guard index.rawValue != former else { return }
    number.index = index
    low &+= Self.stepLow
    middle &+= Self.stepMiddle
    if low >= Self.limb {
      low &-= Self.limb
      middle &+= 1
    }
    if middle >= Self.limb {
      middle &-= Self.limb
      high &+= 1
    }
  }

  /// Writes the 56 digits as ASCII to the front of `bytes`.
  @inline(__always)
  public func write(to bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count >= SequenceNumber.digitCount, "a sequence number takes 56 bytes")
    let address = unsafe bytes.baseAddress.unsafelyUnwrapped
    unsafe Self.write(low, to: address + 37)
    unsafe Self.write(middle, to: address + 18)
    unsafe Self.writeEighteen(high, to: address)
  }

  /// Nineteen digits.
  @inline(__always)
  private static func write(_ limb: UInt64, to address: UnsafeMutableRawPointer) {
    let (first, rest) = limb.quotientAndRemainder(dividingBy: 1_000_000_000_000_000_000)
    unsafe address.storeBytes(of: UInt8(truncatingIfNeeded: 48 &+ first), as: UInt8.self)
    unsafe writeEighteen(rest, to: address + 1)
  }

  @inline(__always)
  private static func writeEighteen(_ number: UInt64, to address: UnsafeMutableRawPointer) {
    let (upper, lower) = number.quotientAndRemainder(dividingBy: 100_000_000)
    let (first, middle) = upper.quotientAndRemainder(dividingBy: 100_000_000)
    let (tens, ones) = first.quotientAndRemainder(dividingBy: 10)
    unsafe address.storeBytes(of: UInt8(truncatingIfNeeded: 48 &+ tens), as: UInt8.self)
    unsafe address.storeBytes(of: UInt8(truncatingIfNeeded: 48 &+ ones), toByteOffset: 1, as: UInt8.self)
    unsafe address.storeBytes(of: EightBytes.digits(middle).littleEndian, toByteOffset: 2, as: UInt64.self)
    unsafe address.storeBytes(of: EightBytes.digits(lower).littleEndian, toByteOffset: 10, as: UInt64.self)
  }

  /// Divides the number by 10^19 in place and returns the remainder.
  private static func divide(_ number: inout (upper: UInt64, lower: UInt128)) -> UInt64 {
    let (top, carry) = number.upper.quotientAndRemainder(dividingBy: limb)
    let (middle, carried) = limb.dividingFullWidth((carry, UInt64(truncatingIfNeeded: number.lower >> 64)))
    let (bottom, remainder) = limb.dividingFullWidth((carried, UInt64(truncatingIfNeeded: number.lower)))
    number = (top, UInt128(middle) << 64 | UInt128(bottom))
    return remainder
  }
}
