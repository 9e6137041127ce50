import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: bounded runs")
struct LaneBoundTests {
  private static func lane(
    _ change: (inout LanePolicy) -> Void = { _ in }, progress: LaneProgress = LaneProgress(), records: Int,
    bound: UInt64
  ) -> LaneHarness {
    var policy = LanePolicy.plain(batchSize: 4)
    change(&policy)
    return LaneHarness(policy, progress: progress, records: records, bound: RecordIndex(bound))
  }

  @Test("the last batch ends at the bound, and nothing behind it is delivered, whatever comes")
  func exact() {
    var lane = Self.lane(records: 9, bound: 6)
    #expect(lane.poller.lanesUnderWayToBound == 1)
    lane.succeed()
    #expect(lane.delivered == [Batch(0, 4), Batch(4, 2)])
    #expect(lane.poller.lanesUnderWayToBound == 1)
    lane.succeed()
    #expect(lane.state == .idle && lane.checkpoint == 6 && lane.poller.lanesUnderWayToBound == 0)
    lane.append(3)
    lane.advance(by: 100_000)
    #expect(lane.deliveries.count == 2 && lane.reads.allSatisfy { $0.from < RecordIndex(6) })
  }

  @Test("the end of the run waits for progress to be durable")
  func durable() {
    var lane = Self.lane(records: 2, bound: 2)
    lane.holdsProgress = true
    lane.succeed()
    #expect(lane.state == .idle && lane.poller.lanesUnderWayToBound == 1)
    if let held = lane.heldProgress.last { lane.send(.progressStored(lane.lane, revision: held.revision)) }
    #expect(lane.poller.lanesUnderWayToBound == 0)
  }

  @Test("with nothing before the bound a lane reads nothing", arguments: [0, 3] as [UInt64])
  func nothing(end: UInt64) {
    let lane = Self.lane(progress: LaneProgress(next: RecordIndex(3)), records: 5, bound: end)
    #expect(lane.state == .idle && lane.reads.isEmpty && lane.poller.lanesUnderWayToBound == 0)
  }

  @Test("a batch window does not wait at the bound: nothing comes that could join")
  func window() {
    var lane = Self.lane({ $0.windowMilliseconds = 10_000 }, records: 8, bound: 6)
    #expect(lane.delivered == [Batch(0, 4)])
    lane.succeed()
    #expect(lane.delivered.last == Batch(4, 2))
  }

  @Test("a batch that fails goes on with its retries; when it has left, the lane is at the bound")
  func failing() {
    var lane = Self.lane({ $0.maximumRetryAttempts = 1 }, records: 5, bound: 4)
    lane.fail()
    #expect(lane.poller.lanesUnderWayToBound == 1)
    lane.advance(by: 10_000)
    lane.fail()
    #expect(lane.failures.count == 1 && lane.delivered.last == Batch(0, 4, attempt: 2))
    #expect(lane.poller.lanesUnderWayToBound == 0 && lane.checkpoint == 4)
  }

  @Test("a batch under retry that reaches beyond the bound is cut there, with all its attempts again")
  func straddling() {
    var lane = LaneHarness(.plain(batchSize: 4), records: 6)
    lane.fail()
    let left = lane.stored.last
    var bounded = Self.lane(progress: left ?? LaneProgress(), records: 6, bound: 3)
    bounded.advance(by: 1_000)
    #expect(bounded.delivered == [Batch(0, 3)])
    bounded.succeed()
    #expect(bounded.poller.lanesUnderWayToBound == 0 && bounded.checkpoint == 3)
  }

  @Test("what waits for an operator does not hold up the end: a pause, a damaged block")
  func held() {
    var lane = Self.lane(records: 6, bound: 6)
    lane.pause()
    #expect(lane.poller.lanesUnderWayToBound == 1)
    lane.succeed()
    #expect(lane.state == .paused && lane.poller.lanesUnderWayToBound == 0 && lane.snapshot.next < RecordIndex(6))
    lane.resume()
    #expect(lane.poller.lanesUnderWayToBound == 1)
    var damaged = Self.lane(records: 0, bound: 6)
    damaged.damaged = 0..<2
    damaged.append(6)
    #expect(damaged.state == .stopped(block: .zero) && damaged.poller.lanesUnderWayToBound == 0)
  }

