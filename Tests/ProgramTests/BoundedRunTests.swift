import Foundation
import Sluice
import Testing

@Suite("Bounded runs of the real program", .timeLimit(.minutes(10)))
struct BoundedRunTests {
  @Test("a run until a moment delivers what arrived before it, nothing else, and ends by itself")
  func until() async throws {
    try await Workplace.with(Setup { $0.batchSize = 2 }) { place in
      func run(until moment: String) async throws -> Ended {
        try await place.sluice(
          ["run", "--config", "sluice.yaml", "--until", moment], environment: ["LIFE": "0"])
      }
      #expect(await (try await place.start()).drain() == 0)
      try await place.put("one", "two", "three")
      let first = try await run(until: "now")
      #expect(first.code == 0 && first.output.contains("is settled, in 1 lane\n"), "\(first)")
      #expect(place.delivered.map(\.text) == ["one", "two", "three"])

      // The moment stands between the two puts.
      try await place.put("four")
      let moment = Date().addingTimeInterval(0.002)
      _ = try await eventually("the moment is over") { Date() > moment.addingTimeInterval(0.002) ? true : nil }
      try await place.put("five")
      let text = moment.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
      let second = try await run(until: text)
      #expect(second.code == 0 && second.output.contains("arrived before \(text)"), "\(second)")
      #expect(place.delivered.map(\.text) == ["one", "two", "three", "four"])
      let positions = try await place.ask([PositionReport].self, "positions", "show", "numbers-note")
      #expect(positions.map(\.recordsBehind) == [1])
      #expect(try await run(until: "now").code == 0)
      #expect(place.delivered.last?.text == "five" && place.delivered.count == 5)

      // What waits for an operator does not hold it up, and is told.
      let worker = try await place.start()
      #expect(try await place.sluice("pause", "numbers-note", "--shard", "0", "--yes").code == 0)
      #expect(await worker.drain() == 0)
      try await place.put("six")
      let held = try await run(until: "now")
      #expect(held.code == 1 && held.errors.contains("sluice explain numbers-note --shard 0"), "\(held)")
      #expect(place.delivered.count == 5)
      let future = try await run(until: "2999-01-01T00:00:00Z")
      #expect(future.code == 64 && future.errors.contains("which is in the future"), "\(future)")
    }
  }

  @Test("a batch that fails is tried again until it succeeds or leaves; then the run ends")
  func retries() async throws {
    let setup = Setup {
      $0.retries = 1
      $0.batchSize = 1
    }
    try await Workplace.with(setup) { place in
      #expect(await (try await place.start()).drain() == 0)
      try await place.put("raise", "after")
      let ended = try await place.sluice(
        ["run", "--config", "sluice.yaml", "--until", "now"], environment: ["LIFE": "0"])
      #expect(ended.code == 0, "\(ended)")
      #expect(place.delivered.map(\.text) == ["after"])
      let entries = try await place.ask([FailureReport].self, "failures", "list")
      #expect(entries.map(\.attemptsMade) == [2])
    }
  }

  @Test("records behind the bound are not given up in a bounded run, and a batch that is lets it end")
  func skip() async throws {
    let setup = Setup {
      $0.retries = -1
      $0.batchSize = 1
    }
    try await Workplace.with(setup) { place in
      #expect(await (try await place.start()).drain() == 0)
      try await place.put("raise")
      async let run = place.sluice(
        ["run", "--config", "sluice.yaml", "--until", "now"], environment: ["LIFE": "0"])
      // Before it listens nobody may look.
      let lane = try await eventually("the batch fails") {
        let ended = try await place.sluice("status", "--format", "json")
        return ended.code == 0 ? try await place.lanes().first { $0.state == .retrying } : nil
      }
      let behind = try #require(try await place.put("behind").shards.first?.lastSequenceNumber)
      let refused = try await place.sluice(
        "skip", "numbers-note", "--shard", lane.shard, "--through", behind, "--yes")
      #expect(refused.code != 0 && refused.errors.contains("behind the end of this run (--until)"), "\(refused)")
      #expect(try await place.sluice("skip", "numbers-note", "--shard", lane.shard, "--yes").code == 0)
      let ended = try await run
      #expect(ended.code == 0 && place.delivered.isEmpty, "\(ended)")
      #expect(try await place.failures().map(\.condition) == ["Skipped"])
    }
  }
}
