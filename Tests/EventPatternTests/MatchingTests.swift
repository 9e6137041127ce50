import EventPattern
import Testing

@Suite("Filter patterns: values")
struct MatchingTests {
  /// The table of null, empty and missing: the event, then whether `[null]`, `[""]`, exists, exists not and
  /// anything-but "x" match it.
  static let absences: [(event: String, matches: [Bool])] = [
    ("{}", [false, false, false, true, false]),
    (#"{"f":null}"#, [true, false, true, false, true]),
    (#"{"f":""}"#, [false, true, true, false, true]),
    (#"{"f":[]}"#, [false, false, false, true, false]),
    (#"{"f":{}}"#, [false, false, false, true, false]),
    (#"{"f":"x"}"#, [false, false, true, false, false]),
    (#"{"f":["x","y"]}"#, [false, false, true, false, true]),
    (#"{"f":true}"#, [false, false, true, false, true]),
  ]

  @Test("null, empty and missing are three things", arguments: absences.indices)
  func absence(_ index: Int) {
    let row = Self.absences[index]
    let patterns = ["null", #""""#, #"{"exists":true}"#, #"{"exists":false}"#, #"{"anything-but":"x"}"#]
    for (pattern, matches) in zip(patterns, row.matches) {
      let expected: Tried = matches ? .matches : .doesNot
      #expect(tryData(#"{"f":[\#(pattern)]}"#, row.event) == expected, "\(pattern) on \(row.event)")
    }
  }

  @Test(
    "numbers compare by value, whatever their spelling",
    arguments: [
      ("1", "1.0", true), ("1", "1e0", true), ("1", "10e-1", true), ("100", "1E+2", true), ("0", "-0.0e5", true),
      ("0.001", "1e-3", true), ("1", "2", false), ("1", "-1", false), ("1", "10", false), ("0", "0.0001", false),
      ("0", "1e-400", false), ("1e400", "10e399", true), ("1e400", "1e401", false),
      ("9007199254740993", "9007199254740992", false), ("9007199254740993", "9007199254740993.000", true),
      ("123456789012345678901234567890", "123456789012345678901234567890", true),
      ("123456789012345678901234567890", "123456789012345678901234567891", false),
      ("123456789012345678901234567890", "12345678901234567890123456789e1", true),
      ("1234567890123456789", "1234567890123456789.0000000000000001", false),
      ("300", "\"300\"", false), ("1", "true", false),
    ])
  func numberEquality(pattern: String, value: String, isEqual: Bool) {
    #expect(tryData(#"{"n":[\#(pattern)]}"#, #"{"n":\#(value)}"#) == (isEqual ? .matches : .doesNot))
    let butNot: Tried = isEqual ? .doesNot : .matches
    #expect(tryData(#"{"n":[{"anything-but":\#(pattern)}]}"#, #"{"n":\#(value)}"#) == butNot)
  }

  @Test(
    "ranges hold their bounds or not, as they say",
    arguments: [
      (#""<",5"#, "4.999", true), (#""<",5"#, "5", false), (#""<=",5"#, "5.0", true), (#""<=",5"#, "5.0001", false),
      (#"">",5"#, "5", false), (#"">",5"#, "5.00000000000000000000001", true), (#"">=",5"#, "50e-1", true),
      (#"">=",-5"#, "-5.1", false), (#"">",-5"#, "-4.9", true), (#""<",-5"#, "-50", true), (#""<",0"#, "-1e-9", true),
      (#"">",0,"<=",5"#, "0", false), (#"">",0,"<=",5"#, "5", true), (#"">",0,"<=",5"#, "6", false),
      (#""=",3.018e2"#, "301.8", true), (#""=",3"#, "3.1", false), (#"">",0"#, "9007199254740993", true),
      (#"">",0"#, "1e999", true), (#""<",0"#, "-1e999", true), (#"">",0"#, "null", false),
      (#"">",0"#, "\"5\"", false), (#"">",0"#, "true", false), (#"">",0"#, "[-1,1]", true),
    ])
  func ranges(range: String, value: String, isInside: Bool) {
    #expect(tryData(#"{"n":[{"numeric":[\#(range)]}]}"#, #"{"n":\#(value)}"#) == (isInside ? .matches : .doesNot))
  }

  @Test(
    "texts: beginnings, ends, case and wildcards",
    arguments: [
      (#"{"prefix":"ab"}"#, "ab", true), (#"{"prefix":"ab"}"#, "a", false), (#"{"prefix":"ab"}"#, "Abc", false),
      (#"{"suffix":"bc"}"#, "abc", true), (#"{"suffix":"abcd"}"#, "bcd", false), (#"{"suffix":""}"#, "", true),
      (#"{"equals-ignore-case":"äÉ"}"#, "Äé", true), (#"{"equals-ignore-case":""}"#, "", true),
      (#"{"equals-ignore-case":"ab"}"#, "abc", false), (#"{"equals-ignore-case":"é"}"#, "e\u{301}", false),
      (#"{"equals-ignore-case":"ⱥ"}"#, "Ⱥ", true), (#"{"suffix":{"equals-ignore-case":"Xⱥ"}}"#, "yxȺ", true),
      (#"{"suffix":{"equals-ignore-case":"xyz"}}"#, "yz", false),
      (#"{"prefix":{"equals-ignore-case":"äb"}}"#, "ÄBc", true),
      (#"{"prefix":{"equals-ignore-case":"b"}}"#, "ab", false),
      (#"{"wildcard":"*"}"#, "", true), (#"{"wildcard":"a*b*c"}"#, "abc", true),
      (#"{"wildcard":"a*b*c"}"#, "abbcc", true),
      (#"{"wildcard":"a*b*c"}"#, "acb", false), (#"{"wildcard":"ab*ba"}"#, "aba", false),
      (#"{"wildcard":"*aab*"}"#, "aaab", true), (#"{"wildcard":"a\\*c"}"#, "abc", false),
      (#"{"wildcard":"a\\\\*"}"#, #"a\b"#, true), (#"{"wildcard":"*.PNG"}"#, "a.png", false),
      (#"{"anything-but":{"wildcard":["a*","*z"]}}"#, "bz", false),
      (#"{"anything-but":{"wildcard":["a*","*z"]}}"#, "by", true),
    ])
  func texts(test: String, value: String, matches: Bool) {
    let event = #"{"s":"\#(value.replacing("\\", with: "\\\\"))"}"#
    #expect(tryData(#"{"s":[\#(test)]}"#, event) == (matches ? .matches : .doesNot), "\(test) on \(value)")
  }

  @Test(
    "addresses lie in a block or not",
    arguments: [
      ("10.0.0.77/24", "10.0.0.1", true), ("0.0.0.0/0", "255.255.255.255", true), ("0.0.0.0/0", "::1", false),
      ("10.0.0.0/31", "10.0.0.2", false), ("10.0.0.0/8", "10.1.2", false), ("10.0.0.0/8", "10.1.2.3.4", false),
      ("10.0.0.0/8", "10.1.2.256", false), ("10.0.0.0/8", "10.1.2.3 ", false), ("10.0.0.0/8", "", false),
      ("::/0", "1:2:3:4:5:6:7:8", true), ("::/0", "1:2:3:4:5:6:7", false), ("::/0", "1:2:3:4:5:6:7:8:9", false),
      ("::/0", "1::2::3", false), ("::/0", "1:::2", false), ("::/0", ":1", false), ("::/0", "1:", false),
      ("::/0", "12345::", false), ("::/0", "::g", false), ("::/0", "1.2.3.4", false),
      ("2001:db8::/33", "2001:db8:7fff::", true), ("2001:db8::/33", "2001:DB8:8000::", false),
      ("2001:db8::1:0/112", "2001:db8::1:ffff", true), ("2001:db8::1:0/112", "2001:db8::2:0", false),
      ("::ffff:0:0/96", "::ffff:1.2.3.4", true), ("::ffff:0:0/96", "::fffe:1.2.3.4", false),
      ("::/127", "::1", true), ("::/127", "::2", false), ("1::/16", "1::", true),
    ])
  func addresses(block: String, address: String, isInside: Bool) {
    #expect(tryData(#"{"ip":[{"cidr":"\#(block)"}]}"#, #"{"ip":"\#(address)"}"#) == (isInside ? .matches : .doesNot))
  }

  @Test(
    "escapes in keys and values, in the pattern and in the record, change nothing",
    arguments: [
      (#"{"\u0061b":["\u0078\n"]}"#, #"{"a\u0062":"x\u000a"}"#), (#"{"k":["😀"]}"#, #"{"k":"\uD83D\ude00"}"#),
      (#"{"k":["\ud83d\ude00"]}"#, #"{"k":"😀"}"#), (#"{"k":["\ud800"]}"#, #"{"k":"\uD800"}"#),
      (#"{"a/b":["\/"]}"#, #"{"a\/b":"/"}"#), (#"{"a":{"b":["x"]}}"#, #"{"a\u002eb":"x"}"#),
      (#"{"k":["\"\\\b\f\r\t"]}"#, #"{"k":"\u0022\u005c\u0008\u000c\u000d\u0009"}"#),
      (#"{"é":["ü"]}"#, #"{"\u00e9":"\u00FC"}"#),
    ])
  func escapes(pattern: String, event: String) {
    #expect(tryData(pattern, event) == .matches)
  }

  @Test("long keys are compared to their end")
  func longKeys() {
    #expect(tryData(#"{"departure_time":[1]}"#, #"{"departure_date":1}"#) == .doesNot)
    let both = #"{"departure_time":[1],"departure_date":[2]}"#
    #expect(tryData(both, #"{"departure_date":2,"departure_time":1}"#) == .matches)
    let long = String(repeating: "k", count: 100)
    #expect(tryData(#"{"\#(long)":[1]}"#, #"{"\#(long)k":1}"#) == .doesNot)
    #expect(tryData(#"{"\#(long)":[1],"\#(long)k":[2]}"#, #"{"\#(long)k":2,"\#(long)":1}"#) == .matches)
  }

  @Test("texts are not normalised")
  func normalisation() {
    #expect(tryData(#"{"k":["é"]}"#, #"{"k":"e\u0301"}"#) == .doesNot)
    #expect(tryData(#"{"é":["x"]}"#, #"{"e\u0301":"x"}"#) == .doesNot)
  }

  @Test("of repeated keys the last one counts, at every depth")
  func repeatedKeys() {
    #expect(tryData(#"{"a":[1]}"#, #"{"a":1,"a":2}"#) == .doesNot)
    #expect(tryData(#"{"a":[2]}"#, #"{"a":1,"\u0061":2}"#) == .matches)
    #expect(tryData(#"{"a":{"b":[1]}}"#, #"{"a":{"b":1},"a":{"c":1}}"#) == .doesNot)
    #expect(tryData(#"{"a":{"b":[2]}}"#, #"{"a":{"b":1,"b":2}}"#) == .matches)
    #expect(tryData(#"{"a":{"b":[{"exists":false}]}}"#, #"{"a":{"b":1},"a":7}"#) == .matches)
    // Not the same key, only the same path: both count.
    #expect(tryData(#"{"a":{"b":[1]}}"#, #"{"a.b":1,"a":{"b":2}}"#) == .matches)
    #expect(tryData(#"{"a":{"b":[1]}}"#, #"{"a.b":1,"a":{"b":3},"a.b":2}"#) == .doesNot)
  }

  @Test("fields below an array are met in one element")
  func arrays() {
    let both = #"{"a":{"x":[1],"y":[2]}}"#
    #expect(tryData(both, #"{"a":[{"x":1,"y":9},{"x":1,"y":2}]}"#) == .matches)
    #expect(tryData(both, #"{"a":[[{"x":1}],[{"y":2}]]}"#) == .doesNot)
    #expect(tryData(both, #"{"a":[[{"x":1},{"y":2,"x":1}]]}"#) == .matches)
    // The dotted key is outside of the array.
    #expect(tryData(both, #"{"a":[{"x":1},{"x":2}],"a.y":2}"#) == .matches)
    // Two arrays choose independently.
    let two = #"{"a":{"x":[1]},"b":{"x":[1]}}"#
    #expect(tryData(two, #"{"a":[{"x":0},{"x":1}],"b":[{"x":1},{"x":0}]}"#) == .matches)
    let either = #"{"a":{"z":[3],"$or":[{"x":[1]},{"y":[2]}]}}"#
    #expect(tryData(either, #"{"a":[{"x":1},{"y":2},{"z":3}]}"#) == .doesNot)
    #expect(tryData(either, #"{"a":[{"x":1},{"y":2,"z":3}]}"#) == .matches)
  }

  @Test("a record with too many combinations is let through")
  func tooManyCombinations() throws {
    // Every choice needs one of two fields of the same element, and each element has one of them for each choice.
    let names = (0..<9).map { "k\($0)" }
    let choices = names.map { #""\#($0)":{"$or":[{"a":[1]},{"b":[1]}]}"# }.joined(separator: ",")
    let filter = try EventFilter([#"{"data":{"list":{\#(choices),"never":[1]}}}"#], source: .kinesis)
    var matcher = EventMatcher(filter)
    let verdict = { (elements: Int) in
      let written = (0..<elements).map { number in
        "{" + names.enumerated().map { #""\#($1)":{"\#(number >> $0 & 1 == 0 ? "a" : "b")":1}"# }.joined(separator: ",")
          + "}"
      }
      return matcher.verdict(on: PlainRecord(body: Array(#"{"list":[\#(written.joined(separator: ","))]}"#.utf8)))
    }
    #expect(verdict(256) == .notMatched)
    #expect(verdict(257) == .tooManyCombinations)
    #expect(FilterVerdict.tooManyCombinations.passes)
    #expect(verdict(2) == .notMatched)
  }

  @Test("more conditions than fit into a word are all held")
  func manyConditions() {
    let fields = { (odd: Int) in (0..<150).map { #""field\#($0)":\#($0 == 149 ? odd : 1)"# }.joined(separator: ",") }
    let pattern = "{" + (0..<150).map { #""field\#($0)":[1]"# }.joined(separator: ",") + "}"
    #expect(tryData(pattern, "{\(fields(1))}") == .matches)
    #expect(tryData(pattern, "{\(fields(2))}") == .doesNot)
    #expect(tryData(#"{"list":\#(pattern)}"#, #"{"list":[{\#(fields(2))},{"field149":1}]}"#) == .doesNot)
    #expect(tryData(#"{"list":\#(pattern)}"#, #"{"list":[{\#(fields(2))},{\#(fields(1))}]}"#) == .matches)
  }
}
