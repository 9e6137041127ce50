import LambdaRuntime
import StreamModel
import TableChanges
import Testing

@Suite("Events of a DynamoDB stream")
struct ChangeEventTests {
  /// A batch of the table `orders`, whose stream was made at 2026-09-17T12:49:54.528Z.
  private static func changes(_ texts: [String], createdAtSeconds: UInt64 = 1_789_649_394) -> RecordBatch {
    var bytes: [UInt8] = []
    for text in texts {
      Array("k".utf8).withUnsafeBytes { key in
        Array(text.utf8).withUnsafeBytes { data in
          RecordLayout.append(partitionKey: key, data: data, explicitHashKey: nil, to: &bytes)
        }
      }
    }
    var builder = RecordRunBuilder(firstIndex: RecordIndex(10))
    let isAppended = bytes.withUnsafeBytes {
      builder.append(packed: $0, recordCount: texts.count, firstArrival: WallTime(milliseconds: 1_789_651_658_123))
    }
    precondition(isAppended)
    let origin = BatchOrigin(
      stream: "orders", kind: .dynamodb, streamCreatedAt: WallTime(milliseconds: 1_789_649_394_528),
      shard: ShardNumber(3), shardCreatedAtSeconds: createdAtSeconds, attempt: 1)
    return RecordBatch(origin: origin, run: builder.finish(), range: 0..<texts.count)
  }

  private static func event(_ batch: RecordBatch) -> String {
    var buffer = EventBuffer()
    EventWriter(identity: EventIdentity(), origin: batch.origin).write(batch, into: &buffer)
    return String(decoding: buffer.bytes, as: UTF8.self)
  }

  private static let insert =
    #"{"dynamodb": {"StreamViewType":"NEW_IMAGE", "NewImage":{"id":{"S":"test"}}, "Keys":{"id":{"S":"test"}}}, "eventName": "INSERT"}"#
  private static let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-09-17T12:49:54.528"

  @Test("what AWS's service adds to a change is added, in the order of AWS")
  func added() throws {
    let text = Self.event(Self.changes([Self.insert]))
    let start = text.prefix(#"{"Records":[{"eventID":""#.utf8.count + 32)
    let id = start.suffix(32)
    #expect(id.allSatisfy { $0.isHexDigit && !$0.isUppercase })
    #expect(
      text == """
        {"Records":[{"eventID":"\(id)","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb",\
        "awsRegion":"us-east-1","dynamodb":{"ApproximateCreationDateTime":1.789651658E9,"Keys":{"id":{"S":"test"}},\
        "NewImage":{"id":{"S":"test"}},"SequenceNumber":"178964939400000000000000000010","SizeBytes":12,\
        "StreamViewType":"NEW_IMAGE"},"eventSourceARN":"\(Self.arn)"}]}
        """)
  }

  @Test("what was put stays as it was put")
  func kept() {
    let whole = """
      {"eventID":"0123456789abcdef0123456789abcdef","eventName":"REMOVE","eventVersion":"1.0",\
      "eventSource":"aws:dynamodb","awsRegion":"eu-central-1","dynamodb":{"ApproximateCreationDateTime":1789651600,\
      "Keys":{"id":{"S":"a"}},"OldImage":{"id":{"S":"a"},"n":{"N":"1"}},"SequenceNumber":"4000000000000000012345",\
      "SizeBytes":14,"StreamViewType":"OLD_IMAGE"},\
      "userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"eventSourceARN":"arn:x"}
      """
    #expect(Self.event(Self.changes([whole])) == #"{"Records":[\#(whole)]}"#)
  }

  @Test("an eventID is the same whenever it is delivered, and of no other record or stream")
  func ids() throws {
    func ids(_ batch: RecordBatch) -> [Substring] {
      Self.event(batch).split(separator: #""eventID":""#).dropFirst().map { $0.prefix(32) }
    }
    let batch = Self.changes([Self.insert, Self.insert])
    #expect(ids(batch) == ids(batch))
    #expect(Set(ids(batch) + ids(Self.changes([Self.insert], createdAtSeconds: 1_789_649_395))).count == 3)
  }

  @Test("no change takes more of the event than its data and the overhead")
  func overhead() {
    let batch = Self.changes([Self.insert])
    let writer = EventWriter(identity: EventIdentity(), origin: batch.origin)
    let envelope = EventWriter.envelopeByteCount
    let one = Self.event(batch).utf8.count - envelope
    #expect(one <= writer.recordOverhead + Self.insert.utf8.count)
    #expect(one > writer.recordOverhead + Self.insert.utf8.count - 40)
    let many = Self.event(Self.changes(Array(repeating: Self.insert, count: 100))).utf8.count - envelope
    #expect(many <= 100 * (writer.recordOverhead + Self.insert.utf8.count))
  }

  @Test(
    "seconds are written as AWS writes them",
    arguments: [
      (1_789_651_658_123, "1.789651658E9"), (1_789_651_660_000, "1.78965166E9"), (1_800_000_000_000, "1.8E9"),
      (2_000_000_000_000, "2.0E9"), (1_000, "1.0"), (0, "0.0"), (9_999_999_000, "9999999.0"), (10_000_000_000, "1.0E7"),
    ])
  func seconds(milliseconds: Int64, text: String) {
    #expect(ChangeEvents.text(of: WallTime(milliseconds: milliseconds)) == text)
  }

  @Test("a partial failure names the sequence number of the event, that of the change or ours")
  func failures() throws {
    let given =
      #"{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}},"SequenceNumber":"4000000000000000012345","StreamViewType":"KEYS_ONLY"}}"#
    let batch = Self.changes([Self.insert, given, Self.insert, given])
    let reader = AnswerReader(reportsItemFailures: true)
    func outcome(_ id: String) throws -> HandlerOutcome {
      try reader.outcome(of: #"{"batchItemFailures":[{"itemIdentifier":"\#(id)"}]}"#.utf8, for: batch)
    }
    #expect(try outcome("178964939400000000000000000012") == .failed(at: batch.sequenceNumber(at: 2)))
    // Two were put with the same: what is delivered again begins with the first.
    #expect(try outcome("4000000000000000012345") == .failed(at: batch.sequenceNumber(at: 1)))
    for unknown in [
      "178964939400000000000000000014", "178964939400000000000000000011", batch.sequenceNumber(at: 0).description,
    ] {
      #expect(throws: HandlerFailure.self) { try outcome(unknown) }
    }
  }

  @Test("a tumbling window names the table's stream")
  func windows() {
    let batch = Self.changes([Self.insert])
    var buffer = EventBuffer()
    EventWriter(identity: EventIdentity(), origin: batch.origin).write(
      WindowedBatch(
        origin: batch.origin, records: batch, window: TimeWindow(start: .zero, end: WallTime(milliseconds: 10_000)),
        state: .empty, isTerminatedEarly: false), into: &buffer)
    let text = String(decoding: buffer.bytes, as: UTF8.self)
    #expect(text.hasPrefix(#"{"Records":[{"eventID":""#))
    #expect(
      text.hasSuffix(
        #"],"shardId":"shardId-000000000003","eventSourceARN":"\#(Self.arn)","window":{"start":"1970-01-01T00:00:00Z","#
          + #""end":"1970-01-01T00:00:10Z"},"state":{},"isFinalInvokeForWindow":false,"isWindowTerminatedEarly":false}"#
      ))
  }
}
