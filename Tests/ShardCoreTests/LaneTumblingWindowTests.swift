import ShardCore
import StreamModel
import Testing

/// Windows of 100 ms; the wall clock begins at a multiple of that.
@Suite("Shard lane: tumbling windows")
struct LaneTumblingWindowTests {
  private static func lane(
    progress: LaneProgress = LaneProgress(), records: Int = 0, stateLimit: Int = 10,
    _ change: (inout LanePolicy) -> Void = { _ in }
  ) -> LaneHarness {
    var policy = LanePolicy(tumblingWindowMilliseconds: 100)
    policy.retryBackoff = Backoff(firstMilliseconds: 10, capMilliseconds: 1_000, jitterPercent: 0)
    change(&policy)
    return LaneHarness(
      policy, limits: PollerLimits(windowStateByteLimit: stateLimit, windowCloseDelayMilliseconds: 20),
      progress: progress, records: records)
  }

  @Test("a batch ends with its window, state is handed on, and the final delivery comes before the next window")
  func chain() {
    var lane = Self.lane(records: 3) { $0.batchSize = 2 }
    lane.advance(by: 150)
    lane.append(1)
    #expect(lane.invocations == [Invoked(0, 2, window: 0, [])])
    lane.give([1])
    lane.give([2])
    #expect(lane.invocations.suffix(2) == [Invoked(2, 1, window: 0, [1]), .final(at: 3, window: 0, [2])])
    lane.give([9])
    #expect(lane.invocations.last == Invoked(3, 1, window: 100, []))
    lane.give([4])
    #expect(lane.stored.last?.window == OpenWindow(.of(100), state: WindowState([4])))
  }

