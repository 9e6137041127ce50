internal import Crypto

/// Partition keys that are not to be known: each becomes the first half of its HMAC-SHA256, as 32 hexadecimal digits. The same
/// key has the same pseudonym, and nobody who lacks the secret can tell whose it is, or try keys.
///
/// Of two hashes, by RFC 2104: the HMAC of Crypto takes Foundation's kinds of data, which this room does without.
struct KeyPseudonyms: Hashable, Sendable {
  /// What both hashes begin with.
  private let inner: [UInt8]
  private let outer: [UInt8]

  static let digitCount = 32

  init(secret: [UInt8]) {
    var block = secret
    if block.count > SHA256.blockByteCount {
      var hash = SHA256()
      unsafe block.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
      block = Array(hash.finalize())
    }
    block += [UInt8](repeating: 0, count: SHA256.blockByteCount - block.count)
    inner = block.map { $0 ^ 0x36 }
    outer = block.map { $0 ^ 0x5c }
  }

  /// One that nobody knows: no other recording has the same pseudonyms.
  static func random() -> KeyPseudonyms {
    var source = SystemRandomNumberGenerator()
    return KeyPseudonyms(secret: (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &source) })
  }

  private static func hash(beginning block: [UInt8]) -> SHA256 {
    var hash = SHA256()
    unsafe block.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
    return hash
  }

  /// The pseudonym of a key, as ASCII.
  func pseudonym(of key: UnsafeRawBufferPointer) -> [UInt8] {
    var (first, second) = (Self.hash(beginning: inner), Self.hash(beginning: outer))
    unsafe first.update(bufferPointer: key)
    unsafe first.finalize().withUnsafeBytes { unsafe second.update(bufferPointer: $0) }
    let digits = Array("0123456789abcdef".utf8)
    return second.finalize().prefix(Self.digitCount / 2).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
  }
}
