import StreamModel
import Synchronization

/// The time of a replay, which goes on when it is told to.
final class VirtualClock: Sendable {
  /// The wall clock where monotonic time is zero.
  let beginning: WallTime
  private let elapsed = Atomic<Int64>(0)

  init(beginning: WallTime) { self.beginning = beginning }

  var nanoseconds: Int64 {
    get { elapsed.load(ordering: .relaxed) }
    set { elapsed.store(newValue, ordering: .relaxed) }
  }

  var now: Now {
    let nanoseconds = nanoseconds
    return Now(
      monotonic: MonotonicTime(nanoseconds: nanoseconds),
      wall: beginning.adding(milliseconds: nanoseconds / 1_000_000))
  }

  /// When the wall clock shows this moment, in nanoseconds.
  func nanoseconds(at moment: WallTime) -> Int64 {
    let (milliseconds, overflow) = moment.milliseconds.subtractingReportingOverflow(
      beginning.milliseconds)
    let (nanoseconds, overflows) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
    return overflow || overflows ? .max : nanoseconds
  }
}
