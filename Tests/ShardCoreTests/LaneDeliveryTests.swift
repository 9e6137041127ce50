import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: delivery")
struct LaneDeliveryTests {
  @Test("records are delivered in order, a batch at a time")
  func order() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 5)
    for _ in 1...3 { lane.succeed() }
    #expect(lane.delivered == [Batch(0, 2), Batch(2, 2), Batch(4, 1)])
    #expect(lane.state == .idle)
    #expect(lane.checkpoint == 5)
  }

  @Test("an idle lane delivers when the shard changes")
  func wakes() {
    var lane = LaneHarness(.plain())
    #expect(lane.state == .idle)
    lane.append(1)
    #expect(lane.delivered == [Batch(0, 1)])
  }

  @Test("a change during a read is not lost")
  func changeDuringRead() {
    var lane = LaneHarness(.plain())
    lane.holdsReads = true
    lane.append(1)
    lane.append(1)
    lane.holdsReads = false
    lane.send(.readAnswered(lane.lane, .caughtUp))
    #expect(lane.delivered == [Batch(0, 2)])
  }

  @Test("a late or repeated answer changes nothing")
  func lateAnswer() {
    var lane = LaneHarness(.plain(batchSize: 1), records: 2)
    let first = lane.deliveries[0].id
    lane.succeed()
    lane.answer(.succeeded, delivery: first)
    lane.answer(.failed(.error), delivery: first)
    #expect(lane.state == .delivering)
    #expect(lane.checkpoint == 1)
  }

  @Test("at its deadline a handler is cancelled, and even if it then succeeds it timed out")
  func deadline() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.advance(by: 999)
    #expect(lane.cancelled == [])
    lane.advance(by: 1)
    #expect(lane.cancelled == [lane.deliveries[0].id])
    #expect(lane.state == .cancelling)
    lane.succeed()
    #expect(lane.snapshot.failing?.lastFailure == .timedOut)
    #expect(lane.state == .backingOff)
  }

  @Test("the records before a partial failure are settled and the rest is a new batch, at once and not topped up")
  func partial() {
    var lane = LaneHarness(.plain(batchSize: 4, attempts: 1), records: 4)
    lane.append(3)
    lane.fail(at: 1)
    #expect(lane.delivered == [Batch(0, 4), Batch(1, 3)])
    #expect(lane.checkpoint == 1)
    lane.succeed()
    #expect(lane.delivered.last == Batch(4, 3))
  }

  @Test("a failure at the first record is no progress: an attempt of the same batch")
  func noProgress() {
    var lane = LaneHarness(.plain(attempts: 3), records: 3)
    lane.fail(at: 0)
    #expect(lane.snapshot.failing?.lastFailure == .reportedNoProgress)
    lane.advance(by: 100)
    #expect(lane.delivered == [Batch(0, 3), Batch(0, 3, attempt: 2)])
  }

  @Test("a failure outside the batch is an invalid response", arguments: [1, 5, 99] as [UInt64])
  func outside(index: UInt64) {
    var lane = LaneHarness(.plain(), progress: LaneProgress(next: RecordIndex(2)), records: 5)
    lane.fail(at: index)
    #expect(lane.snapshot.failing?.lastFailure == .invalidResponse)
  }

  @Test("retention takes records before the lane comes to them: they are counted and the lane goes on")
  func lost() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 2)
    lane.append(6)
    lane.base = 5
    lane.succeed()
    #expect(lane.lost == [3])
    #expect(lane.delivered.last == Batch(5, 2))
    #expect(lane.stored.last?.lostToRetention == 3)
  }

  @Test("a failing batch that retention has cut is a new batch")
  func cutByRetention() {
    var lane = LaneHarness(.plain(batchSize: 3, attempts: 5), records: 3)
    lane.fail()
    lane.base = 1
    lane.advance(by: 100)
    #expect(lane.delivered == [Batch(0, 3), Batch(1, 2)])
  }

  @Test("what retention has left of a failing batch is no larger than a batch may be by now")
  func cutByRetentionAfterChange() {
    var lane = LaneHarness(.plain(batchSize: 3, attempts: 5), records: 3)
    lane.fail()
    lane.base = 1
    lane.change(.plain(batchSize: 1, attempts: 5))
    lane.advance(by: 100)
    #expect(lane.lost == [1])
    #expect(lane.delivered == [Batch(0, 3), Batch(1, 1)])
  }

  @Test("a damaged block stops the lane until it is resumed")
  func corrupted() {
    var lane = LaneHarness(.plain())
    lane.holdsReads = true
    lane.append(1)
    lane.send(.readAnswered(lane.lane, .corrupted(block: .zero)))
    #expect(lane.state == .stopped(block: .zero))
    lane.holdsReads = false
    lane.resume()
    #expect(lane.delivered == [Batch(0, 1)])
  }

  @Test("a store that cannot be read is asked again later")
  func unavailable() {
    var lane = LaneHarness(.plain())
    lane.holdsReads = true
    lane.append(1)
    lane.send(.readAnswered(lane.lane, .unavailable))
    lane.holdsReads = false
    lane.advance(by: 999)
    #expect(lane.delivered == [])
    lane.advance(by: 1)
    #expect(lane.delivered == [Batch(0, 1)])
  }
}
