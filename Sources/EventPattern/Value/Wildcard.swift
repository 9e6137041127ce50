/// A text in which each `*` stands for any characters, or none. `\*` is a star and `\\` a backslash.
struct Wildcard: Sendable {
  /// As the pattern has it.
  let text: [UInt8]
  /// What stands between the stars; one more than there are stars. May be empty at both ends.
  private let pieces: [[UInt8]]

  /// What is wrong with a pattern, in the words of EventBridge.
  enum Fault: Error {
    case escape(position: Int)
    case consecutiveStars(position: Int)

    var rule: String {
      switch self {
      case .escape(let position): "Invalid escape character at pos \(position)"
      case .consecutiveStars(let position): "Consecutive wildcard characters at pos \(position)"
      }
    }
  }

  init(_ text: [UInt8]) throws(Fault) {
    var pieces: [[UInt8]] = [[]]
    var position = 0
    while position < text.count {
      var byte = text[position]
      if byte == Self.star {
        guard position + 1 == text.count || text[position + 1] != Self.star else {
          throw .consecutiveStars(position: position + 1)
        }
        pieces.append([])
        position += 1
        continue
      }
      if byte == JSONByte.backslash {
        guard position + 1 < text.count, text[position + 1] == Self.star || text[position + 1] == JSONByte.backslash
        else { throw .escape(position: position) }
        position += 1
        byte = text[position]
      }
      pieces[pieces.count - 1].append(byte)
      position += 1
    }
    self.text = text
    self.pieces = pieces
  }

  var starCount: Int { pieces.count - 1 }

  /// The first and the last piece stand at the ends, the others follow one another, each as early as it can.
  func matches(_ text: RawSpan) -> Bool {
    let first = pieces[0]
    guard pieces.count > 1 else { return text.isEqual(to: first) }
    let last = pieces[pieces.count - 1]
    guard text.byteCount >= first.count + last.count, text.hasPrefix(first), text.hasSuffix(last) else { return false }
    var position = first.count
    let end = text.byteCount - last.count
    for piece in pieces[1..<(pieces.count - 1)] {
      while position + piece.count <= end, !text.holds(piece, at: position) { position += 1 }
      guard position + piece.count <= end else { return false }
      position += piece.count
    }
    return true
  }

  private static let star = UInt8(ascii: "*")
}
