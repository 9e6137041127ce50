import StreamModel

/// How the simulator draws: whole numbers, chances, bits.
extension SplitMix64 {
  /// A number from 0 to `bound` − 1. The bias of the multiplication does not matter here.
  mutating func below(_ bound: Int) -> Int {
    Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(truncatingIfNeeded: bound)).high)
  }

  mutating func within(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.count)
  }

  /// True so many times in a thousand.
  mutating func chance(_ perThousand: Int) -> Bool { perThousand > 0 && below(1_000) < perThousand }

  /// One of the bits that are set; `bits` is not zero.
  mutating func bit(of bits: UInt64) -> Int {
    var left = bits
    for _ in 0..<below(bits.nonzeroBitCount) { left &= left &- 1 }
    return left.trailingZeroBitCount
  }
}
