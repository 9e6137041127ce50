import StreamModel
import TableChanges
import Testing

@Suite("Changes of a table that are mended by hand")
struct ChangeEditTests {
  private static let events = ChangeEvents(
    region: "us-east-1", streamARN: "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-09-17T12:49:54.528")
  private static let number = SequenceNumber(
    shardCreatedAtSeconds: 1_700_000_000, shard: ShardNumber(0), index: RecordIndex(7))
  private static let arrival = WallTime(milliseconds: 1_700_000_123_456)

  private static let small = """
    {"eventName":"MODIFY","dynamodb":{"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"},"n":{"N":"2"}},\
    "OldImage":{"id":{"S":"a"},"n":{"N":"1"}},"StreamViewType":"NEW_AND_OLD_IMAGES"}}
    """

  private static func edited(_ text: String, of former: String = small) -> Result<String, ChangeProblem> {
    Result { () throws(ChangeProblem) in
      String(
        decoding: try ChangeRecord.edited(
          Array(text.utf8).span.bytes, inPlaceOf: Array(former.utf8).span.bytes, number, arrival: arrival, of: events),
        as: UTF8.self)
    }
  }

  private static func seen(_ data: String) -> String {
    var bytes: [UInt8] = []
    events.append(Array(data.utf8).span.bytes, number, arrival: arrival, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test("an image is mended: in the change as it was put, as a handler gets it, or in its part dynamodb")
  func forms() throws {
    let mended = Self.small.replacing(#""n":{"N":"2"}"#, with: #""n":{"N":"3"},"m":{"L":[]}"#)
    #expect(Self.edited(mended) == .success(mended))
    #expect(Self.edited(mended.replacing(",", with: ",\n  ").replacing("{", with: " { ") + "\n") == .success(mended))
    let part = mended.dropFirst(#"{"eventName":"MODIFY","dynamodb":"#.count).dropLast()
    #expect(Self.edited(String(part)) == .success(mended))
    // What a handler gets holds everything that was added; the size was counted for what it was.
    let event = Self.seen(mended)
    #expect(try Self.seen(Self.edited(event).get()) == event)
    // Of a change that AWS made, with the numbers that it gave.
    let whole = ChangeRecordTests.whole
    let other = whole.replacing(#""N":"2""#, with: #""N":"5""#)
    // The size that it had, and another program counted, is counted for what it is.
    #expect(
      Self.edited(other, of: whole)
        == .success(other.filter { !$0.isWhitespace }.replacing(#""SizeBytes":14"#, with: #""SizeBytes":15"#)))
  }

  @Test(
    "what else stands there stays, and what breaks a rule is named with its path and value",
    arguments: [
      (
        #""id":{"S":"a"}},"NewImage""#, #""id":{"S":"b"}},"NewImage""#,
        "dynamodb.Keys is {\"id\":{\"S\":\"b\"}}: an edit is"
      ),
      (
        #""NewImage":{"id":{"S":"a"}"#, #""NewImage":{"id":{"S":"b"}"#,
        "dynamodb.NewImage.id is {\"S\":\"b\"}: it is of the key"
      ),
      (#""N":"2""#, #""N":2"#, "dynamodb.NewImage.n.N is 2: N is a text"),
      (#""N":"2""#, #""N":"two""#, "dynamodb.NewImage.n.N is two: it is the text of a number"),
      (#""N":"2""#, #""Q":"2""#, "dynamodb.NewImage.n.Q is there: an attribute value is"),
      (#","OldImage":{"id":{"S":"a"},"n":{"N":"1"}}"#, "", "dynamodb.OldImage is missing: MODIFY with StreamViewType"),
      ("NEW_AND_OLD_IMAGES", "KEYS_ONLY", "dynamodb.NewImage is there: MODIFY with StreamViewType KEYS_ONLY has none"),
      ("MODIFY", "UPDATE", "eventName is \"UPDATE\": it is one of"),
      (#","StreamViewType":"NEW_AND_OLD_IMAGES""#, "", "dynamodb.StreamViewType is missing"),
      (#"{"eventName""#, #"{"eventID":"0123456789abcdef0123456789abcdef","eventName""#, "eventID is \"01234"),
      (#"{"Keys""#, #"{"SequenceNumber":"400000000000000001234","Keys""#, "dynamodb.SequenceNumber is \"40000"),
      (#"{"Keys""#, #"{"SizeBytes":99,"Keys""#, "dynamodb.SizeBytes is 99: the change has 15; left out, it is counted"),
      (#"{"eventName""#, #"{"more":1,"eventName""#, "more is there: it is none of the members"),
      (#"{"eventName""#, #"["eventName""#, "Data is"),
    ])
  func refused(part: String, instead: String, message: String) {
    let text = Self.small.replacing(part, with: instead, maxReplacements: 1)
    #expect(text != Self.small)
    switch Self.edited(text) {
    case .success(let data): Issue.record("\(data)")
    case .failure(let problem): #expect("\(problem)".hasPrefix(message), "\(problem)")
    }
  }

  @Test("the kind of a change stays, and what AWS said of it")
  func identity() {
    let insert = Self.small.replacing("MODIFY", with: "INSERT").replacing(
      #""OldImage":{"id":{"S":"a"},"n":{"N":"1"}},"#, with: "")
    for (text, former, message) in [
      (insert, Self.small, "eventName is \"INSERT\": an edit is of the images, and this stays \"MODIFY\""),
      (
        ChangeRecordTests.whole.replacing(#""SequenceNumber":"4000000000000000012345","#, with: ""),
        ChangeRecordTests.whole, "dynamodb.SequenceNumber is missing: an edit is of the images, and this stays \"4000"
      ),
    ] {
      switch Self.edited(text, of: former) {
      case .success(let data): Issue.record("\(data)")
      case .failure(let problem): #expect("\(problem)".hasPrefix(message), "\(problem)")
      }
    }
  }
}
