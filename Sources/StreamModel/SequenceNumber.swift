/// The name of a record as AWS shows it: a 186-bit number printed as 56 decimal digits (`4967…`).
///
/// In hexadecimal: the digit 2, nine digits of shard creation time (Unix seconds), the low digit of the shard number,
/// sixteen digits of index, two zeros, nine digits of time, eight of shard number, and the version digit 2.
///
/// Here it is a pure function of the shard and the record's index, and so it can be read back without a look-up. AWS
/// puts the record's own second into the time field; ours repeats the shard's creation second, because nothing orders
/// by it and two names for one record would be worse.
public struct SequenceNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// When the shard was created, Unix seconds, 0 ..< 2^36.
  public var shardCreatedAtSeconds: UInt64
  public var shard: ShardNumber
  /// 0 ... 2^63−1. The greatest index names the end of a closed shard.
  public var index: RecordIndex

  public init(shardCreatedAtSeconds: UInt64, shard: ShardNumber, index: RecordIndex) {
    precondition(shardCreatedAtSeconds < 1 << 36, "a shard's creation time fits in 36 bits of seconds")
    precondition(index.rawValue <= Self.greatestIndex, "a record index fits in 63 bits")
    self.shardCreatedAtSeconds = shardCreatedAtSeconds
    self.shard = shard
    self.index = index
  }

  public static var greatestIndex: UInt64 { UInt64(Int64.max) }

  public static func < (left: SequenceNumber, right: SequenceNumber) -> Bool {
    if left.shardCreatedAtSeconds != right.shardCreatedAtSeconds {
      return left.shardCreatedAtSeconds < right.shardCreatedAtSeconds
    }
    if left.shard.rawValue & 15 != right.shard.rawValue & 15 {
      return left.shard.rawValue & 15 < right.shard.rawValue & 15
    }
    return left.index == right.index ? left.shard < right.shard : left.index < right.index
  }

  /// The digits, 56 of them.
  public var description: String {
    unsafe String(unsafeUninitializedCapacity: Self.digitCount) { digits in
      unsafe write(to: UnsafeMutableRawBufferPointer(digits))
      return Self.digitCount
    }
  }

  /// Writes the 56 digits as ASCII to the front of `bytes`, without an allocation.
  public func write(to bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count >= Self.digitCount, "a sequence number takes 56 bytes")
    unsafe SequenceNumberDigits(self).write(to: bytes)
  }

  /// Reads the 56 digits back; `nil` for a number that no shard of ours can have given out.
  public init?(_ text: some StringProtocol) {
    guard let (upper, lower) = Self.halves(ofDigits: text.utf8) else { return nil }
    let index = (upper & 0xffff) << 48 | UInt64(truncatingIfNeeded: lower >> 80)
    let seconds = upper >> 20 & Self.secondsMask
    let shard = UInt32(truncatingIfNeeded: lower >> 4)
    guard index <= Self.greatestIndex else { return nil }
    self.init(shardCreatedAtSeconds: seconds, shard: ShardNumber(shard), index: RecordIndex(index))
    guard halves.upper == upper, halves.lower == lower else { return nil }
  }

  /// The number that 56 digits spell, in two halves; `nil` if they are no such number.
  package static func halves(ofDigits digits: some Collection<UInt8>) -> (upper: UInt64, lower: UInt128)? {
    guard digits.count == digitCount else { return nil }
    var upper: UInt64 = 0
    var lower: UInt128 = 0
    for digit in digits {
      guard digit >= 48, digit <= 57 else { return nil }
      let product = lower.multipliedFullWidth(by: 10)
      let (sum, overflow) = product.low.addingReportingOverflow(UInt128(digit - 48))
      let (high, tooLarge) = upper.multipliedReportingOverflow(by: 10)
      guard !tooLarge else { return nil }
      lower = sum
      upper = high + UInt64(truncatingIfNeeded: product.high) + (overflow ? 1 : 0)
    }
    return (upper, lower)
  }

  public static let digitCount = 56

  /// From the top: 2 (4 bits), seconds (36), low digit of the shard (4), index (64) | zeros (8), seconds (36),
  /// shard (32), 2 (4). The upper half ends behind the first 16 bits of the index.
  var halves: (upper: UInt64, lower: UInt128) {
    let upper =
      UInt64(2) << 56 | shardCreatedAtSeconds << 20 | UInt64(shard.rawValue & 15) << 16 | index.rawValue >> 48
    let lower =
      UInt128(index.rawValue & 0xffff_ffff_ffff) << 80 | UInt128(shardCreatedAtSeconds) << 36
      | UInt128(shard.rawValue) << 4 | 2
    return (upper, lower)
  }

  private static let secondsMask: UInt64 = (1 << 36) - 1
}
