import Destinations
import Foundation
import LambdaRuntime
import StreamModel
import Testing

@Suite("Failure documents")
struct DocumentTests {
  /// The document of the reference, with its times.
  private static func example(_ change: (inout FailureDocument) -> Void = { _ in }) -> FailureDocument {
    var document = FailureDocument(
      requestID: "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
      functionARN: "arn:aws:lambda:us-east-1:000000000000:function:F:alias", condition: "RetryAttemptsExhausted",
      approximateInvokeCount: 1, response: .functionError,
      timestamp: WallTime(milliseconds: 1_789_649_401_123),
      batch: FailureDocument.BatchInfo(
        kind: .kinesis, shardID: "shardId-000000000000", startSequenceNumber: "496", endSequenceNumber: "497",
        firstArrival: WallTime(milliseconds: 1_789_649_399_456),
        lastArrival: WallTime(milliseconds: 1_789_649_399_456), batchSize: 1,
        streamARN: "arn:aws:kinesis:us-east-1:000000000000:stream/S"))
    change(&document)
    return document
  }

  private static func text(_ document: FailureDocument, payload: [UInt8]? = nil) -> String {
    String(decoding: document.encoded(payload: payload), as: UTF8.self)
  }

  @Test("a queue's document of a Kinesis stream, byte for byte")
  func kinesis() {
    let expected = [
      #"{"requestContext":{"requestId":"c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5","#,
      #""functionArn":"arn:aws:lambda:us-east-1:000000000000:function:F:alias","#,
      #""condition":"RetryAttemptsExhausted","approximateInvokeCount":1},"#,
      #""responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"#,
      #""version":"1.0","timestamp":"2026-09-17T12:50:01.123Z","#,
      #""KinesisBatchInfo":{"shardId":"shardId-000000000000","#,
      #""startSequenceNumber":"496","endSequenceNumber":"497","#,
      #""approximateArrivalOfFirstRecord":"2026-09-17T12:49:59.456Z","#,
      #""approximateArrivalOfLastRecord":"2026-09-17T12:49:59.456Z","#,
      #""batchSize":1,"streamArn":"arn:aws:kinesis:us-east-1:000000000000:stream/S"}}"#,
    ].joined()
    #expect(Self.text(Self.example()) == expected)
  }

  @Test("of an asynchronous invocation, byte for byte; one that was never called has no response")
  func invocation() {
    var document = InvocationDocument(
      requestID: "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
      functionARN: "arn:aws:lambda:us-east-1:000000000000:function:F", condition: "RetriesExhausted",
      approximateInvokeCount: 3, event: Array(#"{"a":[1, 2]}"#.utf8),
      response: .error(type: "Exception", message: "a \"b\"", trace: ["line 1", "line 2"]),
      timestamp: WallTime(milliseconds: 1_789_649_401_123))
    let head = [
      #"{"version":"1.0","timestamp":"2026-09-17T12:50:01.123Z","#,
      #""requestContext":{"requestId":"c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5","#,
      #""functionArn":"arn:aws:lambda:us-east-1:000000000000:function:F:$LATEST","#,
      #""condition":"RetriesExhausted","approximateInvokeCount":3}"#,
    ].joined()
    let answer = [
      #","responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"#,
      #""responsePayload":{"errorMessage":"a \"b\"","errorType":"Exception","#,
      #""requestId":"c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5","stackTrace":["line 1","line 2"]}}"#,
    ].joined()
    let event = #","requestPayload":{"a":[1, 2]}"#
    #expect(String(decoding: document.encoded(), as: UTF8.self) == head + event + answer)
    #expect(String(decoding: document.encoded(includesPayload: false), as: UTF8.self) == head + answer)
    document.response = .result(Array("[1]".utf8))
    let result = #","responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":[1]}"#
    #expect(String(decoding: document.encoded(), as: UTF8.self) == head + event + result)
    document.response = nil
    #expect(String(decoding: document.encoded(), as: UTF8.self) == head + event + "}")
  }

  @Test("of a DynamoDB stream: its own block, arrivals in whole seconds")
  func dynamodb() {
    let text = Self.text(
      Self.example {
        $0.batch.kind = .dynamodb
        $0.batch.streamARN = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-09-17T12:49:54.528"
      })
    let end = [
      #""version":"1.0","timestamp":"2026-09-17T12:50:01.123Z","#,
      #""DDBStreamBatchInfo":{"shardId":"shardId-000000000000","#,
      #""startSequenceNumber":"496","endSequenceNumber":"497","#,
      #""approximateArrivalOfFirstRecord":"2026-09-17T12:49:59Z","#,
      #""approximateArrivalOfLastRecord":"2026-09-17T12:49:59Z","#,
      #""batchSize":1,"streamArn":"arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-09-17T12:49:54.528"}}"#,
    ].joined()
    #expect(text.hasSuffix(end), "\(text)")
  }

  @Test("records that were too old: no responseContext, and a count of one even if nobody was called")
  func tooOld() {
    let text = Self.text(
      Self.example {
        $0.condition = "RecordAgeExceeded"
        $0.approximateInvokeCount = 0
        $0.response = nil
      })
    #expect(
      text.contains(#""condition":"RecordAgeExceeded","approximateInvokeCount":1},"version":"1.0","timestamp":"#))
  }

  @Test("reported item failures: functionError is there, and null")
  func itemFailures() {
    let text = Self.text(Self.example { $0.response = .reportedItemFailures })
    #expect(text.contains(#","responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":null},"#))
  }

  @Test("an object's document: the event as an escaped text between version and timestamp")
  func payload() throws {
    let event = #"{"Records":[{"data":"a\"b\\c\n"}]}"#
    let text = Self.text(Self.example(), payload: Array(event.utf8))
    #expect(
      text.contains(
        #""version":"1.0","payload":"{\"Records\":[{\"data\":\"a\\\"b\\\\c\\n\"}]}","timestamp":"2026"#), "\(text)")
    let parsed = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(parsed["payload"] as? String == event)
  }

  @Test("an object's key, in UTC, with dots in its time")
  func objectKey() {
    let key = ObjectKey(
      mappingID: "4f6ab0c2-7b1e-3d2a-9d3c-5b6f1d2e3a4b", shardID: "shardId-000000000007",
      timestamp: WallTime(milliseconds: 1_789_649_401_123), documentID: "0b1c2d3e-4f50-3162-9384-a5b6c7d8e9f0")
    #expect(
      key.description
        == "aws/lambda/4f6ab0c2-7b1e-3d2a-9d3c-5b6f1d2e3a4b/shardId-000000000007/2026/09/17/"
        + "2026-09-17T12.50.01-0b1c2d3e-4f50-3162-9384-a5b6c7d8e9f0")
  }

  @Test(
    "moments of the calendar: leap days, turns of years and centuries, before 1970",
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
      (951_782_400_000, "2000-02-29T00:00:00.000Z"), (1_709_251_199_000, "2024-02-29T23:59:59.000Z"),
      (1_767_225_599_999, "2025-12-31T23:59:59.999Z"), (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
      (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
    ] as [(Int64, String)])
  func calendar(milliseconds: Int64, expected: String) {
    let text = Self.text(Self.example { $0.timestamp = WallTime(milliseconds: milliseconds) })
    #expect(text.contains("\"timestamp\":\"\(expected)\""))
  }

  @Test("ids are names: UUIDs of version 3, the same for the same text")
  func names() {
    let id = NameUUID.make("a")
    #expect(id == NameUUID.make("a"))
    #expect(id != NameUUID.make("b"))
    #expect(id.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-3[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
  }
}
