/// Ids of invocations: random UUIDs of version 4, in lower case.
package enum RequestID {
  static func make() -> String {
    var generator = SystemRandomNumberGenerator()
    return make(of: (generator.next(), generator.next()))
  }

  /// The id of these bits, of which six are not looked at.
  package static func make(of bits: (upper: UInt64, lower: UInt64)) -> String {
    let upper = bits.upper & 0xffff_ffff_ffff_0fff | 0x4000
    let lower = bits.lower & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
    let digits = hex(upper) + hex(lower)
    let bytes = Array(digits.utf8)
    let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32]
    return parts.map { String(decoding: bytes[$0], as: UTF8.self) }.joined(separator: "-")
  }

  private static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