  @Test("records of two windows that are there together are two batches")
  func border() {
    var lane = Self.lane()
    lane.append(2)
    lane.advance(by: 99)
    lane.append(1)
    lane.advance(by: 1)
    lane.append(2)
    #expect(lane.invocations == [Invoked(0, 2, window: 0, [])])
    lane.give([])
    lane.give([])
    lane.give([])
    #expect(
      lane.invocations.dropFirst() == [
        Invoked(2, 1, window: 0, []), .final(at: 3, window: 0, []), Invoked(3, 2, window: 100, []),
      ])
  }

  @Test("an idle shard ends its window by the clock, after the delay")
  func idle() {
    var lane = Self.lane(records: 1)
    lane.give([7])
    lane.advance(by: 119)
    #expect(lane.deliveries.count == 1)
    lane.advance(by: 1)
    #expect(lane.invocations.last == .final(at: 1, window: 0, [7]))
    lane.give([])
    #expect(lane.state == .idle && lane.stored.last?.window == nil && lane.checkpoint == 1)
    lane.advance(by: 1_000)
    #expect(lane.deliveries.count == 2)
  }

  @Test("a wall clock that stepped back puts the end of the window off")
  func idleWithStep() {
    var lane = Self.lane(records: 1)
    lane.give([7])
    lane.wallShift -= 50
    lane.advance(by: 169)
    #expect(lane.deliveries.count == 1)
    lane.advance(by: 1)
    #expect(lane.invocations.last == .final(at: 1, window: 0, [7]))
  }

  @Test("a record that comes while the window waits for its end is in it")
  func lateRecord() {
    var lane = Self.lane(records: 1)
    lane.give([7])
    lane.advance(by: 110)
    lane.wallShift -= 20
    lane.append(1)
    #expect(lane.invocations.last == Invoked(1, 1, window: 0, [7]))
  }

  @Test("an invocation without a state has failed, the final one too")
  func missingState() {
    var lane = Self.lane(records: 1)
    lane.succeed()
    #expect(lane.snapshot.failing?.lastFailure == .invalidResponse)
    lane.advance(by: 10)
    lane.give([1])
    lane.advance(by: 120)
    lane.succeed()
    #expect(lane.snapshot.failing?.lastFailure == .invalidResponse && lane.snapshot.batch == nil)
  }

  @Test("a failing batch gets the state from before it, also when it gives up")
  func failing() {
    var lane = Self.lane(records: 2) {
      $0.batchSize = 1
      $0.maximumRetryAttempts = 1
    }
    lane.give([1])
    lane.fail()
    lane.advance(by: 10)
    #expect(lane.invocations.suffix(2) == [Invoked(1, 1, window: 0, [1]), Invoked(1, 1, window: 0, [1], attempt: 2)])
    lane.fail()
    #expect(lane.failures.last?.window?.state == WindowState([1]) && lane.failures.last?.extent.count == 1)
    lane.advance(by: 110)
    #expect(lane.invocations.last == .final(at: 2, window: 0, [1]))
  }

  @Test("the halves of a batch hand on state, and so does a batch that is done in part")
  func bisecting() {
    var lane = Self.lane(records: 5) { $0.bisectsBatchOnError = true }
    lane.fail()
    lane.give([1])
    #expect(lane.invocations.suffix(2) == [Invoked(0, 2, window: 0, []), Invoked(2, 3, window: 0, [1])])
    lane.give([2], failingAt: 3)
    #expect(lane.invocations.last == Invoked(3, 2, window: 0, [2]))
    lane.give([3], failingAt: 3)
    #expect(lane.invocations.last == Invoked(3, 1, window: 0, [2]))
  }

  @Test("a state that is too large ends the window early, in the middle of a batch too")
  func tooLarge() {
    var lane = Self.lane(records: 3, stateLimit: 2)
    lane.give([1, 2, 3], failingAt: 1)
    #expect(lane.invocations.last == .final(at: 1, window: 0, [1, 2, 3], early: true))
    #expect(lane.stored.last?.pieces == [2])
    lane.give([])
    #expect(lane.invocations.last == Invoked(1, 2, window: 0, []))
    lane.give([4])
    lane.advance(by: 120)
    #expect(lane.invocations.last == .final(at: 3, window: 0, [4]))
  }

  @Test("a failing final delivery is tried again, blocks, and leaves with its state when its attempts are used up")
  func failingFinal() throws {
    var lane = Self.lane(records: 1) { $0.maximumRetryAttempts = 1 }
    lane.give([5])
    lane.advance(by: 120)
    lane.fail()
    lane.append(1)
    lane.advance(by: 10)
    #expect(
      lane.invocations.suffix(2) == [.final(at: 1, window: 0, [5]), .final(at: 1, window: 0, [5], attempt: 2)])
    lane.fail()
    let order = try #require(lane.failures.first)
    #expect(order.extent.isEmpty && order.condition == .retryAttemptsExhausted && order.attempts == 2)
    #expect(order.window?.state == WindowState([5]))
    #expect(lane.invocations.last == Invoked(1, 1, window: 100, []))
  }

  @Test("a failing final delivery expires with the end of its window, but not before it was tried")
  func finalExpires() {
    var lane = Self.lane(records: 1) { $0.maximumRecordAgeMilliseconds = 300 }
    lane.give([5])
    lane.pause()
    lane.advance(by: 1_000)
    lane.resume()
    #expect(lane.invocations.last == .final(at: 1, window: 0, [5]))
    lane.fail()
    #expect(lane.failures.map(\.condition) == [.recordAgeExceeded])
    #expect(lane.state == .idle)
  }

  @Test("an operator can skip a failing final delivery")
  func skippedFinal() {
    var lane = Self.lane(records: 1)
    lane.give([5])
    lane.advance(by: 120)
    lane.fail()
    lane.skip(through: 0)
    #expect(lane.failures.map(\.condition) == [.skipped])
    #expect(lane.state == .idle && lane.stored.last?.window == nil)
  }

  @Test("the end of a shard ends its window, and only then the lane")
  func shardEnd() {
    var lane = Self.lane(records: 1)
    lane.close()
    lane.give([5])
    #expect(lane.invocations.last == .final(at: 1, window: 0, [5]))
    #expect(lane.stored.last?.isFinished == false)
    lane.give([])
    #expect(lane.state == .finished && lane.stored.last?.isFinished == true)
  }

  @Test("a restarted lane goes on with the stored state, and with a failing final delivery")
  func restart() throws {
    var first = Self.lane(records: 2) { $0.batchSize = 1 }
    first.give([5])
    let middle = try #require(first.stored.last)
    let second = Self.lane(progress: middle, records: 2)
    #expect(second.invocations == [Invoked(1, 1, window: 0, [5])])
    first.give([6])
    first.advance(by: 120)
    first.fail()
    let last = try #require(first.stored.last)
    var third = Self.lane(progress: last, records: 2)
    third.advance(by: 1_000)
    #expect(third.invocations == [.final(at: 2, window: 0, [6], attempt: 2)])
  }

  @Test("a mapping whose windows changed ends the open one first; without windows it ends early")
  func changedSettings() {
    let progress = LaneProgress(next: RecordIndex(1), window: OpenWindow(.of(0), state: WindowState([3])))
    var longer = Self.lane(progress: progress, records: 2) { $0.tumblingWindowMilliseconds = 1_000 }
    #expect(longer.invocations == [Invoked(1, 1, window: 0, [3])])
    longer.give([4])
    longer.advance(by: 150)
    longer.append(1)
    longer.give([])
    longer.give([])
    #expect(longer.invocations.suffix(2).first == .final(at: 2, window: 0, [4]))
    #expect(longer.deliveries.last?.window?.bounds == TimeWindow(start: .base(0), end: .base(1_000)))
    var none = Self.lane(progress: progress, records: 2) { $0.tumblingWindowMilliseconds = 0 }
    #expect(none.invocations == [.final(at: 1, window: 0, [3], early: true)])
    none.succeed()
    #expect(none.deliveries.last?.window == nil && none.deliveries.last?.extent.count == 1)
  }

  @Test("the batching window ends with the tumbling window")
  func batchingWindow() {
    var lane = Self.lane(records: 1) { $0.windowMilliseconds = 70 }
    lane.advance(by: 70)
    #expect(lane.invocations == [Invoked(0, 1, window: 0, [])])
    lane.give([1])
    lane.append(1)
    lane.advance(by: 29)
    #expect(lane.state == .windowing)
    lane.advance(by: 1)
    #expect(lane.invocations.last == Invoked(1, 1, window: 0, [1]))
    lane.give([2])
    lane.append(1)
    #expect(lane.invocations.last == .final(at: 2, window: 0, [2]))
  }

  @Test("windows are aligned before 1970 too, and hold their first moment but not their last")
  func alignment() {
    func window(_ moment: Int64) -> [Int64] {
      let window = TimeWindow(holding: WallTime(milliseconds: moment), lengthMilliseconds: 10)
      return [window.start.milliseconds, window.end.milliseconds]
    }
    #expect(window(20) == [20, 30] && window(29) == [20, 30] && window(-1) == [-10, 0] && window(-10) == [-10, 0])
  }
}

