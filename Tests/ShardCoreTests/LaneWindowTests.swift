import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: batching window")
struct LaneWindowTests {
  @Test("a batch that is not full waits for the window's end")
  func waits() {
    var lane = LaneHarness(.plain(window: 200))
    lane.append(1)
    lane.advance(by: 150)
    lane.append(2)
    lane.advance(by: 49)
    #expect(lane.delivered == [])
    lane.advance(by: 1)
    #expect(lane.delivered == [Batch(0, 3)])
  }

  @Test("a full batch goes at once")
  func full() {
    var lane = LaneHarness(.plain(batchSize: 3, window: 200))
    lane.append(2)
    lane.append(1)
    #expect(lane.delivered == [Batch(0, 3)])
  }

  @Test("a batch whose payload is full goes at once, without the record that does not fit")
  func payloadFull() {
    var lane = LaneHarness(.plain(payload: 10, window: 200))
    lane.append(1, payload: 6)
    lane.append(1, payload: 6)
    #expect(lane.delivered == [Batch(0, 1)])
  }

  @Test("the next window opens when the delivery is settled, if records wait then")
  func nextWindow() {
    var lane = LaneHarness(.plain(window: 200))
    lane.append(1)
    lane.advance(by: 200)
    lane.append(1)
    lane.advance(by: 100)
    lane.succeed()
    lane.advance(by: 199)
    #expect(lane.deliveries.count == 1)
    lane.advance(by: 1)
    #expect(lane.deliveries.count == 2)
  }

  @Test("with nothing waiting the window opens with the first record")
  func firstRecord() {
    var lane = LaneHarness(.plain(window: 200))
    lane.append(1)
    lane.advance(by: 200)
    lane.succeed()
    lane.advance(by: 1_000)
    lane.append(1)
    lane.advance(by: 199)
    #expect(lane.deliveries.count == 1)
    lane.advance(by: 1)
    #expect(lane.deliveries.count == 2)
  }

  @Test("each record is measured once")
  func measuresNewRecords() {
    var lane = LaneHarness(.plain(batchSize: 10, window: 200))
    lane.append(3)
    lane.append(2)
    let last = lane.reads.last
    #expect(last?.purpose == .measure)
    #expect(last?.from == RecordIndex(3))
    #expect(last?.countLimit == 7)
  }

  @Test("a change while the window's records are measured is not lost")
  func changeDuringMeasuring() {
    var lane = LaneHarness(.plain(batchSize: 3, window: 200))
    lane.append(1)
    lane.holdsReads = true
    lane.append(1)
    let answer = lane.read(lane.heldReads[0])
    lane.append(1)
    lane.holdsReads = false
    lane.send(.readAnswered(lane.lane, answer))
    #expect(lane.delivered == [Batch(0, 3)])
  }

  @Test("a retry does not wait for a window")
  func retry() {
    var lane = LaneHarness(.plain(window: 5_000))
    lane.append(1)
    lane.advance(by: 5_000)
    lane.fail()
    lane.advance(by: 100)
    #expect(lane.deliveries.count == 2)
  }

  @Test("the last records of a closed shard do not wait")
  func shardEnd() {
    var lane = LaneHarness(.plain(window: 200))
    lane.append(2)
    lane.close()
    #expect(lane.delivered == [Batch(0, 2)])
  }

  @Test("a window longer than the age that is left does not save the record")
  func age() {
    var lane = LaneHarness(.plain(window: 5_000, age: 100))
    lane.append(1)
    lane.advance(by: 60)
    lane.append(2)
    lane.advance(by: 41)
    #expect(lane.failures.map(\.extent.count) == [1])
    #expect(lane.delivered == [Batch(1, 2)])
  }
}
