import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: progress")
struct LaneProgressTests {
  @Test("one write at a time; newer progress waits and goes as the newest")
  func coalescing() {
    var lane = LaneHarness(.plain(batchSize: 1), records: 4)
    lane.holdsProgress = true
    for _ in 1...3 { lane.succeed() }
    #expect(lane.heldProgress.map(\.progress.next.rawValue) == [1])
    lane.send(.progressStored(lane.lane, revision: lane.heldProgress[0].revision))
    #expect(lane.heldProgress.map(\.progress.next.rawValue) == [1, 3])
  }

  @Test("the lane goes on without waiting, up to the bound, and holds there")
  func bound() {
    var lane = LaneHarness(.plain(batchSize: 1, unstored: 3), records: 9)
    lane.holdsProgress = true
    for _ in 1...3 { lane.succeed() }
    #expect(lane.state == .holdingForStore)
    #expect(lane.deliveries.count == 3)
    lane.send(.progressStored(lane.lane, revision: lane.heldProgress[0].revision))
    #expect(lane.state == .delivering)
  }

  @Test("refused progress is tried again later, with a revision of its own")
  func refused() {
    var lane = LaneHarness(.plain(batchSize: 1), records: 2)
    lane.holdsProgress = true
    lane.succeed()
    let first = lane.heldProgress[0].revision
    lane.send(.progressRefused(lane.lane, revision: first))
    #expect(lane.state == .delivering)
    lane.advance(by: 999)
    #expect(lane.heldProgress.count == 1)
    lane.advance(by: 1)
    #expect(lane.heldProgress.count == 2)
    #expect(lane.heldProgress[1].revision > first)
  }

  @Test("a shard's end is stored, and the lane still takes redrives")
  func shardEnd() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.close()
    lane.succeed()
    #expect(lane.state == .finished)
    #expect(lane.stored.last?.isFinished == true)
    lane.redrive(7)
    #expect(lane.deliveries.last?.source == .failureEntry(7))
    lane.succeed()
    #expect(lane.redrives == [.init(entry: 7, succeeded: true)])
    #expect(lane.state == .finished)
  }
}
