import ShardCore
import StreamModel
import Testing

@Suite("Outbox: when failure entries go to their destination")
struct OutboxTests {
  /// An outbox, a clock that is set, and what was ordered last.
  private struct Desk {
    var outbox: Outbox
    var random = SplitMix64(seed: 1)
    var milliseconds: Int64 = 0
    var effects: [OutboxEffect] = []

    init(_ change: (inout OutboxPolicy) -> Void = { _ in }) {
      var policy = OutboxPolicy(
        attemptLimit: 3, backoff: Backoff(firstMilliseconds: 100, capMilliseconds: 1_000, jitterPercent: 0))
      change(&policy)
      outbox = Outbox(policy: policy)
    }

    var now: Now {
      Now(
        monotonic: MonotonicTime(nanoseconds: milliseconds * 1_000_000),
        wall: WallTime(milliseconds: 1_000_000 + milliseconds))
    }

    @discardableResult
    mutating func step(_ event: OutboxEvent) -> [OutboxEffect] {
      effects = []
      outbox.step(event, at: now, random: &random, effects: &effects)
      return effects
    }

    mutating func load(_ numbers: [UInt64], isEnd: Bool = true) -> [OutboxEffect] {
      step(.loaded(numbers.map { OutboxEntry(number: $0, attempts: 0, retryAt: .zero) }, isEnd: isEnd))
    }
  }

  private static func moment(_ milliseconds: Int64) -> MonotonicTime {
    MonotonicTime(nanoseconds: milliseconds * 1_000_000)
  }

  private static func wall(_ milliseconds: Int64) -> WallTime { WallTime(milliseconds: 1_000_000 + milliseconds) }

  @Test("at its start it reads what was left, and delivers as many at once as it may, in order")
  func start() {
    var desk = Desk { $0.inFlightLimit = 2 }
    #expect(desk.step(.timerFired) == [.load(after: 0, limit: 256)])
    #expect(desk.load([3, 5, 9]) == [.deliver(3, attempt: 1), .deliver(5, attempt: 1)])
    #expect(desk.step(.answered(5, .accepted)) == [.note(5, .delivered), .deliver(9, attempt: 1)])
    #expect(desk.step(.noted(5)).isEmpty)
    #expect(desk.outbox.entryCount == 2)
  }

  @Test("a failed attempt is noted before the wait; waits double; at the bound the entry is undeliverable")
  func attempts() {
    var desk = Desk()
    desk.step(.timerFired)
    #expect(desk.load([1]) == [.deliver(1, attempt: 1)])
    let failed = OutboxEvent.answered(1, .failed(retryAfterMilliseconds: nil))
    #expect(desk.step(failed) == [.note(1, .retry(attempts: 1, at: Self.wall(100)))])
    #expect(desk.step(.noted(1)) == [.armTimer(Self.moment(100))])
    desk.milliseconds = 99
    #expect(desk.step(.timerFired) == [.armTimer(Self.moment(100))])
    desk.milliseconds = 100
    #expect(desk.step(.timerFired) == [.deliver(1, attempt: 2)])
    #expect(desk.step(failed) == [.note(1, .retry(attempts: 2, at: Self.wall(300)))])
    desk.step(.noted(1))
    desk.milliseconds = 300
    #expect(desk.step(.timerFired) == [.deliver(1, attempt: 3)])
    #expect(desk.step(failed) == [.note(1, .undeliverable(attempts: 3))])
    #expect(desk.step(.noted(1)).isEmpty)
    #expect(desk.outbox.entryCount == 0)
  }

  @Test("where somebody waits for the result there are three attempts, and no wait is longer than 2 s")
  func whileWaiting() {
    func wait(_ failures: Int, asked: Int64? = nil) -> Int64? {
      OutboxPolicy.whileWaiting.waitMilliseconds(failures: failures, requested: asked, jitter: 7)
    }
    #expect([wait(1), wait(2), wait(3), wait(4)] == [500, 1_000, nil, nil])
    #expect([wait(1, asked: 1_500), wait(2, asked: 3_600_000), wait(3, asked: 1)] == [1_500, 2_000, nil])
  }

