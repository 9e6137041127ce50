import StreamModel

/// A JSON value that a test made up, before it is written.
indirect enum GeneratedJSON {
  /// In the order of writing; a key may repeat.
  case object([(key: String, value: GeneratedJSON)])
  case array([GeneratedJSON])
  case string(String)
  /// In hundredths.
  case number(Int)
  case word(String)

  /// The members that count: the last of each key.
  static func last<Value>(_ members: [(key: String, value: Value)]) -> [(key: String, value: Value)] {
    members.enumerated().filter { place, member in !members[(place + 1)...].contains { $0.key == member.key } }
      .map(\.element)
  }
}

/// Makes up values and writes them, every time in another spelling of the same.
struct Generator {
  var dice: SplitMix64

  init(seed: UInt64) { dice = SplitMix64(seed: seed) }

  mutating func below(_ limit: Int) -> Int { Int(dice.next() % UInt64(limit)) }

  mutating func one<Element>(of choices: [Element]) -> Element { choices[below(choices.count)] }

  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  // Few of each, so that patterns and events meet.
  static let keys = ["a", "a", "b", "b", "c", "a.b", "b.a", "", "longer than a word"]
  static let texts = ["", "x", "xy", "yx", "X", "xYx", "é", "É", "😀x", "1", "a\"\\\n"]
  static let numbers = [-100, 0, 100, 150, 200, 10_000]

  mutating func event(depth: Int = 3) -> GeneratedJSON {
    .object((0..<below(4)).map { _ in (one(of: Self.keys), value(depth: depth)) })
  }

  mutating func value(depth: Int) -> GeneratedJSON {
    switch below(depth > 0 ? 10 : 6) {
    case 0, 1, 2: return .string(one(of: Self.texts))
    case 3, 4: return .number(one(of: Self.numbers))
    case 5: return .word(one(of: ["true", "false", "null"]))
    case 6, 7: return .array((0..<below(4)).map { _ in value(depth: depth - 1) })
    default: return event(depth: depth - 1)
    }
  }

  // MARK: Writing

  mutating func write(_ value: GeneratedJSON) -> String {
    switch value {
    case .object(let members):
      let written = members.map { space() + write(text: $0.key) + space() + ":" + space() + write($0.value) + space() }
      return "{" + (written.isEmpty ? space() : written.joined(separator: ",")) + "}"
    case .array(let elements):
      let written = elements.map { space() + write($0) + space() }
      return "[" + (written.isEmpty ? space() : written.joined(separator: ",")) + "]"
    case .string(let text): return write(text: text)
    case .number(let hundredths): return write(hundredths: hundredths)
    case .word(let word): return word
    }
  }

  mutating func space() -> String { chance(80) ? "" : one(of: [" ", "\n", "\t", "\r\n  "]) }

  mutating func write(text: String) -> String {
    var written = "\""
    for scalar in text.unicodeScalars {
      if chance(10) || scalar.value < 0x20 || scalar == "\"" || scalar == "\\" {
        for unit in String(scalar).utf16 {
          let digits = String(unit, radix: 16, uppercase: chance(50))
          written += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
      } else {
        written.unicodeScalars.append(scalar)
      }
    }
    return written + "\""
  }

  mutating func write(hundredths: Int) -> String {
    let sign = hundredths < 0 ? "-" : hundredths == 0 && chance(20) ? "-" : ""
    let whole = hundredths.magnitude / 100
    let rest = hundredths.magnitude % 100
    let digits = rest < 10 ? "0\(rest)" : "\(rest)"
    switch below(4) {
    case 0: return "\(sign)\(whole).\(digits)"
    case 1: return "\(sign)\(hundredths.magnitude)\(one(of: ["e", "E"]))-2"
    case 2: return "\(sign)0.0000\(whole == 0 ? "" : "\(whole)")\(digits)e+\(whole == 0 ? 4 : 4 + "\(whole)".count)"
    default: return rest == 0 ? "\(sign)\(whole)" : "\(sign)\(whole).\(digits)"
    }
  }
}
