import Destinations
import StreamModel
import StreamStore
import Testing

@Suite("Dead letters")
struct DeadLetterTests {
  private func attempt(_ kind: FailureKind, _ message: String, type: String = "E") -> AttemptRecord {
    AttemptRecord(
      startedAt: .zero, durationMilliseconds: 0, kind: kind, type: type, message: message, trace: [], requestID: "id")
  }

  @Test(
    "the code is what Lambda would have answered",
    arguments: [
      (FailureKind.error, "E", 200), (.timedOut, "E", 200), (.exited, "E", 200), (.invalidResponse, "E", 200),
      (.throttled, "E", 429), (.unavailable, "E", 500), (.unavailable, "RecursiveInvocationException", 400),
      (.payloadTooLarge, "E", 413),
    ])
  func codes(kind: FailureKind, type: String, code: Int) {
    let letter = DeadLetter(requestID: "id", lastAttempt: attempt(kind, "m", type: type), event: [])
    #expect(letter.errorCode == code && letter.errorMessage == "m")
  }

  @Test("of a message the first 1,024 bytes, in whole characters; without an attempt there is none")
  func message() {
    let long = String(repeating: "é", count: 600)
    let letter = DeadLetter(requestID: "id", lastAttempt: attempt(.error, "x" + long), event: [])
    #expect(letter.errorMessage?.utf8.count == 1_023)
    #expect(letter.errorMessage == "x" + String(repeating: "é", count: 511))
    let whole = String(repeating: "é", count: 512)
    #expect(DeadLetter(requestID: "i", lastAttempt: attempt(.error, whole), event: []).errorMessage == whole)
    let untried = DeadLetter(requestID: "id", lastAttempt: nil, event: [1])
    #expect(untried.attributes.map(\.name) == ["RequestID"] && untried.event == [1])
    #expect(String(decoding: untried.encodedAttributes, as: UTF8.self) == #"{"RequestID":"id"}"#)
  }

  @Test("the attributes as headers and as JSON")
  func attributes() {
    let letter = DeadLetter(requestID: "id", lastAttempt: attempt(.error, "100% \"é\"\nend"), event: [])
    #expect(letter.headers.map(\.name) == ["RequestID", "ErrorCode", "ErrorMessage"])
    #expect(letter.headers.map(\.value) == ["id", "200", "100%25 \"%C3%A9\"%0Aend"])
    #expect(
      String(decoding: letter.encodedAttributes, as: UTF8.self)
        == #"{"RequestID":"id","ErrorCode":200,"ErrorMessage":"100% \"é\"\nend"}"#)
  }
}
