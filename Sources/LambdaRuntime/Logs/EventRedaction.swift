/// Writes an event for the log, with the values of some members replaced, wherever they stand in it. All else stays as it
/// is, to the byte.
struct EventRedaction: Hashable, Sendable {
  /// Names of members.
  let members: Set<String>

  static let replacement = #""***""#

  /// `json` must be JSON; a value that breaks off is left out.
  func text(of json: some Collection<UInt8>) -> String {
    let bytes = Array(json)
    guard !members.isEmpty else { return String(decoding: bytes, as: UTF8.self) }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var place = 0
    while place < bytes.count {
      guard bytes[place] == UInt8(ascii: "\"") else {
        result.append(bytes[place])
        place += 1
        continue
      }
      let end = Self.endOfString(bytes, from: place)
      result += bytes[place..<end]
      let name = String(decoding: bytes[(place + 1)..<max(place + 1, end - 1)], as: UTF8.self)
      place = end
      let value = Self.afterColon(bytes, from: end)
      guard let value, members.contains(name) else { continue }
      result += bytes[end..<value]
      result += Self.replacement.utf8
      place = Self.endOfValue(bytes, from: value)
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// Behind the closing quote.
  private static func endOfString(_ bytes: [UInt8], from start: Int) -> Int {
    var place = start + 1
    while place < bytes.count, bytes[place] != UInt8(ascii: "\"") {
      place += bytes[place] == UInt8(ascii: "\\") ? 2 : 1
    }
    return min(place + 1, bytes.count)
  }

  /// Where the value begins, if what stood before was the name of a member.
  private static func afterColon(_ bytes: [UInt8], from start: Int) -> Int? {
    let colon = afterBlanks(bytes, from: start)
    guard colon < bytes.count, bytes[colon] == UInt8(ascii: ":") else { return nil }
    return afterBlanks(bytes, from: colon + 1)
  }

  private static func afterBlanks(_ bytes: [UInt8], from start: Int) -> Int {
    var place = start
    while place < bytes.count, [32, 9, 10, 13].contains(bytes[place]) { place += 1 }
    return place
  }

  private static func endOfValue(_ bytes: [UInt8], from start: Int) -> Int {
    var depth = 0
    var place = start
    while place < bytes.count {
      switch bytes[place] {
      case UInt8(ascii: "\""):
        place = endOfString(bytes, from: place)
        if depth == 0 { return place }
        continue
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        // A number or a word ends with what it stands in.
        if depth == 0 { return place }
        depth -= 1
        if depth == 0 { return place + 1 }
      case UInt8(ascii: ",") where depth == 0:
        return place
      default: break
      }
      place += 1
    }
    return place
  }
}
