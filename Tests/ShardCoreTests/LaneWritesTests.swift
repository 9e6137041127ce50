import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: writes of handlers")
struct LaneWritesTests {
  private static func policy(_ batchSize: Int = 4) -> LanePolicy {
    var policy = LanePolicy.plain(batchSize: batchSize)
    policy.keepsWrites = true
    return policy
  }

  @Test("the writes of a delivery are kept if it counts, and only then")
  func counts() {
    var lane = LaneHarness(Self.policy(), records: 4)
    lane.fail()
    #expect(lane.keptWrites == [])
    lane.retry()
    lane.fail(at: 2)
    #expect(lane.keptWrites == [lane.deliveries[1].id])
    lane.succeed()
    #expect(lane.keptWrites == lane.deliveries.dropFirst().map(\.id))
  }

  @Test("a handler that was too late has written nothing, even if it succeeds")
  func late() {
    var lane = LaneHarness(Self.policy(), records: 1)
    lane.advance(by: 1_000)
    lane.succeed()
    #expect(lane.snapshot.failing?.lastFailure == .timedOut)
    #expect(lane.keptWrites == [])
  }

  @Test("an answer that does not fit the batch keeps nothing")
  func invalid() {
    var lane = LaneHarness(Self.policy(), records: 2)
    lane.answer(.failed(at: RecordIndex(7), position: 7))
    lane.retry()
    lane.answer(.failed(at: RecordIndex(0), position: 0))
    #expect(lane.keptWrites == [])
  }

  @Test("a redrive that succeeded stores progress, so that its writes have something to go with")
  func redrive() {
    var lane = LaneHarness(Self.policy())
    lane.redrive(5)
    let stored = lane.stored.count
    lane.succeed()
    #expect(lane.keptWrites == [lane.deliveries[0].id])
    #expect(lane.stored.count == stored + 1)
    lane.redrive(6)
    lane.fail()
    #expect(lane.keptWrites.count == 1 && lane.stored.count == stored + 1)
  }

  @Test("without writes to keep nothing is ordered")
  func plain() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.succeed()
    #expect(lane.keptWrites == [])
  }
}
