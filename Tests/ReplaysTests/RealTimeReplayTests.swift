import Foundation
import Locks
import Recordings
import Replays
import ShardCore
import StreamModel
import StreamRuntime
import Testing

@Suite("Replays in real time")
struct RealTimeReplayTests: ReplaySuite {
  /// A handler that takes its time, of a clock in the test's hand.
  private final class Slow: BatchHandler {
    let time = HandTime()
    private let milliseconds: Int64
    let batches = Mutex<[[UInt64]]>([])

    init(milliseconds: Int64) { self.milliseconds = milliseconds }

    func handle(_ batch: RecordBatch) async throws -> HandlerOutcome {
      batches.withLock { $0.append((0..<batch.count).map { batch.index(at: $0).rawValue }) }
      await time.sleep(milliseconds: milliseconds)
      return .succeeded
    }
  }

  @Test(
    "in real time, at any factor, a quick handler sees what it sees in virtual time, and the wall takes its part",
    arguments: [0.5, 1, 10, 1_000])
  func realTime(factor: Double) async throws {
    let bytes = recording([([0, 0, 7, 450, 451, 900, 3_000, 60_000], [], false)])
    for change: (inout LanePolicy) -> Void in [
      { $0.windowMilliseconds = 500 },
      { $0.maximumRetryAttempts = 6 },
      { $0.maximumRecordAgeMilliseconds = 5_000 },
    ] {
      var policy = LanePolicy(batchSize: 10)
      change(&policy)
      let virtual = try await replay(bytes, through: FailingRecords([3: 1_000]), policy: policy)
      let time = HandTime()
      let begun = time.nanoseconds
      let real = try await replay(bytes, through: FailingRecords([3: 1_000]), policy: policy) {
        $0.pace = ReplayPace(factor: factor, time: time)
      }
      #expect(real.lines.dropLast() == virtual.lines.dropLast() && virtual.lines.count > 8)
      var end = real.end
      end.greatestLagMilliseconds = nil
      #expect(end == virtual.end)
      let took = Double(time.nanoseconds - begun) / 1_000_000
      #expect(abs(took * factor - Double(end.milliseconds)) < 2 + factor / 1_000, "\(took) ms")
    }
  }

  @Test("what is prepared is prepared before time goes by, once, for the lanes that begin then")
  func prepared() async throws {
    let handler = Slow(milliseconds: 50)
    let prepared = Mutex<[Int]>([])
    let outcome = try await replay(
      recording([([0, 1_000], [], true), ([0], [], false), ([2_000], [0], false)]), through: handler, factor: 2
    ) {
      $0.pace = ReplayPace(factor: 10, time: handler.time)
      $0.prepare = { lanes in
        prepared.withLock { $0.append(lanes) }
        handler.time.pass(milliseconds: 700)
      }
    }
    #expect(prepared.withLock { $0 } == [6])
    #expect(outcome.greatestLagMilliseconds == 0 && outcome.end.milliseconds == 2_500)
  }

  @Test("a handler that is slower than the pace falls behind and sees every record, in fuller batches")
  func slowHandler() async throws {
    let bytes = recording([((0..<20).map { Int64($0) * 100 }, [], false)])
    let handler = Slow(milliseconds: 50)
    let outcome = try await replay(bytes, through: handler) {
      $0.pace = ReplayPace(factor: 10, time: handler.time)
    }
    // Half a second goes by in 50 ms: five records come while it works.
    #expect(
      handler.batches.withLock { $0 } == [
        [0], [1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15], [16, 17, 18, 19],
      ])
    let invocations = try outcome.lines.filter { $0.contains(#""invocation":"#) }.map {
      try JSONDecoder().decode(RunInvocation.self, from: Data($0.utf8))
    }
    #expect(invocations.map { $0.begunAt - Self.begin } == [0, 500, 1_000, 1_500, 2_000])
    #expect(invocations.allSatisfy { $0.endedAt - $0.begunAt == 500 })
    #expect(outcome.greatestLagMilliseconds == 100 && outcome.end.milliseconds == 2_500)
    // Lanes do not wait for one another.
    let two = Slow(milliseconds: 50)
    let both = try await replay(recording([([0], [], false), ([0], [], false)]), through: two) {
      $0.pace = ReplayPace(factor: 10, time: two.time)
    }
    #expect(both.end.milliseconds == 500 && both.end.invocations == 2)
  }

  @Test("a handler has the real time of its timeout, and its invocation ends in the middle of what comes meanwhile")
  func realTimeout() async throws {
    let handler = Slow(milliseconds: 1_000_000)
    var policy = LanePolicy(batchSize: 10, handlerTimeoutMilliseconds: 2_000)
    policy.maximumRetryAttempts = 0
    let outcome = try await replay(
      recording([([0, 5_000], [], false)]), through: handler, policy: policy
    ) {
      $0.pace = ReplayPace(factor: 10, time: handler.time)
    }
    #expect(outcome.end.departures == 2 && outcome.end.failures == 2 && outcome.end.unsettledLanes == [])
    #expect(outcome.end.milliseconds == 40_000)
    #expect(outcome.lines.count { $0.contains(#""failure":"timeout""#) } == 2)
  }

  @Test("what waits in memory stays within its bound: records come later, and none is lost")
  func realTimeRoom() async throws {
    let bytes = recording([((0..<2_000).map { Int64($0) }, [], false)], dataByteCount: 1_000)
    let handler = Slow(milliseconds: 10)
    let outcome = try await replay(bytes, through: handler) {
      $0.pace = ReplayPace(factor: 10, time: handler.time)
      $0.byteLimit = 300_000
    }
    #expect(handler.batches.withLock { $0.flatMap { $0 } } == Array(0..<2_000))
    #expect(outcome.greatestWaitingByteCount < 310_000 && outcome.greatestLagMilliseconds > 10_000)
    // What never gets better ends as it does in virtual time.
    var failing = LanePolicy(batchSize: 10)
    failing.maximumRetryAttempts = nil
    await #expect(throws: ReplayError.self) {
      try await replay(bytes, through: FailingRecords([3: .max]), policy: failing) {
        $0.pace = ReplayPace(factor: 10, time: HandTime())
        $0.byteLimit = 300_000
      }
    }
  }

  @Test("a replay that ends early ends its handlers first")
  func realTimeEnd() async throws {
    var bytes = recording([([0, 10, 20], [], false)])
    bytes[bytes.count - 200] ^= 1
    let handler = Slow(milliseconds: .max / 10_000_000)
    await #expect(throws: ReplayError.self) {
      try await replay(bytes, through: handler) { $0.pace = ReplayPace(factor: 1, time: handler.time) }
    }
    #expect(handler.batches.withLock { $0.count } == 1)
  }

  @Test("the machine's own time goes by")
  func machineTime() async throws {
    let begun = ContinuousClock.now
    let outcome = try await replay(recording([([0, 4_000], [], false)]), through: FailingRecords()) {
      $0.pace = ReplayPace(factor: 100)
    }
    #expect(outcome.end.invocations == 2 && outcome.end.milliseconds >= 4_000)
    #expect(ContinuousClock.now - begun >= .milliseconds(40))
  }
}
