import LambdaRuntime
import StreamModel
import Testing

@Suite("Answers of handlers")
struct AnswerReaderTests {
  private let sample = batch(count: 4)
  private let reporting = AnswerReader(reportsItemFailures: true)

  private func failures(_ positions: Int...) -> String {
    let items = positions.map { #"{"itemIdentifier":"\#(sample.sequenceNumber(at: $0))"}"# }
    return #"{"batchItemFailures":[\#(items.joined(separator: ","))]}"#
  }

  @Test(
    "an answer that names no failure is success",
    arguments: [
      "", "\r", "null", "{}", "[]", #""""#, "  ", "17", #""done""#, "true", #"{"batchItemFailures":[]}"#,
      #"{"batchItemFailures":null}"#, #"{"statusCode":200}"#,
    ])
  func success(answer: String) throws {
    #expect(try reporting.outcome(of: answer.utf8, for: sample) == .succeeded)
  }

  @Test("the lowest of the records named is where the batch goes on")
  func lowest() throws {
    let outcome = try reporting.outcome(of: failures(3, 1, 2).utf8, for: sample)
    #expect(outcome == .failed(at: sample.sequenceNumber(at: 1)))
  }

  @Test("of imported records the sequence numbers that they had are reported, and those alone")
  func imported() throws {
    var sample = sample
    sample.origin.importedSequenceNumbers = ["1", "22", "333", "4444"]
    let outcome = try reporting.outcome(of: #"{"batchItemFailures":[{"itemIdentifier":"333"}]}"#.utf8, for: sample)
    #expect(outcome == .failed(at: sample.sequenceNumber(at: 2)))
    #expect(throws: HandlerFailure.self) { try reporting.outcome(of: failures(1).utf8, for: sample) }
  }

  @Test(
    "an id that names no record fails the whole batch",
    arguments: [
      #"{"batchItemFailures":[{"itemIdentifier":""}]}"#, #"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
      #"{"batchItemFailures":[{"itemIdentifier":17}]}"#, #"{"batchItemFailures":[{"itemIdentifier":"unknown"}]}"#,
      #"{"batchItemFailures":[{"wrongKey":"1"}]}"#, #"{"batchItemFailures":[null]}"#,
      #"{"batchItemFailures":"all"}"#, #"{"batchItemFailures":{}}"#,
      #"{"batchItemFailures":[{"itemIdentifier":"49678550650194360514240687840138543072338794381555269634"}]}"#,
      "{", "done", "{}}", #"{"batchItemFailures":[}"#,
    ])
  func invalid(answer: String) {
    #expect(kind { try reporting.outcome(of: answer.utf8, for: sample) } == .invalidResponse)
  }

  @Test("where every failure is named, all that are named are handed on")
  func every() throws {
    let reader = AnswerReader(reportsItemFailures: true, namesEveryFailure: true)
    let outcome = try reader.outcome(of: failures(3, 1).utf8, for: sample)
    #expect(outcome == .failedRecords([sample.sequenceNumber(at: 3), sample.sequenceNumber(at: 1)]))
    #expect(try reader.outcome(of: "{}".utf8, for: sample) == .succeeded)
  }

  @Test("one bad id among good ones fails the whole batch")
  func oneBad() {
    let answer = failures(1).dropLast(2) + #",{"itemIdentifier":"x"}]}"#
    #expect(kind { try reporting.outcome(of: answer.utf8, for: sample) } == .invalidResponse)
  }

  @Test("item failures are ignored where they are not asked for, but raising is not")
  func notReporting() throws {
    let reader = AnswerReader(reportsItemFailures: false)
    #expect(try reader.outcome(of: failures(1).utf8, for: sample) == .succeeded)
    #expect(kind { try reader.outcome(of: #"{"errorMessage":"no"}"#.utf8, for: sample) } == .error)
    #expect(kind { try reader.outcome(of: "garbage".utf8, for: sample) } == .invalidResponse)
  }

  @Test("an error that the handler reports comes with its trace")
  func raised() {
    let answer = #"{"errorType":"TypeError","errorMessage":"bad","stackTrace":["  File \"h.py\", line 3\n","x"]}"#
    #expect(
      throws: HandlerFailure(
        kind: .error, type: "TypeError", message: "bad", trace: ["  File \"h.py\", line 3", "x"])
    ) { try reporting.outcome(of: answer.utf8, for: sample) }
  }

  private func kind(_ body: () throws -> HandlerOutcome) -> FailureKind? {
    do {
      _ = try body()
      return nil
    } catch {
      return (error as? HandlerFailure)?.kind
    }
  }
}
