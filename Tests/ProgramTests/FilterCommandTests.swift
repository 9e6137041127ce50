import Foundation
import Testing

@Suite("sluice filter test", .timeLimit(.minutes(10)))
struct FilterCommandTests {
  static let pattern = #"{"data":{"carrier":["UA"],"dep_delay":[{"numeric":[">",30]}]}}"#

  @Test("a pattern that matches is 0, one that does not is 1, and both say why")
  func matching() async throws {
    try await Workplace.with { place in
      let matches = try await place.sluice("filter", "test", Self.pattern, #"{"carrier":"UA","dep_delay":31}"#)
      #expect(matches.code == 0)
      #expect(
        matches.output == """
          match
            yes  data.carrier is "UA"; wanted "UA"
            yes  data.dep_delay is 31; wanted a number > 30

          """)
      let doesNot = try await place.sluice("filter", "test", Self.pattern, #"{"carrier":"UA","dep_delay":null}"#)
      #expect(doesNot.code == 1)
      #expect(doesNot.output.hasPrefix("no match\n"))
      #expect(doesNot.output.contains("no   data.dep_delay is null; wanted a number > 30"))
    }
  }

  @Test("pattern and event come from files too, and data that is not JSON is told as such")
  func files() async throws {
    try await Workplace.with { place in
      try place.write(Self.pattern, to: "pattern.json")
      try place.write("not json", to: "event")
      let ended = try await place.sluice("filter", "test", "pattern.json", "event", "--format", "json")
      #expect(ended.code == 1)
      #expect(ended.output.contains(#""verdict":"notJSON""#))
      #expect(ended.output.contains(#""passes":false"#))
    }
  }

  @Test("a whole record is unpacked, alone or in the event of a handler")
  func wholeRecord() async throws {
    try await Workplace.with { place in
      let data = Data(#"{"carrier":"UA","dep_delay":31}"#.utf8).base64EncodedString()
      let kinesis = #"{"partitionKey":"N1","data":"\#(data)","approximateArrivalTimestamp":1789651658.123}"#
      let record = #"{"kinesis":\#(kinesis),"awsRegion":"r1"}"#
      let time = #""approximateArrivalTimestamp":[1789651658.123]"#
      let pattern = #"{"partitionKey":["N1"],"awsRegion":["r1"],\#(time),"data":{"carrier":["UA"]}}"#
      for event in [record, #"{"Records":[\#(record)]}"#] {
        let ended = try await place.sluice("filter", "test", pattern, event)
        #expect(ended.code == 0, "\(ended)")
      }
      #expect(try await place.sluice("filter", "test", pattern, #"{"Records":[\#(record),\#(record)]}"#).code == 65)
      let key = try await place.sluice(
        "filter", "test", #"{"partitionKey":["N1"]}"#, #"{"carrier":"UA"}"#, "--partition-key", "N1")
      #expect(key.code == 0)
    }
  }

  @Test("a change of a table is matched as a whole")
  func change() async throws {
    try await Workplace.with { place in
      let change = #"{"eventName":"INSERT","dynamodb":{"NewImage":{"s":{"S":"paid"}}}}"#
      let arguments = ["filter", "test", #"{"eventName":["INSERT"]}"#, change, "--source"]
      let whole = try await place.sluice(arguments + ["dynamodb"])
      #expect(whole.code == 0, "\(whole)")
      let asData = try await place.sluice(arguments + ["kinesis"])
      #expect(asData.code == 1, "\(asData)")
    }
  }

  @Test("a bad pattern is 65 with all that is wrong with it, wrong usage is 64")
  func badInput() async throws {
    try await Workplace.with { place in
      let bad = try await place.sluice("filter", "test", #"{"data":{"x":[],"y":5}}"#, "{}")
      #expect(bad.code == 65)
      #expect(bad.errors.contains("$.data.x: []: Empty arrays are not allowed"))
      #expect(bad.errors.contains(#"$.data.y: 5: "y" must be an object or an array"#))
      #expect(try await place.sluice("filter", "test", "no such file", "{}").code == 65)
      #expect(try await place.sluice("filter", "test", Self.pattern).code == 64)
      #expect(try await place.sluice("filter", "test", Self.pattern, "{}", "--source", "sqs").code == 64)
      #expect(try await place.sluice("filter", "test", "-", "-").code == 64)
    }
  }
}
