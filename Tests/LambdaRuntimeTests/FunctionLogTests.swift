import Foundation
import StreamModel
import Testing

@testable import LambdaRuntime

@Suite("Logs of functions")
struct FunctionLogTests {
  private func with(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "sluice-\(UUID())").path
    defer {
      do {
        try FileManager.default.removeItem(atPath: folder)
      } catch {
        Issue.record(error)
      }
    }
    try body(FunctionLogFile.path(of: "orders", inStore: folder))
  }

  @Test("lines come out as they went in, with time and request id, also those of an earlier process")
  func lines() throws {
    try with { path in
      FunctionLogFile(path: path).append("one\tand\ttabs", requestID: "id-1")
      let file = FunctionLogFile(path: path)
      file.append("é", requestID: "")
      var reader = FunctionLogReader(path: path)
      let lines = try reader.next()
      #expect(lines.map(\.message) == ["one\tand\ttabs", "é"])
      #expect(lines.map(\.requestId) == ["id-1", ""])
      let time = try #require(lines.first?.time)
      let date = try Date(time, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
      #expect(abs(date.timeIntervalSinceNow) < 3_600)
      #expect(try reader.next().isEmpty)
      file.append("more", requestID: "id-2")
      #expect(try reader.next().map(\.message) == ["more"])
    }
  }

  @Test("a full file takes the place of the one before it, and who reads along misses nothing")
  func turning() throws {
    try with { path in
      let file = FunctionLogFile(path: path, byteLimit: 1_000)
      var follower = FunctionLogReader(path: path)
      #expect(try follower.next().isEmpty)
      var read: [String] = []
      for number in 0..<100 {
        file.append("line \(number)", requestID: "id")
        if number % 7 == 0 { read += try follower.next().map(\.message) }
      }
      read += try follower.next().map(\.message)
      #expect(read == (0..<100).map { "line \($0)" })
      var late = FunctionLogReader(path: path)
      let kept = try late.next().map(\.message)
      #expect(kept.last == "line 99")
      #expect(kept.count > 20 && kept.count < 70)
      #expect(kept == read.suffix(kept.count))
    }
  }

  @Test("values of variables that are secrets by their name are left out, the longer ones first")
  func secrets() {
    let mask = SecretMask([
      "DB_PASSWORD=correct horse", "API_TOKEN=correct horse battery", "AWS_SECRET_ACCESS_KEY=sluice",
      "TABLE=orders-table",
      "EMPTY_SECRET=", "no equals sign",
    ])
    #expect(mask.masked("sluice reads orders-table") == "sluice reads orders-table")
    #expect(mask.masked("a correct horse battery, a correct horse") == "a ***, a ***")
    let failure = HandlerFailure(kind: .error, type: "E", message: "no correct horse", trace: ["x", "correct horse?"])
    #expect(mask.masked(failure) == HandlerFailure(kind: .error, type: "E", message: "no ***", trace: ["x", "***?"]))
  }

  @Test(
    "members are redacted wherever they are, and nothing else is touched",
    arguments: [
      (#"{"a":1,"data":"aGVsbG8=","b":2.50}"#, #"{"a":1,"data":"***","b":2.50}"#),
      (#"{"Records":[{"kinesis":{"data" : {"x":["]",{}]} }}]}"#, #"{"Records":[{"kinesis":{"data" : "***" }}]}"#),
      (#"{"data":12.5}"#, #"{"data":"***"}"#),
      (#"{"data":null,"data":[]}"#, #"{"data":"***","data":"***"}"#),
      (#"{"x":"data","y":["data"],"data ":"data:1"}"#, #"{"x":"data","y":["data"],"data ":"data:1"}"#),
      (#"{"x":"\"data\":1","data":"a\\\"b"}"#, #"{"x":"\"data\":1","data":"***"}"#),
      (#"{"data":"broken off"#, #"{"data":"***""#),
    ])
  func redaction(event: String, wanted: String) {
    #expect(EventRedaction(members: ["data"]).text(of: event.utf8) == wanted)
    #expect(EventRedaction(members: []).text(of: event.utf8) == event)
  }
}
