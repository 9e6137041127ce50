import LambdaRuntime
import StreamModel
import Testing

@Suite("Events and answers of tumbling windows")
struct WindowEventTests {
  private static let bounds = TimeWindow(
    start: WallTime(milliseconds: 1_789_651_650_000), end: WallTime(milliseconds: 1_789_651_660_000))

  private func invocation(_ records: RecordBatch?, _ state: String = "", early: Bool = false) -> WindowedBatch {
    WindowedBatch(
      origin: batch(count: 1).origin, records: records, window: Self.bounds, state: WindowState(Array(state.utf8)),
      isTerminatedEarly: early)
  }

  private func text(_ invocation: WindowedBatch) -> String {
    var buffer = EventBuffer()
    EventWriter(identity: EventIdentity(), stream: "flights").write(invocation, into: &buffer)
    return String(decoding: buffer.bytes, as: UTF8.self)
  }

  private let head =
    #","shardId":"shardId-000000000003","eventSourceARN":"#
    + #""arn:aws:kinesis:us-east-1:000000000000:stream/flights","#
    + #""window":{"start":"2026-09-17T13:27:30Z","end":"2026-09-17T13:27:40Z"},"state":"#

  @Test("the members of a window stand behind the records, in the order of AWS")
  func members() {
    let sample = batch(count: 2)
    let plain = String(decoding: event(sample), as: UTF8.self)
    #expect(
      text(invocation(sample)) == plain.dropLast() + head
        + #"{},"isFinalInvokeForWindow":false,"isWindowTerminatedEarly":false}"#)
    #expect(
      text(invocation(nil, #"{"a": 1.50}"#, early: true)) == #"{"Records":[]"# + head
        + #"{"a": 1.50},"isFinalInvokeForWindow":true,"isWindowTerminatedEarly":true}"#)
  }

  @Test("what a window adds to an event is known beforehand")
  func size() {
    let sample = batch(count: 1)
    let added = text(invocation(sample, #"{"a":1}"#)).utf8.count - event(sample).count - 7
    #expect(EventWriter.windowByteCount(for: EventIdentity(), stream: "flights") == added)
  }

  private func outcome(_ answer: String, for records: RecordBatch? = batch(count: 3)) throws -> WindowedOutcome {
    try AnswerReader(reportsItemFailures: true).outcome(of: Array(answer.utf8), for: invocation(records))
  }

  @Test(
    "the state is handed on as it was written",
    arguments: [
      (#"{"state":{}}"#, "{}"),
      (
        #" { "state" : {"n": 12345678901234567890.10, "t": "}\"]"} } "#,
        #"{"n": 12345678901234567890.10, "t": "}\"]"}"#
      ),
      (
        #"{"a":[1,{"state":{"no":1}}],"b":"\\\"state","st\u0061te":{"yes":[{}]},"batchItemFailures":[]}"#,
        #"{"yes":[{}]}"#
      ),
      (#"{"state":1,"state":{"last":true},"batchItemFailures":null}"#, #"{"last":true}"#),
    ])
  func state(answer: String, state: String) throws {
    #expect(try outcome(answer) == .succeeded(WindowState(Array(state.utf8))))
  }

  @Test(
    "an answer without an object as its state has failed",
    arguments: ["", "null", "{}", "[]", #"{"state":null}"#, #"{"state":"x"}"#, #"{"state":[]}"#, "{", #"{"State":{}}"#])
  func noState(answer: String) {
    for records in [batch(count: 1), nil] {
      #expect(throws: HandlerFailure.self) { try outcome(answer, for: records) }
    }
  }

  @Test("item failures stand beside the state; a final invocation has none")
  func itemFailures() throws {
    let sample = batch(count: 3)
    let answer = #"{"state":{},"batchItemFailures":[{"itemIdentifier":"\#(sample.sequenceNumber(at: 1))"}]}"#
    #expect(try outcome(answer, for: sample).failedAt == sample.sequenceNumber(at: 1))
    #expect(throws: HandlerFailure.self) { try outcome(answer, for: nil) }
    #expect(throws: HandlerFailure.self) { try outcome(#"{"state":{},"batchItemFailures":7}"#) }
    #expect(throws: HandlerFailure.self) { try outcome(#"{"errorType":"E","errorMessage":"m","state":{}}"#) }
  }
}
