import ShardCore
import StreamModel
import Testing

@Suite("Records that come from a loop")
struct RecursiveLoopTests {
  private func policy(_ limit: Int? = 16, attempts: Int? = nil, window: Int64 = 0) -> LanePolicy {
    var policy = LanePolicy.plain(batchSize: 4, attempts: attempts)
    policy.windowMilliseconds = window
    policy.recursiveLoopLimit = limit.map { Lineage(hops: $0) }
    return policy
  }

  @Test("they leave without a delivery, and the others of their batch are delivered")
  func leave() {
    var lane = LaneHarness(policy())
    lane.hops = [0: 15, 2: 16, 3: 20]
    lane.pause()
    lane.append(6)
    lane.resume()
    #expect(lane.delivered == [Batch(0, 2)])
    lane.succeed()
    #expect(lane.failures.map(\.condition) == [.recursiveInvocation])
    #expect(lane.failures[0].extent.first == RecordIndex(2) && lane.failures[0].extent.count == 2)
    #expect(lane.failures[0].attempts == 0)
    #expect(lane.loops.map(\.lineage) == [Lineage(hops: 20)])
    #expect(lane.delivered.last == Batch(4, 2))
    lane.succeed()
    #expect(lane.checkpoint == 6)
  }

  @Test("without a limit they are delivered, and a limit counts from the moment it is set")
  func off() {
    var lane = LaneHarness(policy(nil, attempts: 5))
    lane.hops = [0: 255, 1: 1]
    lane.append(2)
    #expect(lane.delivered == [Batch(0, 2)])
    lane.fail()
    lane.change(policy(2, attempts: 5))
    lane.advance(by: 1_000)
    // The frozen batch was formed under no limit: its first record leaves, with the attempts that were.
    #expect(lane.failures.map(\.condition) == [.recursiveInvocation])
    #expect(lane.failures[0].extent.count == 1)
    #expect(lane.delivered.last == Batch(1, 1))
    lane.succeed()
    #expect(lane.checkpoint == 2)
  }

  @Test("they do not wait for a window, and end that of the records before them")
  func window() {
    var lane = LaneHarness(policy(window: 1_000))
    lane.hops = [0: 16, 2: 16]
    lane.append(1)
    #expect(lane.failures.count == 1)
    lane.append(1)
    #expect(lane.deliveries.isEmpty)
    lane.append(1)
    #expect(lane.delivered == [Batch(1, 1)])
    lane.succeed()
    #expect(lane.failures.count == 2 && lane.checkpoint == 3)
  }

  @Test("an entry that the store refuses comes again, and what an operator gives up leaves as that")
  func refusedAndSkipped() {
    var lane = LaneHarness(policy())
    lane.hops = [0: 16, 1: 16]
    lane.holdsFailures = true
    lane.append(1)
    #expect(lane.state == .storingFailure)
    lane.send(.failureRefused(lane.lane, ticket: lane.heldFailures[0]))
    lane.advance(by: 10_000)
    #expect(lane.heldFailures.count == 2)
    #expect(lane.loops.count == 1)
    lane.holdsFailures = false
    lane.pause()
    lane.send(.failureStored(lane.lane, ticket: lane.heldFailures[1]))
    lane.append(1)
    lane.skip(through: 1)
    #expect(lane.failures.map(\.condition) == [.skipped])
  }

  @Test("a redrive is delivered: an operator wants it")
  func redriven() {
    var lane = LaneHarness(policy())
    lane.hops = [0: 16]
    lane.append(1)
    lane.redrive(1)
    #expect(lane.deliveries.map(\.source) == [.failureEntry(1)])
  }

  @Test("behind a parked record of their key they leave in their turn, and say of which key they are")
  func parked() {
    var policy = LanePolicy.byKey(attempts: 3)
    policy.recursiveLoopLimit = Lineage(hops: 16)
    var lane = KeyHarness(policy, "ab")
    lane.hops = [2: 16, 3: 16]
    lane.fail(0, at: 0)
    lane.append("ab")
    #expect(lane.parked["a"] == 1)
    lane.succeed(1)
    #expect(lane.failures.map(\.extent.first) == [RecordIndex(3)])
    lane.advance(by: 1_000)
    lane.succeed(0)
    #expect(lane.failures.map(\.extent.first) == [RecordIndex(3), RecordIndex(2)])
    #expect(lane.failures.allSatisfy { $0.condition == .recursiveInvocation })
    #expect(lane.loopKeys.map { $0 == nil } == [true, false])
    #expect(lane.parked.isEmpty || lane.parked["a"] == 0)
  }
}
