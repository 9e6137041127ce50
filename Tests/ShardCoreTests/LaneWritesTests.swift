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

  @Test("records that are done behind one that failed make the rest of the batch smaller, without a wait or an attempt")
  func named() {
    var lane = LaneHarness(Self.policy(), records: 4)
    lane.answer(.failedAmong(at: RecordIndex(1), position: 1, remaining: 2))
    #expect(lane.keptWrites == [lane.deliveries[0].id])
    #expect(lane.snapshot.next == RecordIndex(1))
    #expect(lane.stored.last?.pieces == [2])
    // Nobody here leaves out what is done: the batch has as many records as are left.
    #expect(lane.deliveries.last?.extent.count == 2 && lane.deliveries.last?.attempt == 1)
  }

  @Test("a skip that waited for the batch reads when it is known what of it is done")
  func skipAfterNamed() throws {
    var lane = LaneHarness(Self.policy(), records: 4)
    lane.skip(through: 3)
    lane.answer(.failedAmong(at: RecordIndex(1), position: 1, remaining: 2))
    #expect(lane.keptWrites == [lane.deliveries[0].id])
    let read = try #require(lane.reads.firstIndex { $0.through == RecordIndex(3) })
    #expect(lane.keptWritesBeforeRead[read] == 1)
  }

  @Test("if the first record failed and others did not, that is progress too; if all failed it is none")
  func namedFirst() {
    var lane = LaneHarness(Self.policy(), records: 4)
    lane.answer(.failedAmong(at: RecordIndex(0), position: 0, remaining: 3))
    #expect(lane.keptWrites.count == 1 && lane.snapshot.failing == nil)
    #expect(lane.deliveries.count == 2 && lane.deliveries.last?.extent.count == 3)
    lane.answer(.failedAmong(at: RecordIndex(0), position: 0, remaining: 3))
    #expect(lane.keptWrites.count == 1)
    #expect(lane.snapshot.failing?.attempts == 1)
    #expect(lane.snapshot.failing?.lastFailure == .reportedNoProgress)
  }

  @Test(
    "what does not fit the batch is no answer",
    arguments: [
      DeliveryAnswer.failedAmong(at: RecordIndex(4), position: 4, remaining: 1),
      .failedAmong(at: RecordIndex(1), position: 1, remaining: 4),
      .failedAmong(at: RecordIndex(1), position: 1, remaining: 0),
      .failedAmong(at: RecordIndex(0), position: 1, remaining: 1),
      .failedAmong(at: RecordIndex(1), position: 0, remaining: 1),
    ])
  func unfit(answer: DeliveryAnswer) {
    var lane = LaneHarness(Self.policy(), records: 4)
    lane.answer(answer)
    #expect(lane.keptWrites == [] && lane.snapshot.failing?.lastFailure == .invalidResponse)
  }

  @Test("an entry that was done in part stays, and what is done of it is kept")
  func redriveInPart() {
    var lane = LaneHarness(Self.policy())
    lane.redrive(5)
    let stored = lane.stored.count
    lane.answer(.failedAmong(at: RecordIndex(0), position: 0, remaining: 1))
    #expect(lane.keptWrites == [lane.deliveries[0].id])
    #expect(lane.stored.count == stored + 1)
  }

  @Test("without writes to keep nothing is ordered")
  func plain() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.succeed()
    #expect(lane.keptWrites == [])
  }
}
