import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: operators")
struct LaneOperatorTests {
  @Test("a pause lets the delivery end and is stored")
  func pause() {
    var lane = LaneHarness(.plain(batchSize: 1), records: 2)
    lane.pause()
    #expect(lane.state == .delivering)
    lane.succeed()
    #expect(lane.state == .paused)
    #expect(lane.stored.last?.isPaused == true)
    lane.resume()
    #expect(lane.delivered.last == Batch(1, 1))
    #expect(lane.stored.last?.isPaused == false)
  }

  @Test("a damaged block that is given up counts its records as lost, and the lane goes on behind it")
  func skipDamage() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 0)
    lane.damaged = 2..<5
    lane.append(7)
    lane.succeed()
    #expect(lane.state == .stopped(block: RecordIndex(2)))
    lane.skipDamage(2, end: 5)
    #expect(lane.lost == [3])
    #expect(lane.delivered.last == Batch(5, 2))
    lane.succeed()
    #expect(lane.stored.last == LaneProgress(next: RecordIndex(7), lostToDamage: 3))
  }

  @Test("what retention took before a damaged block is counted apart from what the block costs")
  func skipDamageBehindLoss() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 0)
    lane.base = 2
    lane.damaged = 2..<5
    lane.append(7)
    lane.skipDamage(2, end: 5)
    #expect(lane.lost == [2, 3])
    #expect(lane.stored.last?.lostToRetention == 2)
    #expect(lane.stored.last?.lostToDamage == 3)
  }

  @Test("a window ends before a damaged block: what waits in it is delivered and then the lane stops")
  func damageBehindWindow() {
    var lane = LaneHarness(.plain(batchSize: 10, window: 100), records: 0)
    lane.damaged = 2..<5
    lane.append(2)
    #expect(lane.state == .windowing)
    lane.append(3)
    #expect(lane.delivered == [Batch(0, 2)])
    lane.succeed()
    #expect(lane.state == .stopped(block: RecordIndex(2)))
    lane.skipDamage(2, end: 5)
    #expect(lane.lost == [3])
  }

  @Test("only the block at which the lane stopped can be given up")
  func skipOtherDamage() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 2)
    lane.skipDamage(0, end: 2)
    #expect(lane.state == .delivering)
    lane.damaged = 2..<5
    lane.append(5)
    lane.succeed()
    lane.skipDamage(0, end: 5)
    lane.skipDamage(2, end: 2)
    #expect(lane.state == .stopped(block: RecordIndex(2)))
    #expect(lane.lost == [])
  }

  @Test("a paused lane is paused after a restart")
  func pausedRestart() {
    let lane = LaneHarness(.plain(), progress: LaneProgress(isPaused: true), records: 2)
    #expect(lane.state == .paused)
    #expect(lane.deliveries == [])
  }

  @Test("skipping the failing batch: it leaves with its attempts and the next one comes")
  func skipBatch() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 4)
    lane.fail()
    lane.skip(through: 1)
    #expect(lane.failures.map(\.condition) == [.skipped])
    #expect(lane.failures.map(\.attempts) == [1])
    #expect(lane.delivered.last == Batch(2, 2))
  }

  @Test("skipping a part of the failing batch: the rest is a new batch, not topped up")
  func skipPart() {
    var lane = LaneHarness(.plain(batchSize: 4), records: 6)
    lane.fail()
    lane.skip(through: 1)
    #expect(lane.failures.map(\.extent.count) == [2])
    #expect(lane.delivered.last == Batch(2, 2))
  }

  @Test("skipping beyond the failing batch: it leaves alone, the others follow in batches")
  func skipBeyond() {
    var lane = LaneHarness(.plain(batchSize: 3), records: 9)
    lane.fail()
    lane.skip(through: 6)
    #expect(
      lane.failures.map { Batch(Int($0.extent.first.rawValue), $0.extent.count, attempt: $0.attempts) }
        == [Batch(0, 3, attempt: 1), Batch(3, 3, attempt: 0), Batch(6, 1, attempt: 0)])
    #expect(lane.delivered.last == Batch(7, 2))
  }

  @Test("skipping what is in flight cancels it first, and a success still counts")
  func skipInFlight() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 4)
    lane.skip(through: 2)
    #expect(lane.cancelled.count == 1)
    lane.succeed()
    #expect(lane.failures.map(\.extent.first.rawValue) == [2])
    #expect(lane.delivered.last == Batch(3, 1))
  }

  @Test("records that are not there yet are not skipped in advance")
  func skipFuture() {
    var lane = LaneHarness(.plain(), records: 0)
    lane.skip(through: 5)
    lane.append(2)
    #expect(lane.failures == [])
    #expect(lane.delivered == [Batch(0, 2)])
  }

  @Test("a skip works while the lane is paused, and it stays paused")
  func skipPaused() {
    var lane = LaneHarness(.plain(), progress: LaneProgress(isPaused: true), records: 3)
    lane.skip(through: 0)
    #expect(lane.failures.count == 1)
    #expect(lane.state == .paused)
  }

  @Test("redrives stand between two batches, in the order of the requests")
  func redrives() {
    var lane = LaneHarness(.plain(batchSize: 1), records: 2)
    lane.redrive(8)
    lane.redrive(3)
    for _ in 1...3 { lane.succeed() }
    #expect(lane.deliveries.map(\.source) == [.shard, .failureEntry(8), .failureEntry(3), .shard])
  }

  @Test("redrives wait while a batch fails")
  func redriveWaits() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.fail()
    lane.redrive(1)
    #expect(lane.deliveries.count == 1)
    lane.advance(by: 100)
    lane.succeed()
    #expect(lane.deliveries.last?.source == .failureEntry(1))
  }

  @Test("a failed redrive takes those behind it along, and the lane goes on")
  func redriveFails() {
    var lane = LaneHarness(.plain())
    for entry in 1...3 as ClosedRange<UInt64> { lane.redrive(entry) }
    lane.fail()
    #expect(lane.redrives.map(\.entry) == [1, 2, 3])
    #expect(lane.redrives.allSatisfy { !$0.succeeded })
    lane.append(1)
    #expect(lane.deliveries.last?.source == .shard)
  }

  @Test("more redrives than may wait are turned down")
  func redriveLimit() {
    var lane = LaneHarness(.plain(), limits: PollerLimits(redriveLimit: 1), records: 1)
    lane.redrive(1)
    lane.redrive(2)
    #expect(lane.redrives == [.init(entry: 2, succeeded: false)])
  }
}
