import Foundation
import Sluice
import StreamModel
import Testing

@Suite("A wall clock that steps", .timeLimit(.minutes(10)))
struct ClockTests {
  @Test("an hour back during a retry: the next attempts come in time, arrivals do not step back, nothing is lost")
  func stepsBack() async throws {
    try await Workplace.with(Setup { $0.retries = 6 }) { place in
      let clock = try await SteppingClock(in: place)
      let worker = try await place.start(more: clock.environment)
      try await place.put("raise")
      try await place.isRetried(2)
      try clock.step(byMilliseconds: -3_600_000)
      try await place.put("later")
      // A wait by the wall clock would go on for an hour.
      let entry = try #require(try await place.failures().first)
      #expect(entry.attemptsMade == 7)
      #expect(entry.records == 1)
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["later"])
      #expect(await worker.drain() == 0)

      // The next worker begins an hour before the last one ended.
      _ = try await place.start(more: clock.environment)
      try await place.put("last")
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["later", "last"])
      let arrivals = try await place.arrivals()
      #expect(arrivals.count == 3)
      #expect(arrivals == arrivals.sorted())
      #expect(try await place.ask([FailureReport].self, "failures", "list").count == 1)
    }
  }

  @Test("an hour ahead during a retry: a batch too old by that leaves with its payload, and what comes is taken")
  func stepsAhead() async throws {
    try await Workplace.with(Setup { $0.rules = ["MaximumRecordAgeInSeconds: 3000"] }) { place in
      let clock = try await SteppingClock(in: place)
      _ = try await place.start(more: clock.environment)
      try await place.put("raise")
      try await place.isRetried(1)
      try clock.step(byMilliseconds: 3_600_000)
      let entry = try #require(try await place.failures().first)
      #expect(entry.condition == "RecordAgeExceeded")
      try await place.put("later")
      try await place.isDrained()
      #expect(place.delivered.map(\.text) == ["later"])
    }
  }
}

/// A wall clock of programs that a test sets, see `Tests/Shims`.
struct SteppingClock {
  private let file: URL
  let environment: [String: String]

  init(in place: Workplace) async throws {
    file = place.folder.appending(path: "clock-step")
    environment = ["LD_PRELOAD": try await place.shim("clock"), "CLOCK_STEP_FILE": file.path]
    try step(byMilliseconds: 0)
  }

  /// From now on the clock is off by so much. The file stays the same one: it is mapped.
  func step(byMilliseconds step: Int64) throws {
    var bytes = Data()
    withUnsafeBytes(of: step) { bytes.append(contentsOf: $0) }
    if FileManager.default.fileExists(atPath: file.path) {
      let handle = try FileHandle(forWritingTo: file)
      try handle.write(contentsOf: bytes)
      try handle.close()
    } else {
      try bytes.write(to: file)
    }
  }
}

extension Workplace {
  /// Waits until the batch at the head has failed so many times.
  fileprivate func isRetried(_ attempts: Int) async throws {
    _ = try await eventually("it is retried") {
      try await lanes().contains { $0.attemptsMade >= attempts } ? true : nil
    }
  }

  /// When the records of the stream arrived, in their order.
  fileprivate func arrivals() async throws -> [Int64] {
    let ended = try await sluice("tail", "numbers", "--from", "trim-horizon", "--no-follow", "--format", "json")
    #expect(ended.code == 0)
    return try ended.output.split(separator: "\n").map {
      try JSONDecoder().decode(FailedRecord.self, from: Data($0.utf8)).arrival
    }
  }
}
