/// The addresses of a CIDR block: `10.0.0.0/24`, `2001:db8::/32`. Host bits of the base address are ignored.
struct AddressBlock: Sendable {
  /// As the pattern has it.
  let text: [UInt8]
  private let base: InternetAddress
  private let mask: UInt128

  /// What is wrong with a block, in the words of EventBridge.
  struct Fault: Error {
    var rule: String
  }

  init(_ text: [UInt8]) throws(Fault) {
    let parts = text.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw Fault(rule: "Malformed CIDR, one '/' required") }
    let digits = parts[1]
    guard let bits = Int(String(decoding: digits, as: UTF8.self)) else {
      throw Fault(rule: "Malformed CIDR, mask bits must be an integer")
    }
    guard bits >= 0 else { throw Fault(rule: "Malformed CIDR, mask bits must not be negative") }
    let host = Array(parts[0])
    guard let base = unsafe InternetAddress(host.span.bytes) else {
      throw Fault(rule: "Nonstandard IP address: \(String(decoding: host, as: UTF8.self))")
    }
    let width = base.isVersion6 ? 128 : 32
    guard bits < width else {
      throw Fault(rule: "\(base.isVersion6 ? "IPv6" : "IPv4") mask bits must be < \(width)")
    }
    self.text = text
    self.base = base
    // A shift by 128 gives zero: no bit is compared.
    self.mask = UInt128.max << UInt128(width - bits)
  }

  /// `text` is an address, of the same version, in this block.
  func contains(_ text: RawSpan) -> Bool {
    guard let address = InternetAddress(text), address.isVersion6 == base.isVersion6 else { return false }
    return (address.bits ^ base.bits) & mask == 0
  }
}

/// An IP address in its usual spelling.
struct InternetAddress: Sendable {
  let bits: UInt128
  let isVersion6: Bool

  init?(_ text: RawSpan) {
    var hasColon = false
    for position in 0..<text.byteCount where text.byte(position) == JSONByte.colon { hasColon = true }
    isVersion6 = hasColon
    guard let bits = hasColon ? Self.version6(text) : Self.version4(text, from: 0) else { return nil }
    self.bits = bits
  }

  /// Four decimal numbers up to 255, of at most three digits.
  private static func version4(_ text: RawSpan, from start: Int) -> UInt128? {
    var bits: UInt128 = 0
    var position = start
    for part in 0..<4 {
      if part > 0 {
        guard position < text.byteCount, text.byte(position) == JSONByte.point else { return nil }
        position += 1
      }
      var value = 0
      let first = position
      while position < text.byteCount, JSONByte.isDigit(text.byte(position)), position < first + 3 {
        value = value * 10 + Int(text.byte(position) - JSONByte.zero)
        position += 1
      }
      guard position > first, value <= 255 else { return nil }
      bits = bits << 8 | UInt128(value)
    }
    return position == text.byteCount ? bits : nil
  }

  /// Eight groups of up to four hexadecimal digits, of which one run of zeros may be `::` and the last two may be an
  /// IPv4 address (RFC 4291, 2.2).
  private static func version6(_ text: RawSpan) -> UInt128? {
    var bits: UInt128 = 0
    var groups = 0
    // How many groups stand before the `::`.
    var gap: Int?
    var position = 0
    var needsColon = false
    while position < text.byteCount {
      let isColon = text.byte(position) == JSONByte.colon
      if isColon, position + 1 < text.byteCount, text.byte(position + 1) == JSONByte.colon {
        guard gap == nil else { return nil }
        gap = groups
        position += 2
        needsColon = false
        continue
      }
      if needsColon {
        guard isColon else { return nil }
        position += 1
      }
      needsColon = true
      guard groups < 8, let group = group(text, &position) else { return nil }
      if let group = group.half {
        bits = bits << 16 | UInt128(group)
        groups += 1
      } else if let tail = group.address, groups <= 6 {
        bits = bits << 32 | tail
        groups += 2
      } else {
        return nil
      }
    }
    guard let gap else { return groups == 8 ? bits : nil }
    guard groups < 8 else { return nil }
    let behind = UInt128(16 * (groups - gap))
    let tail = behind == 0 ? 0 : bits & (UInt128.max >> (128 - behind))
    return (bits >> behind) << UInt128(16 * (8 - gap)) | tail
  }

  private struct Group {
    var half: UInt16?
    var address: UInt128?
  }

  private static func group(_ text: RawSpan, _ position: inout Int) -> Group? {
    let start = position
    var value: UInt32 = 0
    while position < text.byteCount, position < start + 4, let digit = JSONByte.hexadecimalValue(text.byte(position)) {
      value = value << 4 | digit
      position += 1
    }
    guard position > start else { return nil }
    if position < text.byteCount, text.byte(position) == JSONByte.point {
      guard let address = version4(text, from: start) else { return nil }
      position = text.byteCount
      return Group(address: address)
    }
    return Group(half: UInt16(truncatingIfNeeded: value))
  }
}
