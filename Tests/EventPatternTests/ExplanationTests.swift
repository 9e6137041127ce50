import EventPattern
import Testing

@Suite("Filter patterns: why a record passes or does not")
struct ExplanationTests {
  private func sentences(_ pattern: String, _ data: String) throws -> [String] {
    let filter = try EventFilter([#"{"data":\#(pattern)}"#], source: .kinesis)
    let explanation = filter.explanation(of: PlainRecord(body: Array(data.utf8)))
    return explanation.patterns.flatMap { $0.parts.flatMap(lines) + [$0.note].compactMap(\.self) }
  }

  private func lines(_ part: PatternPart) -> [String] {
    switch part {
    case .field(let field): [(field.isMet ? "yes: " : "no: ") + field.sentence]
    case .oneOf(let alternatives): ["one of:"] + alternatives.joined().flatMap(lines)
    }
  }

  @Test("a field is explained by what stands there and what is wanted")
  func fields() throws {
    #expect(
      try sentences(
        #"{"carrier":["UA","US"],"delay":[{"numeric":[">",0,"<=",5]}],"note":[{"exists":false}],"from":{"gate":[1]}}"#,
        #"{"carrier":"AA","delay":3.0,"from":{"gate":{"number":1}}}"#) == [
          #"no: data.carrier is "AA"; wanted "UA" or "US""#, "yes: data.delay is 3.0; wanted a number > 0 and <= 5",
          "yes: data.note has no value; wanted no value", "no: data.from.gate is an object, not a value; wanted 1",
        ])
  }

  @Test("many values are cut, and one that is met is enough")
  func manyValues() throws {
    #expect(
      try sentences(#"{"a":{"x":[{"prefix":"z"}]}}"#, #"{"a":[{"x":"a"},{"x":["b",1,null,true,"z"]},{"y":1}]}"#) == [
        #"yes: data.a.x is "a", "b", 1, null, true and 1 more; wanted a text that begins with "z""#
      ])
  }

  @Test("what no single field shows is said besides")
  func notes() throws {
    #expect(
      try sentences(#"{"a":{"x":[1],"y":[2]}}"#, #"{"a":[{"x":1},{"y":2}]}"#).last
        == "each field is met, but not all of them in the same element of an array")
    #expect(
      try sentences(#"{"a":[{"exists":false}]}"#, "not json") == [
        "no: data.a has no value; wanted no value",
        "the data is not JSON: a character that cannot stand there, at byte 1",
      ])
  }

  @Test("of an $or each alternative is shown")
  func choices() throws {
    #expect(
      try sentences(
        #"{"$or":[{"a":[{"anything-but":[1,2]}]},{"b":[{"wildcard":"x*"}]}]}"#, #"{"a":1,"b":"xy"}"#) == [
          "one of:", "no: data.a is 1; wanted any value but 1 or 2", #"yes: data.b is "xy"; wanted a text like "x*""#,
        ])
  }
}
