import Locks
import StreamModel
import Testing

@testable import StreamRuntime

@Suite("Shared timer", .timeLimit(.minutes(10)))
struct TimerTests {
  @Test("an earlier moment wins over a later one that is waited for")
  func earlier() async {
    let time = Mutex<Int64>(0)
    let fired = AsyncStream<Int64>.makeStream()
    let timer = SharedTimer()
    timer.arm(at: 3_600_000_000_000)
    timer.start(now: { time.withLock { $0 } }) { fired.continuation.yield(time.withLock { $0 }) }
    timer.arm(at: 5)
    time.withLock { $0 = 5 }
    timer.lookAgain()
    var moments = fired.stream.makeAsyncIterator()
    #expect(await moments.next() == 5)
    timer.stop()
  }

  @Test("a later moment replaces an earlier one")
  func later() async {
    let time = Mutex<Int64>(0)
    let fired = AsyncStream<Int64>.makeStream()
    let timer = SharedTimer()
    timer.start(now: { time.withLock { $0 } }) { fired.continuation.yield(time.withLock { $0 }) }
    timer.arm(at: 1_000_000_000_000)
    timer.arm(at: 2_000_000_000_000)
    time.withLock { $0 = 1_500_000_000_000 }
    timer.lookAgain()
    time.withLock { $0 = 2_000_000_000_000 }
    timer.lookAgain()
    var moments = fired.stream.makeAsyncIterator()
    #expect(await moments.next() == 2_000_000_000_000)
    timer.stop()
  }

  @Test("a ring before the wait is kept for it")
  func keptRing() {
    let bell = ThreadBell()
    bell.ring()
    bell.wait(nanoseconds: .max)
  }

  @Test("no ring is lost between two threads")
  func rings() async {
    let (ping, pong) = (ThreadBell(), ThreadBell())
    let done = AsyncStream<Int>.makeStream()
    let isPonging = SystemThread.startDetached(named: "pong") {
      for _ in 0..<2_000 {
        ping.wait(nanoseconds: .max)
        pong.ring()
      }
    }
    let isPinging = SystemThread.startDetached(named: "ping") {
      for _ in 0..<2_000 {
        ping.ring()
        pong.wait(nanoseconds: .max)
      }
      done.continuation.yield(2_000)
    }
    #expect(isPonging && isPinging)
    var ends = done.stream.makeAsyncIterator()
    #expect(await ends.next() == 2_000)
  }

  @Test("request ids are UUIDs of version 4")
  func requestIDs() {
    for _ in 0..<100 {
      let id = RequestID.make()
      #expect(id.split(separator: "-").map(\.count) == [8, 4, 4, 4, 12])
      #expect(id.split(separator: "-")[2].first == "4")
      #expect("89ab".contains(id.split(separator: "-")[3].first ?? "?"))
    }
  }
}
