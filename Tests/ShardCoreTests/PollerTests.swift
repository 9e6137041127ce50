import ShardCore
import StreamModel
import Testing

@Suite("Poller")
struct PollerTests {
  /// A poller whose orders are only looked at.
  struct Driver {
    var poller = Poller()
    var random = SystemRandomNumberGenerator()
    var now = Now(monotonic: .zero, wall: WallTime(milliseconds: 1_000))
    var effects: [PollerEffect] = []

    mutating func send(_ event: PollerEvent) {
      effects.removeAll()
      poller.step(event, at: now, random: &random, effects: &effects)
    }

    mutating func open(_ mapping: MappingID, parents: [LaneID] = [], progress: LaneProgress = LaneProgress()) {
      send(.laneOpened(LaneOpening(mapping: mapping, parents: parents, progress: progress)))
    }

    mutating func answer(_ lane: Int, count: Int, from first: UInt64 = 0) {
      let extent = BatchExtent(
        first: RecordIndex(first), count: count, firstArrival: now.wall, lastArrival: now.wall, payloadBytes: 1)
      send(.readAnswered(LaneID(lane), .records(ReadResult(extent: extent, isFull: true))))
    }

    var reads: [Int] {
      effects.compactMap { if case .read(let lane, _) = $0 { lane.rawValue } else { nil } }
    }
  }

  @Test("no more lanes of a mapping deliver at once than it allows, and turns go round")
  func turns() {
    var driver = Driver()
    let mapping = driver.poller.addMapping(.plain(batchSize: 1, inFlight: 1))
    for _ in 0..<3 { driver.open(mapping) }
    #expect(driver.poller.permitsInUse(mapping) == 1)
    var order: [Int] = []
    var lane = 0
    for round in 0..<6 {
      driver.answer(lane, count: 1, from: UInt64(round / 3))
      driver.send(.handlerAnswered(LaneID(lane), DeliveryID(UInt64(round / 3 + 1)), .succeeded))
      order.append(lane)
      lane = driver.reads.first ?? -1
    }
    #expect(order == [0, 1, 2, 0, 1, 2])
  }

  @Test("a mapping without permits does not hold up another")
  func mappings() {
    var driver = Driver()
    let slow = driver.poller.addMapping(.plain(inFlight: 1))
    let quick = driver.poller.addMapping(.plain(inFlight: 1))
    driver.open(slow)
    driver.open(slow)
    #expect(driver.reads == [])
    driver.open(quick)
    #expect(driver.reads == [2])
  }

  @Test("a lane that backs off holds no permit")
  func permitOfFailingLane() {
    var driver = Driver()
    let mapping = driver.poller.addMapping(.plain(inFlight: 1))
    driver.open(mapping)
    driver.open(mapping)
    driver.answer(0, count: 1)
    driver.send(.handlerAnswered(LaneID(0), DeliveryID(1), .failed(.error)))
    #expect(driver.reads == [1])
  }

  @Test("a child waits until all its parents are finished, and durably so")
  func family() {
    var driver = Driver()
    let mapping = driver.poller.addMapping(.plain())
    driver.open(mapping)
    driver.open(mapping)
    driver.open(mapping, parents: [LaneID(0), LaneID(1)])
    for lane in 0...1 { driver.send(.readAnswered(LaneID(lane), .shardEnd(end: .zero))) }
    #expect(driver.poller.lane(LaneID(0)).isFinished)
    driver.send(.progressStored(LaneID(0), revision: 1))
    #expect(driver.poller.lane(LaneID(2)).state == .waitingForParents)
    driver.send(.progressStored(LaneID(1), revision: 1))
    #expect(driver.reads == [2])
  }

  @Test("one timer, and it is only moved forward")
  func timer() {
    var driver = Driver()
    let mapping = driver.poller.addMapping(.plain())
    for _ in 0..<3 { driver.open(mapping) }
    driver.answer(0, count: 1)
    #expect(driver.effects.contains(.armTimer(MonotonicTime.zero.adding(milliseconds: 1_000))))
    driver.answer(1, count: 1)
    #expect(!driver.effects.contains(.armTimer(MonotonicTime.zero.adding(milliseconds: 1_000))))
    driver.send(.handlerAnswered(LaneID(0), DeliveryID(1), .failed(.error)))
    #expect(driver.effects.contains(.armTimer(MonotonicTime.zero.adding(milliseconds: 100))))
    driver.now.monotonic = MonotonicTime.zero.adding(milliseconds: 100)
    driver.send(.timerFired)
    #expect(driver.reads == [0])
    #expect(driver.effects.contains(.armTimer(MonotonicTime.zero.adding(milliseconds: 1_000))))
  }

  @Test("a drain lets deliveries end, stores progress and says so once")
  func drain() {
    var lane = LaneHarness(.plain(batchSize: 1), records: 3)
    lane.holdsProgress = true
    lane.send(.drainRequested)
    #expect(lane.drainedCount == 0)
    lane.succeed()
    #expect(lane.drainedCount == 0)
    lane.send(.progressStored(lane.lane, revision: lane.heldProgress[0].revision))
    #expect(lane.drainedCount == 1)
    lane.send(.drainRequested)
    lane.send(.shardChanged(lane.lane))
    #expect(lane.drainedCount == 1)
    #expect(lane.deliveries.count == 1)
  }

  @Test("a stop cancels deliveries; a failure then uses up no attempt, a success counts", arguments: [true, false])
  func stop(succeeds: Bool) {
    var lane = LaneHarness(.plain(), records: 2)
    lane.send(.stopRequested)
    #expect(lane.cancelled.count == 1)
    if succeeds { lane.succeed() } else { lane.fail() }
    #expect(lane.drainedCount == 1)
    #expect(lane.checkpoint == (succeeds ? 2 : nil))
    #expect(lane.snapshot.failing == nil)
  }

  @Test("a drain does not insist on a failure entry that the store refuses")
  func drainWithRefusal() {
    var lane = LaneHarness(.plain(attempts: 0), records: 1)
    lane.holdsFailures = true
    lane.fail()
    lane.send(.drainRequested)
    lane.send(.failureRefused(lane.lane, ticket: lane.heldFailures[0]))
    #expect(lane.drainedCount == 1)
    #expect(lane.checkpoint == 0)
    #expect(lane.stored.last?.failing?.attempts == 1)
  }

  @Test("a poller without lanes is drained at once")
  func emptyDrain() {
    var driver = Driver()
    driver.send(.drainRequested)
    #expect(driver.effects == [.drained])
  }
}
