import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: blocking by key")
struct LaneParkingTests {
  @Test("a record that is named as failed parks its key, and the others go on without it")
  func parks() {
    var lane = KeyHarness(.byKey(), "abacadae")
    #expect(lane.delivered == [[0, 1, 2, 3]])
    lane.fail(0, at: 2)
    // Records 0 and 1 are done, a waits with records 2, 4 and 6.
    #expect(lane.delivered == [[0, 1, 2, 3], [3, 5, 7]])
    lane.succeed(3)
    #expect(lane.state == .idle && lane.parked == ["a": 3])
    lane.append("ab")
    #expect(lane.delivered.last == [9])
  }

  @Test("a batch that fails as a whole is split until the record that fails stands alone")
  func isolates() {
    var lane = KeyHarness(.byKey(), "abcdabcd")
    lane.fail(0)
    #expect(lane.delivered.last == [0, 1])
    lane.fail(0)
    lane.succeed(0)
    #expect(lane.delivered.last == [1])
    lane.fail(1)
    #expect(lane.parked == ["b": 1])
    #expect(lane.delivered.last == [2, 3, 4, 6])
  }

  @Test("what is parked follows in order when the head succeeds, beside the lane's own batches")
  func follows() {
    var lane = KeyHarness(.byKey(), "abababab")
    lane.fail(0, at: 0)
    #expect(lane.inFlight == [[1, 3, 5, 7]])
    lane.succeed(1)
    #expect(lane.parked == ["a": 4])
    lane.advance(by: 100)
    #expect(lane.inFlight == [[0]] && lane.attempts.last == 2)
    lane.append("bb")
    #expect(lane.inFlight == [[0], [8, 9]])
    lane.succeed(0)
    #expect(lane.inFlight == [[8, 9], [2, 4, 6]])
    lane.succeed(2)
    lane.succeed(8)
    #expect(lane.parked == [:])
    lane.append("ab")
    #expect(lane.inFlight == [[10, 11]])
  }

  @Test("a key with nothing left joins the others only between two batches")
  func rejoins() {
    var lane = KeyHarness(.byKey(), "aabbbbab")
    lane.fail(0, at: 0)
    #expect(lane.inFlight == [[2, 3, 4, 5]])
    lane.advance(by: 100)
    lane.succeed(0)
    lane.succeed(1)
    // The batch of b in flight was formed without a.
    #expect(lane.inFlight == [[2, 3, 4, 5]] && lane.parked == [:])
    lane.succeed(2)
    #expect(lane.inFlight == [[6, 7]])
  }

  @Test("several keys fail at once, each with its own attempts")
  func severalKeys() {
    var lane = KeyHarness(.byKey(), "abcabc")
    lane.fail(0, at: 0)
    #expect(lane.inFlight == [[1, 2, 4, 5]])
    lane.fail(1, at: 1)
    #expect(lane.inFlight == [[2, 5]])
    lane.succeed(2)
    lane.advance(by: 100)
    #expect(lane.inFlight == [[0], [1]])
    lane.fail(0)
    lane.succeed(1)
    #expect(lane.inFlight == [[4]])
    lane.advance(by: 199)
    #expect(lane.inFlight == [[4]])
    lane.advance(by: 1)
    #expect(lane.inFlight == [[4], [0]] && lane.attempts.last == 3)
  }

  @Test("checkpoint and parked records are stored together, and a restart goes on with both")
  func restart() {
    var lane = KeyHarness(.byKey(), "abaab")
    lane.fail(0, at: 0)
    lane.succeed(1)
    lane.advance(by: 100)
    lane.fail(0)
    #expect(lane.stored.next == RecordIndex(5) && lane.storedParked == ["a": [0, 2, 3]])
    lane = lane.restarted()
    #expect(lane.inFlight == [] && lane.parked == ["a": 3])
    lane.advance(by: 200)
    #expect(lane.inFlight == [[0]] && lane.attempts == [3])
    lane.succeed(0)
    #expect(lane.storedParked == ["a": [2, 3]])
  }

  @Test("what a refused write would have made durable goes with the next one")
  func refused() {
    var lane = KeyHarness(.byKey(), "ababa")
    lane.refusesProgress = true
    lane.fail(0, at: 0)
    lane.succeed(1)
    #expect(lane.storedParked == [:])
    lane.refusesProgress = false
    lane.advance(by: 1_000)
    #expect(lane.storedParked == ["a": [0, 2, 4]] && lane.stored.next == RecordIndex(5))
  }

  @Test("a key whose attempts are used up leaves its head, and the records behind it follow")
  func exhausted() {
    var lane = KeyHarness(.byKey(attempts: 1), "abab")
    lane.fail(0, at: 0)
    lane.succeed(1)
    lane.advance(by: 100)
    lane.fail(0)
    #expect(lane.failures.map(\.condition) == [.retryAttemptsExhausted] && lane.failures.first?.attempts == 2)
    #expect(lane.failures.first?.ranges == [RecordRange(first: .zero, count: 1)])
    #expect(lane.inFlight == [[2]])
  }

  @Test("parked records that get too old leave together")
  func expires() {
    var lane = KeyHarness(.byKey(age: 250), "abaab")
    lane.fail(0, at: 0)
    lane.succeed(1)
    lane.advance(by: 100)
    lane.fail(0)
    lane.advance(by: 151)
    #expect(lane.failures.map(\.condition) == [.recordAgeExceeded, .recordAgeExceeded])
    #expect(lane.failures.map(\.extent.count) == [1, 2] && lane.parked == [:])
  }

