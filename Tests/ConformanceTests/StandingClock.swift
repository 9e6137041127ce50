import Locks
import StreamModel
import StreamRuntime

/// Clocks that move only when they are told to: what a lane waits for is then known to the millisecond.
final class StandingClock: Sendable {
  private let state = Mutex((now: StandingClock.beginning(), observers: [@Sendable () -> Void]()))

  /// An hour ago or somewhat more, where tumbling windows of any length that divides a quarter of an hour begin.
  private static func beginning() -> Now {
    let now = SystemClock.now()
    let quarter: Int64 = 900_000
    let past = (now.wall.milliseconds - 3_600_000) / quarter * quarter
    return Now(monotonic: now.monotonic, wall: WallTime(milliseconds: past))
  }

  var now: Now { state.withLock { $0.now } }

  func advance(to moment: MonotonicTime) {
    let passed = moment.nanoseconds - now.monotonic.nanoseconds
    guard passed > 0 else { return }
    // Waits are whole milliseconds; a clock that shows less would fall due a moment later.
    advance(milliseconds: (passed + 999_999) / 1_000_000)
  }

  func advance(milliseconds: Int64) {
    let observers = state.withLock { state in
      state.now = Now(
        monotonic: MonotonicTime(nanoseconds: state.now.monotonic.nanoseconds + milliseconds * 1_000_000),
        wall: state.now.wall.adding(milliseconds: milliseconds))
      return state.observers
    }
    for observer in observers { observer() }
  }

  func observe(_ observer: @escaping @Sendable () -> Void) {
    state.withLock { $0.observers.append(observer) }
  }
}
