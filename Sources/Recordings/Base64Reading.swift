/// RFC 4648 §4, strictly: with padding, and nothing that the alphabet does not have.
enum Base64Reading {
  /// By character: its six bits, or 255.
  private static let values: [UInt8] = {
    var values = [UInt8](repeating: 255, count: 256)
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for (value, character) in alphabet.utf8.enumerated() { values[Int(character)] = UInt8(value) }
    return values
  }()

  /// How many bytes the text stands for, if it is base64.
  static func byteCount(of text: UnsafeRawBufferPointer) -> Int? {
    guard text.count % 4 == 0 else { return nil }
    guard let last = unsafe text.last else { return 0 }
    let padding = last == 0x3d ? (unsafe text[text.count - 2] == 0x3d ? 2 : 1) : 0
    return text.count / 4 * 3 - padding
  }

  /// The bytes that the text stands for; `nil` if it is not base64.
  static func bytes(of text: [UInt8]) -> [UInt8]? {
    unsafe text.withUnsafeBytes { text in
      guard let count = unsafe byteCount(of: text) else { return nil }
      // An array of no bytes made as below writes its count into the one empty array that all threads share.
      guard count > 0 else { return [] }
      var isRight = true
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { target, written in
        isRight = unsafe decode(text, to: UnsafeMutableRawPointer(target.baseAddress))
        written = isRight ? count : 0
      }
      return isRight ? bytes : nil
    }
  }

  /// Whether the text is base64.
  static func accepts(_ text: UnsafeRawBufferPointer) -> Bool { unsafe decode(text, to: nil) }

  /// Writes the bytes, of which ``byteCount(of:)`` has said how many. `false` if the text is not base64.
  static func decode(_ text: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer?) -> Bool {
    guard let byteCount = unsafe byteCount(of: text) else { return false }
    return unsafe values.withUnsafeBufferPointer { values in
      var written = 0
      for group in 0..<text.count / 4 {
        let wanted = min(3, byteCount - written)
        var word: UInt32 = 0
        for place in 0..<4 {
          let value = place <= wanted ? unsafe values[Int(text[group * 4 + place])] : 0
          guard value != 255 else { return false }
          word = word << 6 | UInt32(value)
        }
        for place in 0..<wanted {
          unsafe target?.storeBytes(
            of: UInt8(truncatingIfNeeded: word >> UInt32(16 - 8 * place)), toByteOffset: written, as: UInt8.self)
          written += 1
        }
        // Bits that stand for nothing are zero, so that there is one text for each payload.
        if wanted < 3, word & (wanted == 1 ? 0xffff : 0xff) != 0 { return false }
      }
      return true
    }
  }
}
