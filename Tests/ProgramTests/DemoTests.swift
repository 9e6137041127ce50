import Foundation
import Testing

@Suite("The demo", .timeLimit(.minutes(10)))
struct DemoTests {
  /// In this order, other lines between them.
  private static let story = Story.Step(
    command: "sluice demo",
    shown: [
      "1. Records go into ordered, durable shards",
      "…300 real flights from New York…",
      "2. A Python handler gets them in batches, and one flight was cancelled",
      "…■ BLOCKED, retrying…",
      "3. Why is it stuck, and what happens next?",
      "…error TypeError: unsupported operand type(s) for divmod()…",
      "…delay(flight)",
      "…outlook…RetryAttemptsExhausted…",
      "4. The batch uses up its attempts: out of the way, but not lost",
      "flights-delays (stream flights · 1 in failures…",
      "Entry 1: 10 records with payload, 5 attempts on record.",
      "…\"dep_time\":null…",
      "5. Mend the handler, and deliver the failures again, in order",
      "…delivered",
      "no failures",
      "Done in …",
    ])

  @Test("tells its whole story and leaves nothing behind")
  func demo() async throws {
    try await Workplace.with { place in
      let ended = try await place.sluice(["demo"], environment: ["TMPDIR": place.folder.path])
      #expect(ended.code == 0)
      #expect(Self.story.firstMissing(in: ended.output) == nil, "\(ended)")
      let left = try FileManager.default.contentsOfDirectory(atPath: place.folder.path)
      #expect(Set(left) == ["sluice.yaml", "handler.py"])
    }
  }
}
