import Foundation

/// The text of one member of a JSON object, as it was written: numbers keep all their digits, and nothing is put in
/// another order.
enum StateSlice {
  /// The value of the last member of this name in `object`, which must be the valid text of a JSON object. `nil` if it
  /// has none.
  static func value(of name: String, in object: [UInt8]) -> ArraySlice<UInt8>? {
    var place = object.startIndex
    var found: ArraySlice<UInt8>?
    skipBlank(object, &place)
    place += 1
    while true {
      skipBlank(object, &place)
      guard place < object.endIndex, object[place] == UInt8(ascii: "\"") else { return found }
      let key = string(object, &place)
      skipBlank(object, &place)
      place += 1
      skipBlank(object, &place)
      let begin = place
      skipValue(object, &place)
      if text(of: key) == name { found = object[begin..<place] }
      skipBlank(object, &place)
      guard place < object.endIndex, object[place] == UInt8(ascii: ",") else { return found }
      place += 1
    }
  }

  private static func text(of string: ArraySlice<UInt8>) -> String? {
    if !string.contains(UInt8(ascii: "\\")) {
      return String(decoding: string.dropFirst().dropLast(), as: UTF8.self)
    }
    return try? JSONSerialization.jsonObject(with: Data(string), options: .fragmentsAllowed) as? String
  }

  private static func skipBlank(_ bytes: [UInt8], _ place: inout Int) {
    while place < bytes.endIndex, bytes[place] == 0x20 || (0x09...0x0d).contains(bytes[place]) { place += 1 }
  }

  /// With its quotes.
  private static func string(_ bytes: [UInt8], _ place: inout Int) -> ArraySlice<UInt8> {
    let begin = place
    place += 1
    while place < bytes.endIndex, bytes[place] != UInt8(ascii: "\"") {
      place += bytes[place] == UInt8(ascii: "\\") ? 2 : 1
    }
    place = min(place + 1, bytes.endIndex)
    return bytes[begin..<place]
  }

  private static func skipValue(_ bytes: [UInt8], _ place: inout Int) {
    var depth = 0
    while place < bytes.endIndex {
      switch bytes[place] {
      case UInt8(ascii: "\""):
        _ = string(bytes, &place)
        if depth == 0 { return }
        continue
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if depth == 0 { return }
        depth -= 1
        if depth == 0 {
          place += 1
          return
        }
      case UInt8(ascii: ","):
        if depth == 0 { return }
      case 0x20, 0x09...0x0d:
        if depth == 0 { return }
      default: break
      }
      place += 1
    }
  }
}
