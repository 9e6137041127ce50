@testable import Sluice
import Testing

/// In which order, and how fast, failure entries are delivered again at a rate.
@Suite("A redrive at a rate")
struct PacedRedriveTests {
  private func entry(_ number: UInt64, shard: String = "0", first: String, records: Int = 1) -> FailureReport {
    FailureReport(
      entry: number, mapping: "m", stream: "s", shard: shard, condition: "RetryAttemptsExhausted", createdAt: 0,
      firstSequenceNumber: first, lastSequenceNumber: first, records: records, firstArrival: 0, lastArrival: 0,
      attemptsMade: 1, attempts: [], attemptsOmitted: 0, events: [], redrives: 0)
  }

  private func next(_ pace: inout PacedRedrive, _ elapsed: Duration = .seconds(1_000_000)) -> FailureReport? {
    if case .redrive(let entry) = pace.next(at: elapsed) { entry } else { nil }
  }

  @Test("in each shard entries go in the order of their records, whatever their numbers")
  func order() {
    var pace = PacedRedrive(
      [entry(1, first: "13"), entry(2, shard: "1", first: "11"), entry(3, first: "12")], recordsPerSecond: 1)
    var order: [UInt64] = []
    while let entry = next(&pace) {
      order.append(entry.entry)
      pace.end(entry, succeeded: true)
    }
    #expect(order == [3, 1, 2])
    #expect(pace.succeeded == [3, 1, 2] && pace.succeededRecords == 3 && pace.failed.isEmpty && pace.left.isEmpty)
  }

  @Test("the next entry waits until the records before it have had their time")
  func rate() {
    var pace = PacedRedrive([entry(1, first: "1", records: 30), entry(2, first: "2")], recordsPerSecond: 10)
    guard let first = next(&pace, .zero) else {
      Issue.record("the first does not wait")
      return
    }
    pace.end(first, succeeded: true)
    guard case .wait(let due) = pace.next(at: .milliseconds(2_999)) else {
      Issue.record("the second does not wait")
      return
    }
    #expect(due == .seconds(3))
    #expect(next(&pace, due)?.entry == 2)
    #expect(pace.waitingCount == 0)
  }

  @Test("behind one that fails those of its shard stay, and other shards go on")
  func failure() {
    var pace = PacedRedrive(
      [entry(1, first: "1"), entry(2, first: "2"), entry(3, first: "3"), entry(4, shard: "1", first: "1")],
      recordsPerSecond: 100)
    while let entry = next(&pace) { pace.end(entry, succeeded: entry.entry != 2) }
    #expect(pace.succeeded == [1, 4])
    #expect(pace.failed == [2])
    #expect(pace.left == [3])
  }
}
