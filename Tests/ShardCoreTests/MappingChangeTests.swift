import ShardCore
import StreamModel
import Testing

@Suite("Settings of a mapping change while its lanes run")
struct MappingChangeTests {
  // MARK: Another policy

  @Test("BatchSize: what is in flight stays, the next batch has the new size")
  func batchSize() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 9)
    lane.change(.plain(batchSize: 5))
    #expect(lane.delivered == [Batch(0, 2)])
    lane.succeed()
    #expect(lane.delivered == [Batch(0, 2), Batch(2, 5)])
  }

  @Test("BatchSize: a batch under retry keeps its records and its attempts")
  func frozenBatch() {
    var lane = LaneHarness(.plain(batchSize: 4), records: 9)
    lane.fail()
    lane.change(.plain(batchSize: 2))
    lane.advance(by: 1_000)
    #expect(lane.delivered == [Batch(0, 4), Batch(0, 4, attempt: 2)])
    lane.succeed()
    #expect(lane.delivered.last == Batch(4, 2))
  }

  @Test("the window: one that is open ends by the new length, at once if that is over")
  func window() {
    var lane = LaneHarness(.plain(window: 1_000))
    lane.append(1)
    lane.advance(by: 100)
    lane.change(.plain(window: 300))
    lane.advance(by: 199)
    #expect(lane.delivered == [])
    lane.advance(by: 1)
    #expect(lane.delivered == [Batch(0, 1)])
    lane.succeed()
    lane.append(1)
    lane.change(.plain())
    #expect(lane.delivered == [Batch(0, 1), Batch(1, 1)])
  }

  @Test("the window: a smaller batch is full now")
  func windowFull() {
    var lane = LaneHarness(.plain(batchSize: 10, window: 1_000))
    lane.append(4)
    lane.change(.plain(batchSize: 3, window: 1_000))
    #expect(lane.delivered == [Batch(0, 3)])
  }

  @Test("MaximumRetryAttempts: a batch that has had more leaves now, not when its retry is due")
  func fewerAttempts() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 3)
    for _ in 0..<6 {
      lane.fail()
      lane.advance(by: 1_000)
    }
    lane.fail()
    #expect(lane.failures == [])
    lane.change(.plain(batchSize: 2, attempts: 2))
    #expect(lane.failures.map(\.condition) == [.retryAttemptsExhausted])
    #expect(lane.failures.map(\.attempts) == [7])
    #expect(lane.delivered.last == Batch(2, 1))
  }

  @Test("MaximumRetryAttempts: one in flight leaves with its failure; with attempts left it waits as before")
  func attemptsInFlight() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.change(.plain(attempts: 0))
    lane.fail()
    #expect(lane.failures.map(\.attempts) == [1])
    lane = LaneHarness(.plain(), records: 1)
    lane.fail()
    lane.change(.plain(attempts: 1))
    #expect(lane.state == .backingOff)
    lane.advance(by: 1_000)
    lane.fail()
    #expect(lane.failures.map(\.attempts) == [2])
  }

  @Test("MaximumRetryAttempts: a batch that was read to leave waits for its retry when the settings are changed back")
  func attemptsChangedBack() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.fail()
    lane.advance(by: 1_000)
    lane.fail()
    lane.holdsReads = true
    lane.change(.plain(attempts: 1))
    let count = lane.heldReads.count
    lane.change(.plain(attempts: 5))
    if let read = lane.heldReads.last { lane.send(.readAnswered(lane.lane, lane.read(read))) }
    #expect(count == 1 && lane.deliveries.count == 2 && lane.failures.isEmpty && lane.state == .backingOff)
    lane.holdsReads = false
    lane.advance(by: 10_000)
    #expect(lane.delivered.last == Batch(0, 1, attempt: 3))
  }

  @Test("MaximumRecordAgeInSeconds: a batch that is too old by the new limit leaves now")
  func age() {
    var lane = LaneHarness(.plain(), records: 1)
    for _ in 0..<6 {
      lane.fail()
      lane.advance(by: 1_000)
    }
    lane.fail()
    lane.change(.plain(age: 5_000))
    #expect(lane.failures.map(\.condition) == [.recordAgeExceeded])
  }

  @Test("BisectBatchOnFunctionError: the next failure splits")
  func bisect() {
    var lane = LaneHarness(.plain(batchSize: 4), records: 4)
    var policy = LanePolicy.plain(batchSize: 4)
    policy.bisectsBatchOnError = true
    lane.change(policy)
    lane.fail()
    #expect(lane.delivered == [Batch(0, 4), Batch(0, 2)])
  }

  @Test("the handler's timeout: a delivery in flight keeps its deadline, the next has the new one")
  func timeout() {
    var policy = LanePolicy.plain(batchSize: 1)
    policy.handlerTimeoutMilliseconds = 1_000
    var lane = LaneHarness(policy, records: 2)
    policy.handlerTimeoutMilliseconds = 100
    lane.change(policy)
    lane.advance(by: 999)
    #expect(lane.cancelled == [])
    lane.succeed()
    lane.advance(by: 100)
    #expect(lane.cancelled == lane.deliveries.suffix(1).map(\.id))
  }

  @Test("fewer deliveries at once: those in flight end, and no lane gets a turn before")
  func permits() {
    var driver = PollerTests.Driver()
    let mapping = driver.poller.addMapping(.plain(batchSize: 1, inFlight: 3))
    for _ in 0..<4 { driver.open(mapping) }
    driver.send(.policyChanged(mapping, .plain(batchSize: 1, inFlight: 1)))
    #expect(driver.poller.permitsInUse(mapping) == 3)
    for lane in 0..<2 {
      driver.send(.readAnswered(LaneID(lane), .caughtUp))
      #expect(driver.reads == [])
    }
    driver.send(.readAnswered(LaneID(2), .caughtUp))
    #expect(driver.reads == [3])
    driver.send(.policyChanged(mapping, .plain(batchSize: 1, inFlight: 4)))
    driver.send(.shardChanged(LaneID(0)))
    #expect(driver.reads == [0])
  }

  // MARK: Closed and opened again

  @Test("a closed mapping ends what is in flight, stores it, and starts nothing until it is opened")
  func close() {
    var lane = LaneHarness(.plain(batchSize: 2), records: 6)
    lane.closeMapping()
    #expect(lane.closedCount == 0)
    lane.succeed()
    #expect(lane.closedCount == 1)
    #expect(lane.checkpoint == 2)
    lane.append(1)
    lane.advance(by: 60_000)
    #expect(lane.delivered == [Batch(0, 2)])
    lane.openMapping()
    #expect(lane.delivered == [Batch(0, 2), Batch(2, 2)])
    lane.openMapping()
    #expect(lane.delivered.count == 2)
  }

  @Test("closing waits for progress that is not stored yet")
  func closeWaits() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.holdsProgress = true
    lane.succeed()
    lane.closeMapping()
    #expect(lane.closedCount == 0)
    lane.send(.progressStored(lane.lane, revision: lane.heldProgress[0].revision))
    #expect(lane.closedCount == 1)
  }

  @Test("a batch under retry keeps its records, its attempts and its wait over a closing")
  func closeDuringRetry() {
    var lane = LaneHarness(.plain(batchSize: 3, attempts: 1), records: 9)
    lane.fail()
    lane.closeMapping()
    #expect(lane.closedCount == 1)
    #expect(lane.state == .resting)
    lane.change(.plain(batchSize: 7, attempts: 1))
    lane.openMapping()
    #expect(lane.state == .backingOff)
    lane.advance(by: 1_000)
    #expect(lane.delivered == [Batch(0, 3), Batch(0, 3, attempt: 2)])
    lane.fail()
    #expect(lane.failures.map(\.attempts) == [2])
    #expect(lane.delivered.last == Batch(3, 6))
  }

  @Test("a stopped mapping cancels what is in flight, which then has never been")
  func stop() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.closeMapping(isStopping: true)
    #expect(lane.cancelled.count == 1)
    lane.fail(.timedOut)
    #expect(lane.closedCount == 1)
    lane.openMapping()
    #expect(lane.delivered == [Batch(0, 1), Batch(0, 1)])
  }

  @Test("opened while something is in flight, the lane goes on as if it had never been closed")
  func reopenedEarly() {
    var lane = LaneHarness(.plain(batchSize: 1), records: 2)
    lane.closeMapping()
    lane.openMapping()
    lane.succeed()
    #expect(lane.closedCount == 0)
    #expect(lane.delivered == [Batch(0, 1), Batch(1, 1)])
  }

  @Test("a skip that is not done when the lane comes to rest is over: nobody gave up what came later")
  func skip() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.succeed()
    lane.holdsReads = true
    lane.skip(through: 5)
    lane.closeMapping()
    lane.send(.readAnswered(lane.lane, .caughtUp))
    lane.append(2)
    lane.holdsReads = false
    lane.openMapping()
    #expect(lane.failures == [])
    #expect(lane.delivered.last == Batch(1, 2))
  }

  @Test("a window that was open when the mapping was closed opens anew")
  func windowAfterClosing() {
    var lane = LaneHarness(.plain(window: 200))
    lane.append(1)
    lane.closeMapping()
    lane.advance(by: 10_000)
    lane.openMapping()
    lane.advance(by: 199)
    #expect(lane.delivered == [])
    lane.advance(by: 1)
    #expect(lane.delivered == [Batch(0, 1)])
  }

  @Test("closing one mapping leaves the others alone, and a lane opened meanwhile rests")
  func others() {
    var driver = PollerTests.Driver()
    let closed = driver.poller.addMapping(.plain())
    let other = driver.poller.addMapping(.plain())
    driver.send(.mappingCloseRequested(closed, isStopping: false))
    #expect(driver.effects == [.mappingClosed(closed)])
    driver.open(closed)
    #expect(driver.reads == [])
    driver.open(other)
    #expect(driver.reads == [1])
    driver.send(.mappingOpenRequested(closed))
    #expect(driver.reads == [0])
  }

  @Test("a child whose parents finish while its mapping is closed begins when it is opened")
  func family() {
    var driver = PollerTests.Driver()
    let mapping = driver.poller.addMapping(.plain())
    driver.open(mapping)
    driver.open(mapping, parents: [LaneID(0)])
    driver.send(.readAnswered(LaneID(0), .shardEnd(end: .zero)))
    driver.send(.mappingCloseRequested(mapping, isStopping: false))
    driver.send(.progressStored(LaneID(0), revision: 1))
    #expect(driver.effects.contains(.mappingClosed(mapping)))
    #expect(driver.reads == [])
    driver.send(.mappingOpenRequested(mapping))
    #expect(driver.reads == [1])
  }
}
