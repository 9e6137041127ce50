import EventPattern
import Testing

@Suite("Filter patterns: the worked examples of the reference")
struct WorkedExampleTests {
  /// A row of the table: the pattern is the value of `data`, the event the data of a Kinesis record.
  struct Example: Sendable, CustomTestStringConvertible {
    var number: Int
    var pattern: String
    var event: String
    var outcome: Tried

    init(_ number: Int, _ pattern: String, _ event: String, _ outcome: Tried) {
      self.number = number
      self.pattern = pattern
      self.event = event
      self.outcome = outcome
    }

    var testDescription: String { "\(number): \(pattern) on \(event)" }
  }

  static let examples = [
    Example(1, #"{"type":["order"]}"#, #"{"type":"order"}"#, .matches),
    Example(2, #"{"type":["order","refund"]}"#, #"{"type":"refund"}"#, .matches),
    Example(3, #"{"type":["order"],"region":["eu"]}"#, #"{"type":"order","region":"us"}"#, .doesNot),
    Example(4, #"{"type":["Order"]}"#, #"{"type":"order"}"#, .doesNot),
    Example(5, #"{"Type":["order"]}"#, #"{"type":"order"}"#, .doesNot),
    Example(6, #"{"tags":["a","b"]}"#, #"{"tags":["x","b"]}"#, .matches),
    Example(7, #"{"tags":["a"]}"#, #"{"tags":[]}"#, .doesNot),
    Example(8, #"{"x":[null]}"#, #"{"x":null}"#, .matches),
    Example(9, #"{"x":[null]}"#, #"{}"#, .doesNot),
    Example(10, #"{"x":[null]}"#, #"{"x":[]}"#, .doesNot),
    Example(11, #"{"x":[""]}"#, #"{"x":""}"#, .matches),
    Example(12, #"{"ok":[false]}"#, #"{"ok":false}"#, .matches),
    Example(13, #"{"ok":[false]}"#, #"{"ok":"false"}"#, .doesNot),
    Example(14, #"{"n":[300]}"#, #"{"n":300.0}"#, .matches),
    Example(15, #"{"n":[300]}"#, #"{"n":"300"}"#, .doesNot),
    Example(16, #"{"n":[{"numeric":[">",100]}]}"#, #"{"n":101.0}"#, .matches),
    Example(17, #"{"n":[{"numeric":[">",0,"<=",5]}]}"#, #"{"n":5}"#, .matches),
    Example(18, #"{"n":[{"numeric":[">",0,"<=",5]}]}"#, #"{"n":0}"#, .doesNot),
    Example(19, #"{"n":[{"numeric":["=",3]}]}"#, #"{"n":"3"}"#, .doesNot),
    Example(20, #"{"n":[{"numeric":[">",0]}]}"#, #"{"n":null}"#, .doesNot),
    Example(21, #"{"f":[{"prefix":"eu-"}]}"#, #"{"f":"eu-west-1"}"#, .matches),
    Example(22, #"{"f":[{"prefix":""}]}"#, #"{"f":"anything"}"#, .matches),
    Example(23, #"{"f":[{"prefix":{"equals-ignore-case":"Abc"}}]}"#, #"{"f":"aBcdef"}"#, .matches),
    Example(24, #"{"f":[{"suffix":".png"}]}"#, #"{"f":"a.PNG"}"#, .doesNot),
    Example(25, #"{"f":[{"suffix":{"equals-ignore-case":".png"}}]}"#, #"{"f":"a.PNG"}"#, .matches),
    Example(26, #"{"f":[{"equals-ignore-case":"ALPHA"}]}"#, #"{"f":"alpha"}"#, .matches),
    Example(27, #"{"f":[{"anything-but":["a","b"]}]}"#, #"{"f":"c"}"#, .matches),
    Example(28, #"{"f":[{"anything-but":"a"}]}"#, #"{}"#, .doesNot),
    Example(29, #"{"f":[{"anything-but":"a"}]}"#, #"{"f":null}"#, .matches),
    Example(30, #"{"n":[{"anything-but":0}]}"#, #"{"n":1}"#, .matches),
    Example(31, #"{"f":[{"anything-but":{"prefix":"init"}}]}"#, #"{"f":"initial"}"#, .doesNot),
    Example(32, #"{"f":[{"anything-but":{"prefix":"init"}}]}"#, #"{"f":123}"#, .matches),
    Example(33, #"{"f":[{"anything-but":{"suffix":[".txt",".rtf"]}}]}"#, #"{"f":"a.png"}"#, .matches),
    Example(34, #"{"f":[{"anything-but":{"equals-ignore-case":["A","B"]}}]}"#, #"{"f":"b"}"#, .doesNot),
    Example(35, #"{"p":[{"anything-but":{"wildcard":"*/dir/*"}}]}"#, #"{"p":123}"#, .matches),
    Example(36, #"{"p":[{"anything-but":{"wildcard":""}}]}"#, #"{"p":"dir/x"}"#, .matches),
    Example(37, #"{"x":[{"exists":true}]}"#, #"{"x":0}"#, .matches),
    Example(38, #"{"x":[{"exists":true}]}"#, #"{"x":{"y":1}}"#, .doesNot),
    Example(39, #"{"x":[{"exists":false}]}"#, #"{"x":{"y":1}}"#, .matches),
    Example(40, #"{"x":[{"exists":true}]}"#, #"{"x":[]}"#, .doesNot),
    Example(41, #"{"list":{"id":[{"exists":true}]}}"#, #"{"list":[{"k":1},{"id":"z"}]}"#, .matches),
    Example(42, #"{"x":[{"exists":false},{"prefix":"a"}]}"#, #"{"x":"abc"}"#, .matches),
    Example(43, #"{"w":[{"wildcard":"a*c"}]}"#, #"{"w":"ac"}"#, .matches),
    Example(44, #"{"w":[{"wildcard":"a\\*c"}]}"#, #"{"w":"a*c"}"#, .matches),
    Example(45, #"{"w":[{"wildcard":""}]}"#, #"{"w":"x"}"#, .doesNot),
    Example(46, #"{"w":[{"wildcard":"a**"}]}"#, #"{}"#, .refused),
    Example(47, #"{"ip":[{"cidr":"10.0.0.0/24"}]}"#, #"{"ip":"10.0.0.255"}"#, .matches),
    Example(48, #"{"ip":[{"cidr":"10.0.0.0/24"}]}"#, #"{"ip":"10.0.1.0"}"#, .doesNot),
    Example(49, #"{"ip":[{"cidr":"2001:db8::/32"}]}"#, #"{"ip":"2001:db8:1::5"}"#, .matches),
    Example(50, #"{"$or":[{"a":[1]},{"b":[2]}]}"#, #"{"b":2}"#, .matches),
    Example(51, #"{"c":["x"],"$or":[{"a":[1]},{"b":[2]}]}"#, #"{"c":"y","a":1}"#, .doesNot),
    Example(52, #"{"$or":[{"a":[1]}]}"#, #"{"a":1}"#, .refused),
    Example(53, #"{"s":{"t":["r"]}}"#, #"{"s.t":"r"}"#, .matches),
    Example(54, #"{"s.t":["r"]}"#, #"{"s":{"t":"r"}}"#, .matches),
    Example(55, #"{"d":{"k":["v"]}}"#, #"{"d":"{\"k\":\"v\"}"}"#, .doesNot),
    Example(56, #"{"x":[]}"#, #"{}"#, .refused),
    Example(57, #"{"x":"a"}"#, #"{}"#, .refused),
    Example(58, #"{"x":[{"EXISTS":true}]}"#, #"{}"#, .refused),
    Example(59, #"{"x":[{"prefix":"a","suffix":"b"}]}"#, #"{}"#, .refused),
    Example(72, #"{"a":{"x":[1],"y":[2]}}"#, #"{"a":[{"x":1,"y":9},{"x":9,"y":2}]}"#, .doesNot),
    Example(73, #"{"f":[{"anything-but":["a",null]}]}"#, #"{}"#, .refused),
    Example(74, #"{"f":[{"anything-but":{"prefix":""}}]}"#, #"{}"#, .refused),
    Example(75, #"{"n":[{"numeric":[">",0,">",5]}]}"#, #"{}"#, .refused),
    Example(76, #"{"x":[{"anything-but":["a",5]}]}"#, #"{}"#, .refused),
    Example(77, #"{"x":[{"anything-but":[1,2]}]}"#, #"{"x":"1"}"#, .matches),
    Example(78, #"{"x":[{"equals-ignore-case":"STRASSE"}]}"#, #"{"x":"straße"}"#, .doesNot),
    Example(79, #"{"x":[{"equals-ignore-case":"ÄB"}]}"#, #"{"x":"äb"}"#, .matches),
    Example(80, #"{"x":[{"cidr":"10.0.0.1/32"}]}"#, #"{}"#, .refused),
    Example(81, #"{"x":[{"cidr":"10.0.0.1/31"}]}"#, #"{"x":"10.0.0.1"}"#, .matches),
    Example(82, #"{"x":[{"numeric":["<",5,">",0]}]}"#, #"{}"#, .refused),
    Example(83, #"{"a":{"b":[{"exists":false}]}}"#, #"{"a":[{"b":1},{"c":2}]}"#, .doesNot),
    Example(84, #"{"a":{"b":[{"exists":false}]}}"#, #"{"a":[{"d":1},{"c":2}]}"#, .matches),
    Example(85, #"{"a":[1]}"#, #"{"a":[[1,2],[3]]}"#, .matches),
    Example(86, #"{"x":[9007199254740993]}"#, #"{"x":9007199254740992}"#, .doesNot),
    Example(87, #"{"x":[300.0]}"#, #"{"x":3.0e2}"#, .matches),
    Example(88, #"{"x":[-0.0]}"#, #"{"x":0}"#, .matches),
    Example(89, #"{"x":["true"]}"#, #"{"x":true}"#, .doesNot),
    Example(90, #"{"a":[1],"a":[2]}"#, #"{"a":2}"#, .matches),
    Example(91, #"{"a":{"$or":[{"b":[1]},{"c":[2]}]}}"#, #"{"a":{"c":2}}"#, .matches),
    Example(92, #"{"x":[{"wildcard":"*.png"}]}"#, #"{"x":["a.jpg","b.png"]}"#, .matches),
    Example(93, #"{"x":[{"prefix":"5"}]}"#, #"{"x":55}"#, .doesNot),
    Example(94, #"{"a":[1]}"#, #"{"a":{"b":1}}"#, .doesNot),
    Example(95, #"{}"#, #"{}"#, .refused),
  ]

  @Test("an example comes out as AWS or its open engine has it", arguments: examples)
  func example(_ example: Example) {
    #expect(tryData(example.pattern, example.event) == example.outcome)
  }

  static let inserted = #"""
    {"eventID":"1","eventName":"INSERT","eventSource":"aws:dynamodb","dynamodb":{"ApproximateCreationDateTime":1.789651658E9,
    "Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"},"s":{"S":"paid"},"n":{"N":"101"},"k":{"S":"v"}},"SizeBytes":26}}
    """#
  static let removed = #"{"eventName":"REMOVE","dynamodb":{"Keys":{"id":{"S":"a"}},"OldImage":{"s":{"S":"paid"}}}}"#
  static let small = #"{"eventName":"MODIFY","dynamodb":{"NewImage":{"n":{"N":"42"}}}}"#

  static let changes = [
    Example(60, #"{"eventName":["INSERT"]}"#, inserted, .matches),
    Example(61, #"{"dynamodb":{"NewImage":{"s":{"S":["paid"]}}}}"#, inserted, .matches),
    Example(62, #"{"dynamodb":{"NewImage":{"s":{"S":["paid"]}}}}"#, removed, .doesNot),
    Example(63, #"{"dynamodb":{"NewImage":{"n":{"N":[{"numeric":[">",100]}]}}}}"#, inserted, .doesNot),
    Example(64, #"{"dynamodb":{"NewImage":{"n":{"N":["101"]}}}}"#, inserted, .matches),
    Example(65, #"{"dynamodb":{"NewImage":{"n":{"N":[{"anything-but":"101"}]}}}}"#, small, .matches),
    Example(65, #"{"dynamodb":{"NewImage":{"n":{"N":[{"anything-but":"101"}]}}}}"#, inserted, .doesNot),
    Example(66, #"{"dynamodb":{"NewImage":{"k":{"S":[{"exists":true}]}}}}"#, inserted, .matches),
    Example(67, #"{"dynamodb":{"NewImage":{"k":[{"exists":false}]}}}"#, inserted, .matches),
    Example(68, #"{"dynamodb":{"ApproximateCreationDateTime":[{"numeric":[">",0]}]}}"#, inserted, .matches),
  ]

  @Test("an example about a change of a DynamoDB table", arguments: changes)
  func change(_ example: Example) {
    #expect(tryChange(example.pattern, example.event) == example.outcome)
  }

  @Test("69: a pattern about the record alone matches data that is not JSON")
  func recordAlone() {
    let record = PlainRecord(body: Array("not json".utf8), fields: [.partitionKey: "p1"])
    #expect(tryRecord(#"{"partitionKey":["p1"]}"#, record) == .matches)
    #expect(tryRecord(#"{"partitionKey":["p2"]}"#, record) == .doesNot)
  }

  @Test("70: a pattern about the data drops data that is not JSON")
  func dataNotJSON() {
    #expect(tryRecord(#"{"data":{"t":["x"]}}"#, PlainRecord(body: Array("not json".utf8))) == .notJSON)
  }

  @Test("71: the data in a pattern must be an object", arguments: [#"{"data":"plain"}"#, #"{"data":["plain"]}"#])
  func dataMustBeObject(pattern: String) {
    #expect(problems([pattern]).map(\.path) == ["$.data"])
    #expect(problems([#"{"dynamodb":["plain"]}"#], source: .dynamodb).map(\.path) == ["$.dynamodb"])
  }
}
