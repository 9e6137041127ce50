import Foundation
import Sluice
import Testing

/// Commands that go on, and what a worker says to machines.
@Suite("What goes on and on", .timeLimit(.minutes(10)))
struct FollowingTests {
  @Test("tail prints records as they come, of shards that come later too")
  func tail() async throws {
    try await Workplace.with { place in
      _ = try await place.start()
      try await place.put("before")
      let tail = try place.follow("tail", "numbers", "--from", "trim-horizon")
      _ = try await tail.line(containing: "before")
      try await place.put("after")
      _ = try await tail.line(containing: "after")
      let middle = "170141183460469231731687303715884105728"
      #expect(
        try await place.sluice("streams", "split", "numbers", "--shard", "0", "--at", middle).code == 0)
      try await place.put("in a child")
      _ = try await tail.line(containing: "in a child")
      let words = tail.all.compactMap { line in ["before", "after", "in a child"].first { line.hasSuffix($0) } }
      #expect(words == ["before", "after", "in a child"])
    }
  }

  @Test("status --watch shows again and again what is new")
  func watch() async throws {
    try await Workplace.with { place in
      _ = try await place.start()
      let watch = try place.follow("status", "--watch")
      _ = try await watch.line(containing: "caught up")
      try await place.put("raise")
      _ = try await watch.line(containing: "BLOCKED, retrying")
    }
  }

  @Test("with --log-format json each line of the log is an object with time, level, logger and message")
  func jsonLog() async throws {
    try await Workplace.with { place in
      let command = "LIFE=0 exec '\(Program.path)' run --config sluice.yaml --listen 127.0.0.1:0 --log-format json 2>&1"
      let log = try place.follow(["/bin/sh", "-c", command])
      _ = try await log.line(containing: "ready")
      try await place.put("raise")
      _ = try await log.line(containing: "told to")
      for line in log.all {
        let object = try #require(
          try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String], "\(line)")
        for name in ["time", "level", "logger", "message"] { #expect(object[name]?.isEmpty == false, "\(line)") }
      }
    }
  }
}
