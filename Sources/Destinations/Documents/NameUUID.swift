import StreamModel

/// Ids that are names: the same text gives the same UUID (RFC 9562, version 3 without a namespace), in lower case.
public enum NameUUID {
  public static func make(_ text: String) -> String {
    var bits = HashKey(partitionKey: text).rawValue
    bits = bits & ~(UInt128(0xf) << 76) | UInt128(3) << 76
    bits = bits & ~(UInt128(0x3) << 62) | UInt128(2) << 62
    let digits = String(bits, radix: 16)
    let padded = Array((String(repeating: "0", count: 32 - digits.utf8.count) + digits).utf8)
    return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(decoding: padded[$0], as: UTF8.self) }
      .joined(separator: "-")
  }
}
