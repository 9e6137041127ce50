import Foundation
import Sluice
import StreamModel
import Testing

/// Several lanes share each shard, in the real program with a handler in other processes.
@Suite("Parallel lanes", .timeLimit(.minutes(10)))
struct ParallelTests {
  private static let batchSize = 5
  private static let keyCount = 24

  private static func setup(factor: Int) -> Setup {
    Setup {
      $0.shards = 2
      // Slow enough that there is something in flight when a worker is killed.
      $0.command = #"["python3", "handler.py", "20"]"#
      $0.batchSize = batchSize
      $0.rules = ["ParallelizationFactor: \(factor)"]
    }
  }

  /// Each worker has another factor and is killed with something in flight in several lanes.
  @Test("kill -9 with a new factor each time: each key in order, nothing skipped, and only what was in flight twice")
  func killed() async throws {
    let factors = [4, 10, 3, 1, 6, 6, 2]
    try await Workplace.with(Self.setup(factor: 1)) { place in
      var dice = SplitMix64(seed: 7)
      var acknowledged = 0
      for (life, factor) in factors.enumerated() {
        try place.configure(Self.setup(factor: factor))
        let worker = try await place.start(life: life)
        for _ in 0..<10 {
          let numbers = acknowledged..<acknowledged + 40
          guard case .stored = try await worker.put(numbers.map { Self.record($0) }) else {
            Issue.record("a put was refused")
            return
          }
          acknowledged = numbers.upperBound
        }
        let goal = place.delivered.count + Int.random(in: 20...300, using: &dice)
        _ = try await eventually("\(goal) records are delivered") { place.delivered.count >= goal ? true : nil }
        await worker.kill()
      }
      try place.configure(Self.setup(factor: 4))
      let last = try await place.start(life: factors.count)
      try await place.isDrained()
      #expect(await last.drain() == 0)
      let repeats = Self.check(place.delivered, acknowledged: acknowledged)
      for (life, repeated) in repeats where life > 0 {
        let lanes = 2 * factors[life - 1]
        #expect(repeated <= lanes * (EventSourceMapping.unstoredBatchLimitOfProcesses + 1) * Self.batchSize)
      }
      print("kill -9 with factors \(factors): \(acknowledged) records, delivered again by life: \(repeats)")
    }
  }

  private static func record(_ number: Int) -> Packed {
    Packed("\(number)".utf8, key: "key \(number % keyCount)".utf8)
  }

  /// Goes through the lives of each key; returns how many records came again in each life.
  private static func check(_ delivered: [Delivered], acknowledged: Int) -> [Int: Int] {
    var next: [Int: Int] = [:]
    var repeats: [Int: Int] = [:]
    let lives = Dictionary(grouping: delivered, by: \.life).sorted { $0.key < $1.key }
    for (life, notes) in lives {
      let keys = Dictionary(grouping: notes.compactMap { Int($0.text) }) { $0 % keyCount }
      for (key, numbers) in keys {
        let first = numbers[0]
        let expected = (0..<numbers.count).map { first + $0 * keyCount }
        #expect(numbers == expected, "key \(key), life \(life): a gap, a repeat or disorder")
        let due = next[key] ?? key
        #expect(first <= due, "key \(key), life \(life) skips \(due) to \(first)")
        let end = first + numbers.count * keyCount
        repeats[life, default: 0] += (min(due, end) - min(first, due)) / keyCount
        next[key] = max(due, end)
      }
    }
    for key in 0..<keyCount { #expect(next[key] ?? 0 >= acknowledged, "key \(key) did not come to its end") }
    return repeats
  }

  @Test("a poisoned key holds up one lane, which operators see, skip and redrive by itself")
  func operators() async throws {
    let setup = Setup {
      $0.batchSize = 1
      $0.rules = ["ParallelizationFactor: 4"]
    }
    try await Workplace.with(setup) { place in
      let worker = try await place.start()
      try await place.put("raise", "raise", key: "poison")
      for key in 0..<12 { try await place.put("fine", key: "key \(key)") }
      let blocked = try await place.lane(is: .retrying)
      let lane = try #require(blocked.lane)
      _ = try await eventually("the other lanes are done") {
        try await place.lanes().count { $0.state == .idle && $0.backlogRecords == 0 } == 3 ? true : nil
      }
      #expect(blocked.laneCount == 4)
      let status = try await place.sluice("status")
      #expect(status.output.contains("BLOCKED, retrying (1 of 4 lanes)"), "\(status)")
      #expect(status.output.split(separator: "\n").count { $0.contains("shardId-") } == 1)
      let metrics = try await worker.get("/metrics").text
      #expect(metrics.contains(#"sluice_lane_blocked{mapping="numbers-note",shard="shardId-000000000000"} 1"#))
      #expect(metrics.contains(#"PolledEventCount{mapping="numbers-note"}"#))
      let explained = try await place.sluice("explain", "numbers-note", "--shard", "0")
      #expect(explained.output.contains("lane \(lane) of 4"), "\(explained)")
      #expect(explained.output.contains("sluice skip numbers-note --shard 0 --lane \(lane)"), "\(explained)")

      // A position belongs to one lane.
      let poisoned = try #require(blocked.batch?.firstSequenceNumber)
      let other = (lane + 1) % 4
      let refused = try await place.sluice(
        "skip", "numbers-note", "--shard", "0", "--lane", "\(other)", "--through", poisoned)
      #expect(refused.code == 65 && refused.errors.contains("that record is of lane \(lane)"), "\(refused)")
      let noLane = try await place.sluice("skip", "numbers-note", "--shard", "0", "--lane", "4")
      #expect(noLane.code == 65 && noLane.errors.contains("are 0 to 3"), "\(noLane)")
      let preview = try await place.sluice("skip", "numbers-note", "--shard", "0", "--through", poisoned)
      #expect(preview.output.contains("lane \(lane) gives up 1 record through \(poisoned)"), "\(preview)")
      #expect(preview.output.split(separator: "\n").count == 2)

      for _ in 0..<2 {
        _ = try await place.lane(is: .retrying)
        let skipped = try await place.sluice("skip", "numbers-note", "--shard", "0", "--yes")
        #expect(skipped.code == 0, "\(skipped)")
      }
      try await place.isDrained()
      #expect(place.delivered.count { $0.text == "fine" } == 12)
      let entries = try await place.failures()
      #expect(entries.map(\.records) == [1, 1])

      try place.write(Setup.handlerProgram.replacing(#"text == "raise""#, with: #"text == "never""#), to: "handler.py")
      _ = try await place.restart()
      #expect(try await place.sluice("failures", "redrive", "--yes").code == 0)
      _ = try await eventually("the entries are processed") {
        try await place.ask([FailureReport].self, "failures", "list").isEmpty ? true : nil
      }
      let redriven = place.delivered.filter { $0.text == "raise" }
      #expect(redriven.map(\.sequenceNumber) == redriven.map(\.sequenceNumber).sorted() && redriven.count == 2)
    }
  }
}