/// A delivery as these tests name it: windows by their start, counted from the first moment.
private struct Invoked: Equatable, CustomStringConvertible {
  var first: Int
  var count: Int
  var window: Int64
  var state: [UInt8]
  var attempt = 1
  var isEarly = false

  init(_ first: Int, _ count: Int, window: Int64, _ state: [UInt8], attempt: Int = 1) {
    (self.first, self.count, self.window, self.state, self.attempt) = (first, count, window, state, attempt)
  }

  static func final(
    at first: Int, window: Int64, _ state: [UInt8], attempt: Int = 1, early: Bool = false
  ) -> Invoked {
    var invoked = Invoked(first, 0, window: window, state, attempt: attempt)
    invoked.isEarly = early
    return invoked
  }

  var description: String {
    "\(first)..<\(first + count) in \(window) with \(state), attempt \(attempt)\(isEarly ? ", early" : "")"
  }
}

extension LaneHarness {
  fileprivate var invocations: [Invoked] {
    deliveries.map { delivery in
      var invoked = Invoked(
        Int(delivery.extent.first.rawValue), delivery.extent.count,
        window: (delivery.window?.bounds.start.milliseconds ?? .max) - WallTime.base(0).milliseconds,
        delivery.window?.state.bytes ?? [], attempt: delivery.attempt)
      invoked.isEarly = delivery.window?.isTerminatedEarly ?? false
      #expect((delivery.source == .windowEnd) == (delivery.extent.count == 0))
      return invoked
    }
  }
}

extension WallTime {
  fileprivate static func base(_ milliseconds: Int64) -> WallTime { WallTime(milliseconds: 1_000_000 + milliseconds) }
}

extension TimeWindow {
  fileprivate static func of(_ start: Int64) -> TimeWindow { TimeWindow(start: .base(start), end: .base(start + 100)) }
}
