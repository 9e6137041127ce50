/// A small, fast generator whose whole state is one number, so that a seed is a world.
public struct SplitMix64: RandomNumberGenerator, Hashable, Sendable {
  private var state: UInt64

  public init(seed: UInt64) {
    state = seed
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

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