  @Test("an entry that waits keeps no other one back")
  func independence() {
    var desk = Desk { $0.inFlightLimit = 1 }
    desk.step(.timerFired)
    #expect(desk.load([1, 2]) == [.deliver(1, attempt: 1)])
    #expect(
      desk.step(.answered(1, .failed(retryAfterMilliseconds: nil))) == [
        .note(1, .retry(attempts: 1, at: Self.wall(100))), .deliver(2, attempt: 1),
      ])
  }

  @Test("a destination that asks for a longer wait gets it, up to the limit")
  func requestedWait() {
    var desk = Desk { $0.longestRequestedWaitMilliseconds = 5_000 }
    desk.step(.timerFired)
    _ = desk.load([1, 2, 3])
    #expect(
      desk.step(.answered(1, .failed(retryAfterMilliseconds: 2_000))) == [
        .note(1, .retry(attempts: 1, at: Self.wall(2_000)))
      ])
    #expect(
      desk.step(.answered(2, .failed(retryAfterMilliseconds: .max))) == [
        .note(2, .retry(attempts: 1, at: Self.wall(5_000)))
      ])
    #expect(
      desk.step(.answered(3, .failed(retryAfterMilliseconds: 1))) == [
        .note(3, .retry(attempts: 1, at: Self.wall(100)))
      ])
  }

  @Test("what it keeps in mind has a limit; the rest is read when there is room")
  func window() {
    var desk = Desk { $0.entryLimit = 2 }
    #expect(desk.step(.timerFired) == [.load(after: 0, limit: 2)])
    _ = desk.load([1, 2], isEnd: false)
    #expect(desk.step(.entryStored(9)).isEmpty)
    desk.step(.answered(1, .accepted))
    #expect(desk.step(.noted(1)) == [.load(after: 2, limit: 1)])
    #expect(desk.load([9]) == [.deliver(9, attempt: 1)])
  }

  @Test("an entry that comes while the store is read is read too")
  func storedDuringLoad() {
    var desk = Desk()
    desk.step(.timerFired)
    #expect(desk.step(.entryStored(4)).isEmpty)
    #expect(desk.load([1]) == [.load(after: 3, limit: 255), .deliver(1, attempt: 1)])
    #expect(desk.load([4]) == [.deliver(4, attempt: 1)])
  }

  @Test("an entry that was stored anew while it was on its way is read again, whatever became of the old one")
  func replaced() {
    var desk = Desk()
    desk.step(.timerFired)
    _ = desk.load([1])
    #expect(desk.step(.entryStored(1)).isEmpty)
    desk.step(.answered(1, .failed(retryAfterMilliseconds: nil)))
    #expect(desk.step(.noted(1)) == [.load(after: 0, limit: 256)])
    #expect(desk.load([1]) == [.deliver(1, attempt: 1)])
  }

  @Test("an entry that waits for its next attempt goes at once when redelivery is asked for")
  func redelivered() {
    var desk = Desk()
    desk.step(.timerFired)
    _ = desk.load([1])
    desk.step(.answered(1, .failed(retryAfterMilliseconds: nil)))
    desk.step(.noted(1))
    #expect(desk.step(.entryStored(1)) == [.load(after: 0, limit: 256)])
    #expect(desk.load([1]) == [.deliver(1, attempt: 1)])
  }

  @Test("attempts and waits of before a restart count, and a wall clock that was set back delays nothing for long")
  func afterRestart() {
    var desk = Desk { $0.longestRequestedWaitMilliseconds = 0 }
    desk.step(.timerFired)
    let entries = [
      OutboxEntry(number: 1, attempts: 2, retryAt: Self.wall(50)),
      OutboxEntry(number: 2, attempts: 0, retryAt: Self.wall(86_400_000)),
    ]
    #expect(desk.step(.loaded(entries, isEnd: true)) == [.armTimer(Self.moment(50))])
    desk.milliseconds = 50
    #expect(desk.step(.timerFired) == [.deliver(1, attempt: 3), .armTimer(Self.moment(1_000))])
    #expect(
      desk.step(.answered(1, .failed(retryAfterMilliseconds: nil))) == [.note(1, .undeliverable(attempts: 3))])
    desk.milliseconds = 1_000
    #expect(desk.step(.timerFired) == [.deliver(2, attempt: 1)])
  }

  @Test("a store that refuses a note or a read is asked again; nothing is delivered twice for it")
  func storeRefuses() {
    var desk = Desk()
    desk.step(.timerFired)
    #expect(desk.step(.loadRefused) == [.armTimer(Self.moment(1_000))])
    desk.milliseconds = 1_000
    #expect(desk.step(.timerFired) == [.load(after: 0, limit: 256)])
    _ = desk.load([1])
    desk.step(.answered(1, .accepted))
    #expect(desk.step(.noteRefused(1)) == [.armTimer(Self.moment(2_000))])
    desk.milliseconds = 2_000
    #expect(desk.step(.timerFired) == [.note(1, .delivered)])
    #expect(desk.step(.noted(1)).isEmpty)
    #expect(desk.outbox.entryCount == 0)
  }

  @Test("a drain starts nothing, waits for what is on its way and its note, and ends once")
  func drain() {
    var desk = Desk()
    desk.step(.timerFired)
    _ = desk.load([1])
    #expect(desk.step(.drainRequested).isEmpty)
    #expect(desk.step(.entryStored(2)).isEmpty)
    #expect(desk.step(.answered(1, .accepted)) == [.note(1, .delivered)])
    #expect(desk.step(.noted(1)) == [.drained])
    #expect(desk.step(.drainRequested).isEmpty)
  }

  @Test("an attempt that was cut short leaves no trace")
  func cutShort() {
    var desk = Desk()
    desk.step(.timerFired)
    _ = desk.load([1])
    desk.step(.drainRequested)
    #expect(desk.step(.answered(1, .notAttempted)) == [.drained])
  }
}
