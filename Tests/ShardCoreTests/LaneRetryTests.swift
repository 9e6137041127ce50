@testable import ShardCore
import StreamModel
import Testing

@Suite("Shard lane: retries and expiry")
struct LaneRetryTests {
  @Test("N retries make N+1 deliveries, then the batch leaves and the next one comes", arguments: [0, 1, 3])
  func exhaustion(limit: Int) {
    var lane = LaneHarness(.plain(batchSize: 2, attempts: limit), records: 3)
    for _ in 0...limit {
      lane.fail()
      lane.advance(by: 1_000)
    }
    #expect(lane.failures.count == 1)
    #expect(lane.failures[0].condition == .retryAttemptsExhausted)
    #expect(lane.failures[0].attempts == limit + 1)
    #expect(lane.delivered.last == Batch(2, 1))
    #expect(lane.deliveries.count == limit + 2)
  }

  @Test("the waits double up to the cap")
  func backoff() {
    var lane = LaneHarness(.plain(), records: 1)
    for wait in [100, 200, 400, 800, 1_000, 1_000] as [Int64] {
      lane.fail()
      let count = lane.deliveries.count
      lane.advance(by: wait - 1)
      #expect(lane.deliveries.count == count)
      lane.advance(by: 1)
      #expect(lane.deliveries.count == count + 1)
    }
  }

  @Test("throttles use up no attempt", arguments: [FailureKind.throttled, .unavailable])
  func throttled(kind: FailureKind) {
    var lane = LaneHarness(.plain(attempts: 0), records: 1)
    for _ in 1...3 {
      lane.fail(kind)
      lane.advance(by: 1_000)
    }
    #expect(lane.failures == [])
    #expect(lane.deliveries.allSatisfy { $0.attempt == 1 })
    lane.fail()
    #expect(lane.failures.map(\.attempts) == [1])
  }

  @Test("a batch under retry stays the same batch when more records come")
  func frozen() {
    var lane = LaneHarness(.plain(), records: 2)
    lane.fail()
    lane.append(5)
    lane.advance(by: 100)
    #expect(lane.delivered.last == Batch(0, 2, attempt: 2))
  }

  @Test("the checkpoint does not pass a failure entry that is not stored")
  func entryBeforeCheckpoint() {
    var lane = LaneHarness(.plain(attempts: 0), records: 2)
    lane.holdsFailures = true
    lane.fail()
    #expect(lane.state == .storingFailure)
    #expect(lane.checkpoint == 0)
    lane.send(.failureRefused(lane.lane, ticket: lane.heldFailures[0]))
    lane.advance(by: 1_000)
    #expect(lane.heldFailures.count == 2)
    lane.send(.failureStored(lane.lane, ticket: lane.heldFailures[0]))
    #expect(lane.checkpoint == 0)
    lane.send(.failureStored(lane.lane, ticket: lane.heldFailures[1]))
    #expect(lane.checkpoint == 2)
  }

  @Test("records too old leave before the delivery, and the fresh ones behind them are delivered")
  func expiredHead() {
    var lane = LaneHarness(.plain(batchSize: 1, age: 500), records: 2)
    lane.advance(by: 400)
    lane.append(3)
    lane.advance(by: 101)
    lane.succeed()
    #expect(lane.failures.map(\.extent.count) == [1])
    #expect(lane.failures[0].condition == .recordAgeExceeded)
    #expect(lane.failures[0].attempts == 0)
    #expect(lane.delivered.last == Batch(2, 1))
  }

  @Test("a record as old as the limit is not too old", arguments: [(500, 0), (501, 1)] as [(Int64, Int)])
  func ageLimit(age: Int64, expired: Int) {
    var lane = LaneHarness(.plain(batchSize: 1, age: 500), records: 2)
    lane.advance(by: age)
    lane.succeed()
    #expect(lane.failures.count == expired)
  }

  @Test("a batch that expires under retry says how often it was delivered")
  func expiredUnderRetry() {
    var lane = LaneHarness(.plain(age: 150), records: 2)
    lane.fail()
    lane.advance(by: 100)
    lane.fail()
    lane.advance(by: 60)
    #expect(lane.failures.map(\.condition) == [.recordAgeExceeded])
    #expect(lane.failures.map(\.attempts) == [2])
    #expect(lane.deliveries.count == 2)
  }

  @Test("a failing batch does not wait for its retry beyond the age of its newest record")
  func endsAtAge() {
    var lane = LaneHarness(.plain(age: 50), records: 1)
    lane.fail()
    lane.advance(by: 50)
    #expect(lane.failures == [])
    lane.advance(by: 1)
    #expect(lane.failures.count == 1)
  }

  @Test("when the wall clock steps back nothing waits longer than its timer")
  func clockStepsBack() {
    var lane = LaneHarness(.plain(age: 50), records: 1)
    lane.fail()
    lane.wallShift -= 900_000
    lane.advance(by: 100)
    #expect(lane.delivered == [Batch(0, 1), Batch(0, 1, attempt: 2)])
  }

