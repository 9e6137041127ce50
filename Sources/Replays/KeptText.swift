import Recordings

/// What a run file keeps of an answer or a state: all of it, or the beginning of a long one, with what tells two of them
/// apart that only differ behind that.
struct KeptText {
  /// As it is, or the beginning.
  let text: String
  /// `nil` if all of it is kept.
  let rest: RunRest?

  init(_ bytes: some Collection<UInt8>, limit: Int) {
    text = String(decoding: bytes.prefix(limit), as: UTF8.self)
    rest = bytes.count > limit ? RunRest(bytes) : nil
  }
}

/// Stands for all bytes of an answer or a state of which a run file has the beginning.
public struct RunRest: Codable, Hashable, Sendable {
  /// How many there are, with the beginning.
  public var byteCount: Int
  /// FNV-1a of 64 bits over them, as 16 hexadecimal digits.
  public var hash: String

  init(_ bytes: some Collection<UInt8>) {
    byteCount = bytes.count
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    self.hash = hash.sixteenDigits
  }

  /// Stands behind the beginning where two runs are compared.
  var text: String { "… (\(byteCount) bytes, hash \(hash))" }
}
