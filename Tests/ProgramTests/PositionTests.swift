import Foundation
import Sluice
import StreamModel
import Testing

@Suite("Positions of the real program", .timeLimit(.minutes(10)))
struct PositionTests {
  @Test("seek brings records again and skips others, beside a worker and without one; a copy begins there")
  func seek() async throws {
    try await Workplace.with(Setup { $0.batchSize = 2 }) { place in
      let worker = try await place.start()
      try await place.put("one", "two", "three", "four")
      try await place.isDrained()
      let second = try #require(place.delivered.first { $0.text == "two" }).sequenceNumber.description
      let third = try #require(place.delivered.first { $0.text == "three" }).sequenceNumber.description

      // While it runs.
      let preview = try await place.ask(SeekReport.self, "positions", "seek", "numbers-note", "--sequence", second)
      #expect(!preview.isApplied && preview.deliveredAgain == 3)
      #expect(preview.lanes.first?.deliveredAgain?.firstSequenceNumber == second)
      #expect(place.delivered.count == 4)
      let moved = try await place.ask(
        SeekReport.self, "positions", "seek", "numbers-note", "--sequence", second, "--yes")
      #expect(moved.isApplied && moved.deliveredAgain == 3)
      _ = try await eventually("they come again") { place.delivered.count == 7 ? true : nil }
      #expect(place.delivered.dropFirst(4).map(\.text) == ["two", "three", "four"])

      // A batch under retry is not passed without a word, and what is said to do about it works.
      try await place.put("raise")
      let shard = try await place.lane(is: .retrying).shard
      let refused = try await place.sluice("positions", "seek", "numbers-note", "--latest", "--yes")
      #expect(refused.code == 65 && refused.errors.contains("sluice skip numbers-note --shard 0 --yes"))
      #expect(try await place.sluice("skip", "numbers-note", "--shard", shard, "--yes").code == 0)
      try await place.isDrained()
      let back = try await place.ask(
        SeekReport.self, "positions", "seek", "numbers-note", "--before-first-failure")
      #expect(back.deliveredAgain == 1)

      // Without a worker.
      #expect(await worker.drain() == 0)
      let before = try await place.ask([PositionReport].self, "positions", "show", "numbers-note")
      #expect(before.map(\.recordsBehind) == [0] && before.map(\.state) == [.notRunning])
      #expect(try await place.sluice("positions", "seek", "numbers-note", "--trim-horizon", "--yes").code == 0)
      let skip = try await place.sluice("positions", "seek", "numbers-note", "--sequence", third, "--yes")
      #expect(skip.code == 0 && skip.output.contains("skips 2 records"))
      let shown = try await place.ask([PositionReport].self, "positions", "show", "numbers-note")
      #expect(shown.map(\.next) == [third] && shown.map(\.recordsBehind) == [3])
      #expect(try await place.sluice("positions", "copy", "numbers-note", "copy", "--yes").code == 0)
      #expect(try await place.ask([PositionReport].self, "positions", "show", "copy").map(\.next) == [third])
      #expect(
        try await place.ask([AuditReport].self, "audit").map(\.action).filter { $0 != "skip" }
          == ["copy positions", "seek", "seek", "seek"])

      // The copy goes on from there; its configuration asks for the newest.
      try place.configure(
        Setup {
          $0.batchSize = 2
          $0.rules = ["name: copy", "StartingPosition: LATEST"]
        })
      _ = try await place.start(life: 1)
      _ = try await eventually("the copy has them") {
        place.delivered.filter { $0.life == 1 }.count == 2 ? true : nil
      }
      #expect(place.delivered.filter { $0.life == 1 }.map(\.text) == ["three", "four"])
    }
  }

  @Test("a seek says what it goes to, and no more than one thing")
  func usage() async throws {
    try await Workplace.with { place in
      for target in [[], ["--latest", "--trim-horizon"], ["--to", "yesterday"]] {
        let ended = try await place.sluice(["positions", "seek", "m"] + target)
        #expect(ended.code == 64)
      }
    }
  }
}