  @Test("an operator who gives up records reaches to the bound, not behind it", arguments: [0, 6] as [UInt64])
  func skipped(end: UInt64) {
    var lane = Self.lane(records: 9, bound: end)
    lane.skip(through: 7)
    if end > 0 { lane.fail() }
    let left = lane.failures.map { Batch(Int($0.extent.first.rawValue), $0.extent.count) }
    #expect(left == (end > 0 ? [Batch(0, 4), Batch(4, 2)] : []))
    #expect(lane.state == .idle && lane.snapshot.next == RecordIndex(end) && lane.poller.lanesUnderWayToBound == 0)
    #expect(lane.snapshot.skipsThrough == nil)
  }

  @Test("records that retention takes up to the bound and beyond are lost, and the lane is there")
  func retention() {
    var lane = Self.lane(records: 9, bound: 6)
    lane.base = 7
    lane.succeed()
    #expect(lane.lost == [3] && lane.poller.lanesUnderWayToBound == 0 && lane.deliveries.count == 1)
  }

  @Test("a closed shard, whose bound is behind its end, is finished")
  func shardEnd() {
    var lane = Self.lane(records: 3, bound: SequenceNumber.greatestIndex)
    lane.close()
    lane.succeed()
    #expect(lane.state == .finished && lane.poller.lanesUnderWayToBound == 0 && lane.checkpoint == 3)
  }

  // The wall clock of the harness begins at 1,000,000 ms, where a window of a second begins too.
  @Test(
    "a tumbling window that is over at the bound gets its final delivery at once: by time, or because the next record is one of a later window",
    arguments: [(2_000, false), (1_500, true)])
  func endedWindow(waiting: Int64, isFollowed: Bool) {
    var lane = Self.lane({ $0 = LanePolicy(tumblingWindowMilliseconds: 1_000) }, records: 2, bound: 2)
    lane.advance(by: waiting)
    if isFollowed { lane.append(1) }
    lane.give([1])
    #expect(lane.deliveries.last?.source == .windowEnd && lane.poller.lanesUnderWayToBound == 1)
    lane.fail()
    #expect(lane.poller.lanesUnderWayToBound == 1)
    lane.advance(by: 10_000)
    lane.give([])
    #expect(lane.stored.last?.window == nil && lane.poller.lanesUnderWayToBound == 0)
    #expect(lane.deliveries.allSatisfy { $0.extent.isEmpty || $0.extent.last < RecordIndex(2) })
  }

  @Test("a tumbling window may be over, and records of it stand behind the bound since the wall clock stepped back")
  func windowAfterStep() {
    var lane = Self.lane({ $0 = LanePolicy(tumblingWindowMilliseconds: 1_000) }, records: 2, bound: 2)
    lane.append(1)
    lane.advance(by: 2_000)
    lane.give([1])
    #expect(lane.deliveries.count == 1 && lane.state == .idle && lane.poller.lanesUnderWayToBound == 0)
    #expect(lane.stored.last?.window?.state == WindowState([1]))
  }

  @Test("a tumbling window that goes on behind the bound keeps its state for the next run, however late it is")
  func openWindow() {
    var lane = Self.lane(
      { $0 = LanePolicy(tumblingWindowMilliseconds: 1_000) }, records: 4, bound: 2)
    lane.give([1])
    #expect(lane.poller.lanesUnderWayToBound == 0)
    lane.advance(by: 100_000)
    #expect(lane.deliveries.count == 1 && lane.stored.last?.window?.state == WindowState([1]))
    let next = LaneHarness(
      LanePolicy(tumblingWindowMilliseconds: 1_000), progress: lane.stored.last ?? LaneProgress(), records: 4)
    #expect(next.deliveries.first?.extent.first == RecordIndex(2))
    #expect(next.deliveries.first?.window?.state == WindowState([1]))
  }

  @Test("parked keys go on until their records are settled, none of which stands behind the bound")
  func parked() {
    var lane = KeyHarness(.byKey(), "abacadaeaa", bound: RecordIndex(8))
    lane.fail(0, at: 0)
    lane.succeed(1)
    #expect(lane.parked == ["a": 4] && lane.lanesUnderWayToBound == 1)
    lane.advance(by: 1_000)
    lane.succeed(0)
    #expect(lane.delivered.last == [2, 4, 6] && lane.lanesUnderWayToBound == 1)
    lane.succeed(2)
    #expect(lane.parked == [:] && lane.lanesUnderWayToBound == 0)
    #expect(lane.delivered.joined().allSatisfy { $0 < 8 })
  }
}
