/// A text of a pattern that matches without regard to case. Each of its characters stands for itself, its lower case
/// and its upper case, as far as these are one character: Ä is ä, ß is not SS. Nothing is normalised.
struct FoldedText: Sendable {
  /// As the pattern has it.
  let text: [UInt8]
  /// For each Unicode scalar of the text, what may stand in its place, in UTF-8.
  private let places: [[[UInt8]]]

  init(_ text: [UInt8]) {
    self.text = text
    places = String(decoding: text, as: UTF8.self).unicodeScalars.map { scalar in
      var allowed = [String(scalar)]
      for other in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping]
      where other.unicodeScalars.count == 1 && !allowed.contains(other) {
        allowed.append(other)
      }
      return allowed.map { Array($0.utf8) }
    }
  }

  func isEqual(to text: RawSpan) -> Bool { end(in: text, from: 0) == text.byteCount }

  func isPrefix(of text: RawSpan) -> Bool { end(in: text, from: 0) != nil }

  func isSuffix(of text: RawSpan) -> Bool {
    // As many scalars from the end as this has: bytes 10xxxxxx belong to the one before them.
    var start = text.byteCount
    for _ in places {
      repeat {
        guard start > 0 else { return false }
        start -= 1
      } while text.byte(start) & 0xc0 == 0x80
    }
    return end(in: text, from: start) != nil
  }

  /// Where this ends in `text` if it stands at `start`.
  private func end(in text: RawSpan, from start: Int) -> Int? {
    var position = start
    for allowed in places {
      var byteCount: Int?
      for one in allowed where text.holds(one, at: position) { byteCount = one.count }
      guard let byteCount else { return nil }
      position += byteCount
    }
    return position
  }
}
