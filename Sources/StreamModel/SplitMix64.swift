/// A small, fast, seeded generator (Steele, Lea, Flood 2014): the same seed gives the same numbers on every machine.
public struct SplitMix64: RandomNumberGenerator, Hashable, Sendable {
  private var state: UInt64

  public init(seed: UInt64) {
    self.state = seed
  }

  public mutating func next() -> UInt64 {
    defer { state &+= Self.step }
    return Self.mixed(state)
  }

  private static let step: UInt64 = 0x9e37_79b9_7f4a_7c15

  /// The first number of the generator with this seed: every bit of it depends on every bit of `bits`, and different ones
  /// give different numbers.
  public static func mixed(_ bits: UInt64) -> UInt64 {
    var mixed = bits &+ step
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
