import EventPattern
import Testing

@Suite("Filter patterns: what is no pattern")
struct GrammarTests {
  /// The value of `data`, where in it the problem is, what stands there, and the rule.
  static let defects: [(pattern: String, path: String, value: String, rule: String)] = [
    (#"{"x":"a"}"#, ".x", #""a""#, #""x" must be an object or an array"#),
    (#"{"x":null}"#, ".x", "null", #""x" must be an object or an array"#),
    (#"{"x":[]}"#, ".x", "[]", "Empty arrays are not allowed"),
    (#"{"x":{}}"#, ".x", "{}", "Empty objects are not allowed"),
    (#"{"x":[[1]]}"#, ".x[0]", "[1]", "Match value must be String, number, true, false, or null"),
    (#"{"x":[{}]}"#, ".x[0]", "{}", "Match expression name not found"),
    (#"{"x":[1,{"EXISTS":true}]}"#, ".x[1].EXISTS", "true", "Unrecognized match type EXISTS"),
    (#"{"x":[{"NUMERIC":["=",1]}]}"#, ".x[0].NUMERIC", #"["=",1]"#, "Unrecognized match type NUMERIC"),
    (
      #"{"x":[{"prefix":"a","suffix":"b"}]}"#, ".x[0]", #"{"prefix":"a","suffix":"b"}"#,
      "Only one key allowed in match expression"
    ),
    (#"{"x":[{"exists":1}]}"#, ".x[0].exists", "1", "exists match pattern must be either true or false."),
    (#"{"x":[{"prefix":["a"]}]}"#, ".x[0].prefix", #"["a"]"#, "prefix match pattern must be a string"),
    (#"{"x":[{"suffix":1}]}"#, ".x[0].suffix", "1", "suffix match pattern must be a string"),
    (
      #"{"x":[{"prefix":{"equals-ignore-case":1}}]}"#, ".x[0].prefix.equals-ignore-case", "1",
      "equals-ignore-case match pattern must be a string"
    ),
    (
      #"{"x":[{"prefix":{"suffix":"a"}}]}"#, ".x[0].prefix", #"{"suffix":"a"}"#,
      "prefix match pattern must be a string"
    ),
    (
      #"{"x":[{"equals-ignore-case":["a"]}]}"#, ".x[0].equals-ignore-case", #"["a"]"#,
      "equals-ignore-case match pattern must be a string"
    ),
    (#"{"x":[{"wildcard":1}]}"#, ".x[0].wildcard", "1", "wildcard match pattern must be a string"),
    (#"{"x":[{"wildcard":"a**"}]}"#, ".x[0].wildcard", #""a**""#, "Consecutive wildcard characters at pos 2"),
    (#"{"x":[{"wildcard":"a\\b"}]}"#, ".x[0].wildcard", #""a\\b""#, "Invalid escape character at pos 1"),
    (#"{"x":[{"wildcard":"a\\"}]}"#, ".x[0].wildcard", #""a\\""#, "Invalid escape character at pos 1"),
    (#"{"x":[{"cidr":1}]}"#, ".x[0].cidr", "1", "prefix match pattern must be a string"),
    (#"{"x":[{"cidr":"10.0.0.0"}]}"#, ".x[0].cidr", #""10.0.0.0""#, "Malformed CIDR, one '/' required"),
    (
      #"{"x":[{"cidr":"10.0.0.0/a"}]}"#, ".x[0].cidr", #""10.0.0.0/a""#,
      "Malformed CIDR, mask bits must be an integer"
    ),
    (
      #"{"x":[{"cidr":"10.0.0.0/-1"}]}"#, ".x[0].cidr", #""10.0.0.0/-1""#,
      "Malformed CIDR, mask bits must not be negative"
    ),
    (#"{"x":[{"cidr":"10.0.0.0/32"}]}"#, ".x[0].cidr", #""10.0.0.0/32""#, "IPv4 mask bits must be < 32"),
    (#"{"x":[{"cidr":"::1/128"}]}"#, ".x[0].cidr", #""::1/128""#, "IPv6 mask bits must be < 128"),
    (#"{"x":[{"cidr":"host/8"}]}"#, ".x[0].cidr", #""host/8""#, "Nonstandard IP address: host"),
    (#"{"x":[{"numeric":5}]}"#, ".x[0].numeric", "5", "Value of numeric must be an array."),
    (#"{"x":[{"numeric":["!=",5]}]}"#, ".x[0].numeric[0]", #""!=""#, "Unrecognized numeric range operator: !="),
    (#"{"x":[{"numeric":["<"]}]}"#, ".x[0].numeric[1]", #""<""#, "Value of < must be numeric"),
    (#"{"x":[{"numeric":["<","5"]}]}"#, ".x[0].numeric[1]", #""5""#, "Value of < must be numeric"),
    (
      #"{"x":[{"numeric":[">",0,">",5]}]}"#, ".x[0].numeric[2]", #"">""#, "Bad numeric range operator: >"
    ),
    (
      #"{"x":[{"numeric":["<",5,">",0]}]}"#, ".x[0].numeric", #"["<",5,">",0]"#,
      "Too many elements in numeric expression"
    ),
    (
      #"{"x":[{"numeric":["=",5,"<",9]}]}"#, ".x[0].numeric", #"["=",5,"<",9]"#,
      "Too many elements in numeric expression"
    ),
    (#"{"x":[{"numeric":[">=",1,"<=",1.0]}]}"#, ".x[0].numeric", #"[">=",1,"<=",1.0]"#, "Bottom must be less than top"),
    (
      #"{"x":[{"numeric":["=",9007199254740993]}]}"#, ".x[0].numeric[1]", "9007199254740993",
      "Cannot compare number : 9007199254740993"
    ),
    (
      #"{"x":[{"numeric":["=",123456789.123456789]}]}"#, ".x[0].numeric[1]", "123456789.123456789",
      "Cannot compare number : 123456789.123456789"
    ),
    (#"{"x":[{"numeric":["<",1e400]}]}"#, ".x[0].numeric[1]", "1e400", "Cannot compare number : 1e400"),
    (
      #"{"x":[{"anything-but":true}]}"#, ".x[0].anything-but", "true",
      "Value of anything-but must be an array or single string/number value."
    ),
    (
      #"{"x":[{"anything-but":["a",null]}]}"#, ".x[0].anything-but[1]", "null",
      "Inside anything but list, start|null|boolean is not supported."
    ),
    (
      #"{"x":[{"anything-but":["a",5]}]}"#, ".x[0].anything-but", #"["a",5]"#,
      "Inside anything but list, either all values are number or string, mixed type is not supported"
    ),
    (
      #"{"x":[{"anything-but":[]}]}"#, ".x[0].anything-but", "[]",
      "Inside anything but list, either all values are number or string, mixed type is not supported"
    ),
    (
      #"{"x":[{"anything-but":{"prefix":""}}]}"#, ".x[0].anything-but.prefix", #""""#,
      "Null prefix/suffix not allowed"
    ),
    (
      #"{"x":[{"anything-but":{"suffix":["a",5]}}]}"#, ".x[0].anything-but.suffix[1]", "5",
      "prefix/suffix match pattern must be a string"
    ),
    (
      #"{"x":[{"anything-but":{"prefix":{"equals-ignore-case":"a"}}}]}"#, ".x[0].anything-but.prefix",
      #"{"equals-ignore-case":"a"}"#, "prefix/suffix match pattern must be a string"
    ),
    (
      #"{"x":[{"anything-but":{"equals-ignore-case":[1]}}]}"#, ".x[0].anything-but.equals-ignore-case[0]", "1",
      "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
    ),
    (
      #"{"x":[{"anything-but":{"exists":true}}]}"#, ".x[0].anything-but.exists", "true",
      "Unsupported anything-but pattern: exists"
    ),
    (
      #"{"$or":[{"a":[1]}]}"#, ".$or", #"[{"a":[1]}]"#, "There must have at least 2 Objects in $or relationship."
    ),
    (#"{"$or":{"a":[1]}}"#, ".$or", #"{"a":[1]}"#, "It must be an Array followed with $or."),
    (
      #"{"$or":[{"a":[1]},5]}"#, ".$or[1]", "5", "Only JSON object is allowed in array of $or relationship."
    ),
    (
      #"{"$or":[{"a":[1]},{"b":{"prefix":["x"]}}]}"#, ".$or[1].b.prefix", "",
      "prefix is Ruler reserved fieldName which cannot be used inside $or."
    ),
    (#"{"a b":{"x.y":[]}}"#, #"["a b"]["x.y"]"#, "[]", "Empty arrays are not allowed"),
  ]

  @Test("a defect is told with its place, what stands there and the rule", arguments: defects.indices)
  func defect(_ index: Int) {
    let defect = Self.defects[index]
    #expect(
      problems([#"{"data":\#(defect.pattern)}"#]) == [
        PatternProblem(pattern: 0, path: "$.data" + defect.path, value: defect.value, rule: defect.rule)
      ])
  }

  @Test("a text that is no JSON object is told as such")
  func notAnObject() {
    #expect(problems(["[]"]).map(\.rule) == ["Filter is not an object"])
    #expect(problems(["5"]).map(\.rule) == ["Filter is not an object"])
    #expect(problems(["{}"]).map(\.rule) == ["Empty objects are not allowed"])
    #expect(problems([""]).map(\.rule) == ["not JSON: the text ends too early, at byte 0"])
    #expect(
      problems([#"{"data":{"x":[1,]}}"#]).map(\.rule) == ["not JSON: a character that cannot stand there, at byte 16"])
  }

  @Test("all defects of all patterns are told at once")
  func allAtOnce() {
    let told = problems([
      #"{"partitionKey":"a","data":{"x":[],"y":[{"cidr":"1"}]}}"#, #"{"data":{"z":[1]}}"#, "nonsense",
    ])
    #expect(told.map(\.pattern) == [0, 0, 0, 2])
    #expect(told.map(\.path) == ["$.partitionKey", "$.data.x", "$.data.y[0].cidr", "$"])
    #expect(told[1].description == "Filters[0].Pattern: $.data.x: []: Empty arrays are not allowed")
  }

  @Test("limits are told with what there is")
  func limits() throws {
    let one = #"{"data":{"x":[1]}}"#
    #expect(problems([String](repeating: one, count: 5)).isEmpty)
    #expect(problems([String](repeating: one, count: 6)).map(\.rule) == ["at most 5 filters of a mapping"])
    var raised = FilterLimits()
    raised.patterns = FilterLimits.greatestPatternCount
    #expect(problems([String](repeating: one, count: 10), limits: raised).isEmpty)

    // Characters, not bytes.
    let frame = #"{"data":{"x":[""]}}"#
    let filled = { (count: Int) in #"{"data":{"x":["\#(String(repeating: "é", count: count - frame.count))"]}}"# }
    #expect(problems([filled(4_096)]).isEmpty)
    #expect(problems([filled(4_097)]).map(\.rule) == ["a pattern has at most 4096 characters; this has 4097"])

    let nested = { (count: Int) in
      String(repeating: #"{"a":"#, count: count) + "[1]" + String(repeating: "}", count: count)
    }
    #expect(problems([nested(100)]).isEmpty)
    #expect(problems([nested(101)]).map(\.rule) == ["at most 100 names in one another"])

    let stars = { (count: Int) in #"{"data":{"x":[{"wildcard":"\#(String(repeating: "*a", count: count))"}]}}"# }
    #expect(problems([stars(32)]).isEmpty)
    #expect(problems([stars(33)]).count == 1)

    let pair = #"{"$or":[{"a":[1]},{"b":[1]}]}"#
    let ors = { (count: Int) in
      "{" + (0..<count).map { #""k\#($0)":\#(pair)"# }.joined(separator: ",") + "}"
    }
    #expect(problems([ors(9)]).isEmpty)
    #expect(
      problems([ors(10)]).map(\.rule) == ["the $or relationships make more than 1000 combinations"])
  }

  @Test("advice names what is allowed but probably not meant")
  func advice() throws {
    let kinesis = try EventFilter(
      [#"{"carrier":["UA"],"data":{"x":[{"wildcard":"a*"}]},"eventName":["aws:kinesis:record"]}"#], source: .kinesis)
    #expect(kinesis.advice.map(\.path) == ["$.carrier", "$.data.x[0].wildcard"])
    let change = try EventFilter(
      [#"{"dynamodb":{"NewImage":{"n":{"N":[{"numeric":[">",1]}]}}}}"#], source: .dynamodb)
    #expect(change.advice.map(\.path) == ["$.dynamodb.NewImage.n.N[0].numeric"])
  }
}