  @Test("a last record that looks older than the first brings no retry forward")
  func arrivalsOutOfOrder() {
    var lane = LaneHarness(.plain(age: 5_000))
    lane.holdsReads = true
    lane.append(1)
    lane.wallShift -= 4_990
    lane.append(1)
    lane.wallShift += 4_990
    lane.holdsReads = false
    lane.send(.readAnswered(lane.lane, .unavailable))
    lane.resume()
    lane.advance(by: 1_000)
    #expect(lane.delivered == [Batch(0, 2)])
    lane.fail()
    lane.advance(by: 99)
    #expect(lane.deliveries.count == 1)
    lane.advance(by: 1)
    #expect(lane.deliveries.count == 2)
  }

  @Test("a record that is too large is never delivered but takes its attempts and blocks meanwhile")
  func tooLarge() {
    var lane = LaneHarness(.plain(payload: 10, attempts: 1))
    lane.append(1, payload: 5)
    lane.append(1, payload: 11)
    lane.append(1, payload: 5)
    lane.succeed()
    #expect(lane.snapshot.failing?.lastFailure == .payloadTooLarge)
    #expect(lane.delivered == [Batch(0, 1)])
    lane.advance(by: 100)
    #expect(lane.failures.map(\.condition) == [.retryAttemptsExhausted])
    #expect(lane.failures.map(\.attempts) == [2])
    #expect(lane.delivered == [Batch(0, 1), Batch(2, 1)])
    #expect(lane.tooLarge.map(\.first) == [RecordIndex(1), RecordIndex(1)])
  }

  @Test(
    "a policy may let a batch go as soon as its next delivery would come when it is too old",
    arguments: [(true, 99, 1), (true, 100, 0), (false, 99, 0)] as [(Bool, Int64, Int)])
  func aheadOfAge(isWanted: Bool, age: Int64, left: Int) {
    var policy = LanePolicy.plain(attempts: 5, age: age)
    policy.leavesAheadOfAge = isWanted
    var lane = LaneHarness(policy, records: 1)
    lane.fail()  // The first wait is 100 ms.
    #expect(lane.failures.count == left)
    #expect(lane.failures.allSatisfy { $0.condition == .recordAgeExceeded && $0.attempts == 1 })
    lane.advance(by: 100)
    #expect(lane.deliveries.count == (age < 100 ? 1 : 2))
    #expect(lane.failures.count == (age < 100 ? 1 : 0))
  }

  @Test("where it blocks by key, a parked record goes as soon as that as well")
  func parkedAheadOfAge() {
    var policy = LanePolicy.byKey(attempts: 5, age: 250)
    policy.leavesAheadOfAge = true
    var lane = KeyHarness(policy, "ab")
    lane.fail(0, at: 0)
    lane.advance(by: 100)
    #expect(lane.failures.isEmpty)
    lane.fail(0)  // The next would come after 300 ms.
    #expect(lane.failures.map(\.condition) == [.recordAgeExceeded])
    #expect(lane.failures.first?.attempts == 2)
  }

  @Test("a restart knows the attempts and the rest of the wait")
  func restart() {
    var former = LaneHarness(.plain(attempts: 2), records: 2)
    former.fail()
    var lane = LaneHarness(.plain(attempts: 2), progress: former.stored.last ?? LaneProgress(), records: 2)
    #expect(lane.state == .backingOff)
    lane.advance(by: 99)
    #expect(lane.delivered == [])
    lane.advance(by: 1)
    #expect(lane.delivered == [Batch(0, 2, attempt: 2)])
  }

  @Test("a restart waits for the cap at most, even if the wall clock has stepped back")
  func restartAfterClockStep() {
    var former = LaneHarness(.plain(), records: 1)
    former.wallShift += 9_000_000
    former.fail()
    var lane = LaneHarness(.plain(), progress: former.stored.last ?? LaneProgress(), records: 1)
    lane.advance(by: 1_000)
    #expect(lane.deliveries.count == 1)
  }

  @Test("a restart with all attempts used stores the failure entry and delivers nothing")
  func restartExhausted() {
    var former = LaneHarness(.plain(attempts: 0), records: 1)
    former.holdsFailures = true
    former.fail()
    var lane = LaneHarness(.plain(attempts: 0), progress: former.stored.last ?? LaneProgress(), records: 1)
    lane.advance(by: 100)
    #expect(lane.failures.map(\.condition) == [.retryAttemptsExhausted])
    #expect(lane.deliveries == [])
  }

  @Test("an operator's retry does not wait")
  func retryNow() {
    var lane = LaneHarness(.plain(), records: 1)
    lane.fail()
    lane.retry()
    #expect(lane.delivered.last == Batch(0, 1, attempt: 2))
  }

  @Test("backoff stays between zero and its cap, and jitter spreads it")
  func jitter() {
    let backoff = Backoff(firstMilliseconds: 250, capMilliseconds: 60_000, jitterPercent: 20)
    for failures in 1...80 {
      for jitter in 0...40 as ClosedRange<UInt64> {
        let delay = backoff.delayMilliseconds(failures: failures, jitter: jitter)
        #expect(delay >= 200 && delay <= 60_000)
      }
    }
    #expect(backoff.delayMilliseconds(failures: 1, jitter: 0) == 200)
    #expect(backoff.delayMilliseconds(failures: 1, jitter: 40) == 300)
  }
}
