import Replays
import Testing

@Suite("Replays: what two runs made otherwise")
struct RunDifferenceTests {
  private static let head =
    #"{"handler":"h","mapping":"m","run":1,"seed":1,"settings":{"BatchSize":"10"},"speed":"1","stream":"s"}"#
  private static let end =
    #"{"departures":1,"ended":true,"failures":1,"invocations":2,"leftRecords":1,"milliseconds":5,"records":9,"unsettledLanes":[]}"#

  private func invocation(
    _ records: ClosedRange<Int>, _ result: String = "succeeded", answer: String = "{}", reported: Int? = nil
  ) -> String {
    let more = reported.map { #","reported":\#($0)"# } ?? ""
    return #"{"answer":"\#(answer)","attempt":1,"begunAt":0,"endedAt":0,"errorMessage":"bad","errorType":"E","#
      + #""invocation":1,"lane":0,"records":[[\#(records.lowerBound),\#(records.upperBound)]],"result":"\#(result)","#
      + #""shard":0\#(more)}"#
  }

  private func left(_ records: ClosedRange<Int>, _ condition: String) -> String {
    #"{"at":0,"attempts":1,"condition":"\#(condition)","first":0,"lane":0,"last":0,"left":1,"#
      + #""records":[[\#(records.lowerBound),\#(records.upperBound)]],"shard":0}"#
  }

  private func run(_ lines: [String]) throws -> RunFile {
    var lines = ([Self.head] + lines + [Self.end])[...]
    return try RunFile { lines.popFirst().map { Array($0.utf8)[...] } }
  }

  @Test("records that newly fail or succeed are told in stretches, with the error before they left")
  func outcomes() throws {
    let before = try run([
      invocation(0...4), invocation(5...9, "failed"), left(5...9, "RetryAttemptsExhausted"), invocation(10...19),
    ])
    let after = try run([
      invocation(0...6), invocation(7...19, "reported", reported: 12), invocation(12...19, "failed"),
      left(12...12, "GivenUpByRule"), invocation(13...18),
    ])
    let difference = RunDifference(before, after)
    #expect(!difference.isSame)
    #expect(difference.newlySucceeding.map { [$0.first, $0.last] } == [[5, 9]])
    #expect(difference.newlySucceeding.allSatisfy { $0.before == "RetryAttemptsExhausted: E: bad" })
    #expect(difference.newlyFailing.map { [$0.first, $0.last] } == [[12, 12], [19, 19]])
    #expect(difference.newlyFailing.map(\.after) == ["GivenUpByRule: E: bad", "unsettled"])
    let back = RunDifference(after, before)
    #expect(back.newlyFailing.map(\.count) == difference.newlySucceeding.map(\.count))
    #expect(RunDifference(before, before).isSame && RunDifference(after, after).isSame)
  }

  @Test("answers are compared where the same batch succeeded; another reason to fail is told")
  func answers() throws {
    let before = try run([
      invocation(0...4, answer: "a"), invocation(5...9, answer: "b"), left(10...10, "RetryAttemptsExhausted"),
    ])
    let after = try run([
      invocation(0...4, answer: "a"), invocation(5...9, answer: "c"), left(10...10, "RecordAgeExceeded"),
    ])
    let difference = RunDifference(before, after)
    #expect(difference.comparedAnswers == 2 && difference.answers.map(\.after) == ["c"])
    #expect(difference.failingOtherwise.map(\.after) == ["RecordAgeExceeded"])
    #expect(difference.newlyFailing.isEmpty && difference.newlySucceeding.isEmpty && difference.settings.isEmpty)
  }

  @Test(
    "what is not a run is refused with its line",
    arguments: [
      ([], "line 1: the file is empty"), (["{}"], "line 1: this is not a run file"),
      ([#"{"run":2}"#], "line 1: the run is of format 2"), ([head], "line 1: the run has no end"),
      ([head, "x"], "line 2: the line is none of a run file"), ([head, end, end], "line 3: something follows"),
    ])
  func refused(lines: [String], reason: String) {
    #expect {
      var left = lines[...]
      _ = try RunFile { left.popFirst().map { Array($0.utf8)[...] } }
    } throws: {
      "\($0)".contains(reason)
    }
  }
}
