@testable import ShardCore
import StreamModel
import Testing

/// The invocations of the reference, one by one: four records, of which the second always fails.
@Suite("Shard lane: bisecting and partial failures")
struct LaneBisectTests {
  /// How the handler says that the second record failed.
  enum Verdict {
    case raises
    case reports
  }

  struct Case: CustomTestStringConvertible {
    var verdict: Verdict
    var bisects: Bool
    var attempts: Int?

    var testDescription: String {
      "\(verdict), \(bisects ? "bisecting" : "whole"), retries \(attempts.map(String.init) ?? "without end")"
    }

    /// The batch that can neither be cut nor split further, and what is delivered before it.
    var lead: [Batch] {
      switch (verdict, bisects) {
      case (.raises, false): []
      case (.raises, true): [Batch(0, 4), Batch(0, 2), Batch(0, 1)]
      case (.reports, false): [Batch(0, 4)]
      case (.reports, true): [Batch(0, 4), Batch(1, 3)]
      }
    }

    var stuck: Batch {
      switch (verdict, bisects) {
      case (.raises, false): Batch(0, 4)
      case (.reports, false): Batch(1, 3)
      case (_, true): Batch(1, 1)
      }
    }

    var trail: [Batch] { bisects ? [Batch(2, 2)] : [] }
  }

  static let cases = [Verdict.raises, .reports].flatMap { verdict in
    [false, true].flatMap { bisects in
      [0, 1, 3, nil].map { Case(verdict: verdict, bisects: bisects, attempts: $0) }
    }
  }

  @Test("the second of four records fails", arguments: cases)
  func secondOfFour(example: Case) {
    var lane = LaneHarness(.plain(attempts: example.attempts, bisects: example.bisects), records: 4)
    let rounds = (example.attempts ?? 5) + 1
    run(&lane, example.verdict)
    // Cutting and splitting do not wait.
    #expect(lane.milliseconds == 0)
    for _ in 1..<max(rounds, 2) {
      lane.advance(by: 1_000)
      run(&lane, example.verdict)
    }
    var expected = example.lead
    for attempt in 1...rounds { expected.append(Batch(example.stuck.first, example.stuck.count, attempt: attempt)) }
    guard let attempts = example.attempts else {
      #expect(lane.delivered == expected)
      #expect(lane.failures == [])
      return
    }
    expected += example.trail
    #expect(lane.delivered == expected)
    #expect(lane.failures.map(\.extent.first.rawValue) == [UInt64(example.stuck.first)])
    #expect(lane.failures.map(\.extent.count) == [example.stuck.count])
    #expect(lane.failures.map(\.attempts) == [attempts + 1])
    #expect(lane.checkpoint == 4)
  }

  /// Answers every delivery until the lane waits or is done.
  private func run(_ lane: inout LaneHarness, _ verdict: Verdict) {
    while lane.state == .delivering, let delivery = lane.deliveries.last {
      let holdsPoison = (delivery.extent.first.rawValue..<delivery.extent.end.rawValue).contains(1)
      if !holdsPoison {
        lane.succeed()
      } else if verdict == .reports {
        lane.fail(at: 1)
      } else {
        lane.fail()
      }
    }
  }

  @Test("halves are split further, the left one first, and the odd record goes right")
  func depthFirst() {
    var lane = LaneHarness(.plain(attempts: 0, bisects: true), records: 7)
    while lane.state == .delivering { lane.fail() }
    #expect(
      lane.delivered == [
        Batch(0, 7), Batch(0, 3), Batch(0, 1), Batch(1, 2), Batch(1, 1), Batch(2, 1), Batch(3, 4), Batch(3, 2),
        Batch(3, 1), Batch(4, 1), Batch(5, 2), Batch(5, 1), Batch(6, 1),
      ])
    #expect(lane.failures.map(\.extent.count) == Array(repeating: 1, count: 7))
    #expect(lane.checkpoint == 7)
  }

  @Test("throttles split nothing", arguments: [FailureKind.throttled, .unavailable])
  func throttled(kind: FailureKind) {
    var lane = LaneHarness(.plain(bisects: true), records: 4)
    lane.fail(kind)
    lane.advance(by: 100)
    #expect(lane.delivered == [Batch(0, 4), Batch(0, 4)])
  }

  @Test("a restart goes on with the half that was next")
  func restart() {
    var former = LaneHarness(.plain(bisects: true), records: 4)
    former.fail()
    former.succeed()
    #expect(former.delivered.last == Batch(2, 2))
    let progress = former.stored.last ?? LaneProgress()
    #expect(progress.pieces == [2])
    var lane = LaneHarness(.plain(bisects: true), progress: progress, records: 6)
    lane.succeed()
    #expect(lane.delivered == [Batch(2, 2), Batch(4, 2)])
  }

  @Test("a restart finds the failing half and the one behind it")
  func restartFailing() {
    var former = LaneHarness(.plain(bisects: true), records: 2)
    former.fail()
    former.fail()
    let progress = former.stored.last ?? LaneProgress()
    #expect(progress.failing?.extent.count == 1)
    #expect(progress.pieces == [1])
    var lane = LaneHarness(.plain(bisects: true), progress: progress, records: 3)
    lane.advance(by: 100)
    lane.succeed()
    lane.succeed()
    #expect(lane.delivered == [Batch(0, 1, attempt: 2), Batch(1, 1), Batch(2, 1)])
  }

  @Test("pieces of a batch that retention took are forgotten")
  func lost() {
    var lane = LaneHarness(.plain(bisects: true), records: 4)
    lane.fail()
    lane.fail()
    #expect(lane.delivered.last == Batch(0, 1))
    lane.base = 3
    lane.fail()
    lane.append(2)
    lane.advance(by: 100)
    #expect(lane.lost == [3])
    lane.succeed()
    // The first read asked for as many as the lost half had; then nothing is left of the batch.
    #expect(lane.delivered.suffix(2) == [Batch(3, 1), Batch(4, 2)])
  }

  @Test("what an operator gave up is not split")
  func skipped() {
    var lane = LaneHarness(.plain(bisects: true), records: 4)
    lane.skip(through: 1)
    lane.fail()
    #expect(lane.failures.map(\.condition) == [.skipped])
    #expect(lane.failures.map(\.extent.count) == [2])
    #expect(lane.delivered == [Batch(0, 4), Batch(2, 2)])
  }
}
