import StreamModel
import TableChanges
import Testing

@Suite("Changes of a table: what a stream of them takes")
struct ChangeRecordTests {
  private static func problem(_ text: String) -> ChangeProblem? {
    do {
      try ChangeRecord.check(Array(text.utf8).span.bytes)
      return nil
    } catch {
      return error
    }
  }

  /// A change with everything that AWS puts into it.
  static let whole = """
    {"eventID":"0123456789abcdef0123456789abcdef","eventName":"MODIFY","eventVersion":"1.1",
     "eventSource":"aws:dynamodb","awsRegion":"eu-central-1","dynamodb":{"ApproximateCreationDateTime":1.789651658E9,
     "Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"},"n":{"N":"2"}},"OldImage":{"id":{"S":"a"},"n":{"N":"1"}},
     "SequenceNumber":"4000000000000000012345","SizeBytes":14,"StreamViewType":"NEW_AND_OLD_IMAGES"},
     "eventSourceARN":"arn:aws:dynamodb:eu-central-1:1:table/T/stream/2026-09-17T12:49:54.528"}
    """

  @Test(
    "the change of each event and view type passes",
    arguments: [
      whole,
      #"{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}},"StreamViewType":"KEYS_ONLY"}}"#,
      #"{"eventName":"REMOVE","dynamodb":{"Keys":{"id":{"N":"-1.5e3"}},"StreamViewType":"NEW_IMAGE"}}"#,
      #"{"eventName":"INSERT","dynamodb":{"Keys":{"h":{"B":"AAE="},"r":{"S":""}},"StreamViewType":"OLD_IMAGE"}}"#,
      """
      {"eventName":"REMOVE","userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},
       "dynamodb":{"Keys":{"id":{"S":"a"}},"OldImage":{"id":{"S":"a"}},"StreamViewType":"NEW_AND_OLD_IMAGES"}}
      """,
      """
      {"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}},"NewImage":{"s":{"SS":["a","b"]},"n":{"NS":["1"]},
       "b":{"BS":["AA=="]},"m":{"M":{"x":{"L":[{"BOOL":false},{"NULL":true}]}}},"e":{"L":[]}},"StreamViewType":"NEW_IMAGE"}}
      """,
    ])
  func passes(text: String) { #expect(Self.problem(text) == nil) }

  struct Broken: Sendable, CustomTestStringConvertible {
    var text: String
    var field: String
    var value: String
    var rule: String

    init(_ text: String, _ field: String, _ value: String, _ rule: String) {
      (self.text, self.field, self.value, self.rule) = (text, field, value, rule)
    }

    var testDescription: String { text }
  }

  /// A change of this item, with these members of `dynamodb` besides its keys.
  private static func insert(_ members: String, event: String = "INSERT") -> String {
    #"{"eventName":"\#(event)","dynamodb":{"Keys":{"id":{"S":"a"}},\#(members)}}"#
  }

  private static let keysOnly = #""StreamViewType":"KEYS_ONLY""#

  private static func image(_ attributes: String) -> String {
    insert(#""NewImage":{\#(attributes)},"StreamViewType":"NEW_IMAGE""#)
  }

  static let broken = [
    Broken("plain", "Data", "plain", "a change is a JSON object"),
    Broken(
      #"{"eventName" 1}"#, "Data", "not JSON (a character that cannot stand there, at byte 13)",
      "the data of a change is a JSON object"),
    Broken("[1]", "Data", "[1]", "a change is a JSON object"),
    Broken("{}", "eventName", "missing", "it is one of INSERT, MODIFY, REMOVE"),
    Broken(#"{"eventName":"insert"}"#, "eventName", #""insert""#, "it is one of INSERT, MODIFY, REMOVE"),
    Broken(
      #"{"eventName":"INSERT","eventName":"INSERT"}"#, "eventName", "there twice", "each member stands there once"),
    Broken(
      #"{"event":1}"#, "event", "there",
      "it is none of the members that AWS has here: eventID, eventName, eventVersion, eventSource, awsRegion, dynamodb, "
        + "userIdentity, eventSourceARN"),
    Broken(#"{"eventName":"INSERT"}"#, "dynamodb", "missing", "it holds the change"),
    Broken(#"{"eventName":"INSERT","dynamodb":[]}"#, "dynamodb", "[]", "it is an object"),
    Broken(#"{"eventName":"INSERT","dynamodb":{}}"#, "dynamodb.Keys", "missing", "they name the item"),
    Broken(
      #"{"eventName":"INSERT","eventSource":"aws:kinesis"}"#, "eventSource", #""aws:kinesis""#, "it is aws:dynamodb"),
    Broken(
      #"{"eventName":"INSERT","eventID":"ABC"}"#, "eventID", "ABC", "it has 32 lower-case hexadecimal digits"),
    Broken(
      #"{"eventName":"INSERT","dynamodb":{"Keys":{}}}"#, "dynamodb.Keys", "{}",
      "a key has one attribute, or two with a range key"),
    Broken(
      #"{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"BOOL":true}}}}"#, "dynamodb.Keys.id", "BOOL",
      "an attribute of a key has the type S, N or B"),
    Broken(
      #"{"eventName":"INSERT","dynamodb":{"Keys":{"id":"a"}}}"#, "dynamodb.Keys.id", #""a""#,
      "an attribute value is an object with one type of S, N, B, SS, NS, BS, M, L, NULL, BOOL"),
    Broken(
      #"{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}}}}"#, "dynamodb.StreamViewType", "missing",
      "it is one of NEW_AND_OLD_IMAGES, NEW_IMAGE, OLD_IMAGE, KEYS_ONLY"),
    Broken(
      insert(#""StreamViewType":"NEW_IMAGE""#), "dynamodb.NewImage", "missing",
      "INSERT with StreamViewType NEW_IMAGE has one"),
    Broken(
      insert(#""NewImage":{},"StreamViewType":"KEYS_ONLY""#), "dynamodb.NewImage", "there",
      "INSERT with StreamViewType KEYS_ONLY has none"),
    Broken(
      insert(#""OldImage":{},"NewImage":{},"StreamViewType":"NEW_AND_OLD_IMAGES""#), "dynamodb.OldImage", "there",
      "INSERT with StreamViewType NEW_AND_OLD_IMAGES has none"),
    Broken(
      insert(#""NewImage":{},"StreamViewType":"NEW_AND_OLD_IMAGES""#, event: "REMOVE"), "dynamodb.NewImage", "there",
      "REMOVE with StreamViewType NEW_AND_OLD_IMAGES has none"),
    Broken(image(#""n":{"N":1}"#), "dynamodb.NewImage.n.N", "1", "N is a text, also of a number"),
    Broken(image(#""n":{"N":"one"}"#), "dynamodb.NewImage.n.N", "one", "it is the text of a number"),
    Broken(image(#""n":{"N":"1 "}"#), "dynamodb.NewImage.n.N", "1 ", "it is the text of a number"),
    Broken(image(#""b":{"B":"A"}"#), "dynamodb.NewImage.b.B", "A", "it is base64"),
    Broken(
      image(#""x":{"S":"a","N":"1"}"#), "dynamodb.NewImage.x", "of several types",
      "an attribute value is an object "
        + "with one type of S, N, B, SS, NS, BS, M, L, NULL, BOOL"),
    Broken(image(#""x":{"SS":[]}"#), "dynamodb.NewImage.x.SS", "[]", "a set is not empty"),
    Broken(
      image(#""x":{"L":[{"S":"a"},{"M":{"y":{"S":1}}}]}"#), "dynamodb.NewImage.x.L.1.M.y.S", "1",
      "S is a text, also of a number"),
    Broken(
      insert(keysOnly + #","SizeBytes":0"#), "dynamodb.SizeBytes", "0", "it is a whole number of bytes, 1 or more"),
    Broken(insert(keysOnly + #","SizeBytes":"9""#), "dynamodb.SizeBytes", #""9""#, "it is a number"),
    Broken(
      insert(keysOnly + #","SequenceNumber":"12""#), "dynamodb.SequenceNumber", "12", "it has 21 to 40 digits"),
    Broken(
      insert(keysOnly + #","ApproximateCreationDateTime":1789651658123"#), "dynamodb.ApproximateCreationDateTime",
      "1789651658123", "it is whole seconds since 1970"),
    Broken(
      insert(keysOnly + #","ApproximateCreationDateTime":1.5"#), "dynamodb.ApproximateCreationDateTime", "1.5",
      "it is whole seconds since 1970"),
    Broken(
      insert(keysOnly + #","Table":"t""#), "dynamodb.Table", "there",
      "it is none of the members that AWS has here: ApproximateCreationDateTime, Keys, NewImage, OldImage, "
        + "SequenceNumber, SizeBytes, StreamViewType"),
    Broken(
      #"{"eventName":"INSERT","userIdentity":{"type":"Service","principalId":"x"}}"#, "userIdentity", "there",
      "only a REMOVE has one"),
    Broken(
      #"{"eventName":"REMOVE","userIdentity":{"Type":"Service","PrincipalId":"x"}}"#, "userIdentity",
      #"{"Type":"Service","PrincipalId":"x"}"#, "it is an object with the texts type and principalId"),
  ]

  @Test("what breaks a rule is named with its path, its value and the rule", arguments: broken)
  func refused(_ broken: Broken) {
    let problem = Self.problem(broken.text)
    #expect(problem?.field == broken.field)
    #expect(problem?.value == broken.value)
    #expect(problem?.rule == broken.rule)
  }

  @Test("lists and maps stand in one another 32 times at most, and deep data does not overflow the stack")
  func depth() {
    func nested(_ depth: Int) -> String {
      Self.image(
        #""x":"# + String(repeating: #"{"L":["#, count: depth) + #"{"S":""}"# + String(repeating: "]}", count: depth))
    }
    #expect(Self.problem(nested(31)) == nil)
    #expect(Self.problem(nested(32))?.rule == "lists and maps stand in one another 32 times at most")
    #expect(Self.problem(nested(400))?.rule == "lists and maps stand in one another 32 times at most")
  }

  @Test("changes of one item have one partition key, however they are written")
  func partitionKeys() throws {
    func key(_ keys: String) throws -> String {
      try ChangeRecord.partitionKey(
        of: Array(#"{"eventName":"INSERT","dynamodb":{"Keys":\#(keys),"StreamViewType":"KEYS_ONLY"}}"#.utf8).span.bytes)
    }
    #expect(try key(#"{"id":{"S":"a"}}"#) == #"{"id":{"S":"a"}}"#)
    #expect(try key(#"{ "r" : {"N": "1"}, "h":{"S":"a \" b"} }"#) == #"{"h":{"S":"a \" b"},"r":{"N":"1"}}"#)
    let long = try key(#"{"id":{"S":"\#(String(repeating: "k", count: 300))"}}"#)
    #expect(long.count == 32)
    #expect(try key(#"{"id":{"S":"\#(String(repeating: "k", count: 299))"}}"#) != long)
  }
}