  @Test("at the limit of keys the failing record blocks its lane until one is free")
  func keyLimit() {
    var lane = KeyHarness(.byKey(keys: 1), "abcc")
    lane.fail(0, at: 0)
    lane.fail(1)
    lane.fail(1)
    #expect(lane.state == .backingOff && lane.parked == ["a": 1])
    lane.advance(by: 99)
    lane.retry()
    #expect(lane.inFlight == [[1], [0]])
    lane.fail(1)
    lane.succeed(0)
    #expect(lane.parked == ["b": 1] && lane.inFlight == [[2, 3]])
  }

  @Test("at the limit of records the lane waits before the record that may not be parked")
  func recordLimit() {
    var lane = KeyHarness(.byKey(records: 2), "abababb")
    lane.fail(0, at: 0)
    #expect(lane.inFlight == [[1, 3]])
    lane.succeed(1)
    #expect(lane.state == .holdingForKeys && lane.parked == ["a": 2] && lane.inFlight == [])
    lane.advance(by: 100)
    lane.succeed(0)
    #expect(lane.inFlight.contains([2]) && lane.inFlight.contains([5, 6]))
  }

  @Test("an operator gives up records of a parked key, and those behind them follow")
  func skips() {
    var lane = KeyHarness(.byKey(), "abaaa")
    lane.fail(0, at: 0)
    lane.succeed(1)
    lane.skip("a", through: 2)
    #expect(lane.failures.flatMap(\.ranges) == [.init(first: .zero, count: 1), .init(first: RecordIndex(2), count: 1)])
    #expect(lane.failures.allSatisfy { $0.condition == .skipped } && lane.inFlight == [[3, 4]])
  }

  @Test("parked records that retention removed are counted as lost")
  func trimmed() {
    var lane = KeyHarness(.byKey(), "abaab")
    lane.fail(0, at: 0)
    lane.succeed(1)
    lane.base = 3
    lane.advance(by: 100)
    #expect(lane.lost == [2] && lane.inFlight == [[3]])
  }

  @Test("a closed shard is finished when its parked records are settled")
  func finishes() {
    var lane = KeyHarness(.byKey(), "ab")
    lane.fail(0, at: 0)
    lane.succeed(1)
    lane.close()
    #expect(!lane.stored.isFinished)
    lane.advance(by: 100)
    lane.succeed(0)
    #expect(lane.stored.isFinished && lane.storedParked == [:])
  }

  @Test("a paused lane leaves its parked keys alone, and a drained one too")
  func rests() {
    var lane = KeyHarness(.byKey(), "ab")
    lane.fail(0, at: 0)
    lane.succeed(1)
    lane.pause()
    lane.advance(by: 1_000)
    #expect(lane.inFlight == [])
    lane.resume()
    #expect(lane.inFlight == [[0]])
    lane.drain()
    #expect(!lane.isDrained)
    lane.fail(0)
    #expect(lane.isDrained && lane.storedParked == ["a": [0]])
  }

  @Test("a redrive stands between deliveries, those of parked keys too")
  func redrive() {
    var lane = KeyHarness(.byKey(), "abab")
    lane.fail(0, at: 0)
    lane.succeed(1)
    lane.advance(by: 100)
    lane.redrive(7)
    #expect(lane.inFlight == [[0]])
    lane.succeed(0)
    #expect(lane.inFlight == [[-1]])
    lane.succeed(-1)
    #expect(lane.settledRedrives == [7] && lane.inFlight == [[2]])
  }

  @Test("thousands that wait are all there, in order, in whatever the lane is asked; and a restart finds them")
  func many() {
    // Of three records one is of a, one of b, and one of others.
    let keys = (0..<20_000).map { $0 % 3 == 0 ? "a" : $0 % 3 == 1 ? "b" : "c" }.joined()
    let (a, b) = (20_000 / 3 + 1, 20_000 / 3 + 1)
    var lane = KeyHarness(.byKey(batchSize: 2_500, records: 50_000, deliveries: 1), keys)
    lane.fail(0, at: 0)
    lane.fail(1, at: 1)
    while let next = lane.inFlight.first?.first { lane.succeed(next) }
    #expect(lane.parked == ["a": UInt64(a), "b": UInt64(b)])
    #expect(lane.storedParked["a"] == (0..<a).map { $0 * 3 } && lane.storedParked["b"] == (0..<b).map { $0 * 3 + 1 })
    var again = lane.restarted()
    #expect(again.parked == lane.parked && again.storedParked == lane.storedParked)
    lane.advance(by: 100)
    again.advance(by: 100)
    for _ in 0..<4 {
      #expect(lane.inFlight.count == 1 && lane.inFlight == again.inFlight)
      guard let next = lane.inFlight.first?.first else { return }
      lane.append("ab")
      again.append("ab")
      lane.succeed(next)
      again.succeed(next)
      #expect(lane.parked == again.parked && lane.storedParked == again.storedParked)
    }
    var left = 0
    while let next = again.inFlight.first?.first {
      again.succeed(next)
      left += 1
    }
    #expect(again.parked == [:] && again.storedParked == [:] && left > 2)
  }

  @Test("throttles are nobody's fault: the batch waits as it is")
  func throttled() {
    var lane = KeyHarness(.byKey(), "abcd")
    lane.fail(0, .throttled)
    #expect(lane.state == .backingOff && lane.parked == [:])
    lane.advance(by: 100)
    #expect(lane.inFlight == [[0, 1, 2, 3]])
  }
}
