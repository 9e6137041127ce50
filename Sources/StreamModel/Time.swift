/// A moment on the wall clock: milliseconds since 1970-01-01T00:00:00Z.
///
/// Arrival times and record ages are wall time, as on AWS. The wall clock may step back; whoever derives an age from it
/// must cope (see ``WallTime/age(at:)``).
public struct WallTime: Hashable, Comparable, Sendable {
  public var milliseconds: Int64

  public init(milliseconds: Int64) {
    self.milliseconds = milliseconds
  }

  // Computed: of a stored one other rooms ask for the place, each time.
  public static var zero: WallTime { WallTime(milliseconds: 0) }
  public static var distantFuture: WallTime { WallTime(milliseconds: .max) }

  public static func < (left: WallTime, right: WallTime) -> Bool { left.milliseconds < right.milliseconds }

  /// How long ago this was at `now`, in milliseconds. Never negative: when the wall clock stepped back, zero.
  public func age(at now: WallTime) -> Int64 {
    now.milliseconds > milliseconds ? now.milliseconds - milliseconds : 0
  }

  /// This moment, `milliseconds` later. Saturates instead of overflowing.
  public func adding(milliseconds: Int64) -> WallTime {
    let (sum, overflow) = self.milliseconds.addingReportingOverflow(milliseconds)
    return WallTime(milliseconds: overflow ? .max : sum)
  }
}

/// A moment on the monotonic clock of this process: nanoseconds since an arbitrary start. Timers use it.
public struct MonotonicTime: Hashable, Comparable, Sendable {
  public var nanoseconds: Int64

  public init(nanoseconds: Int64) {
    self.nanoseconds = nanoseconds
  }

  public static var zero: MonotonicTime { MonotonicTime(nanoseconds: 0) }
  public static var distantFuture: MonotonicTime { MonotonicTime(nanoseconds: .max) }

  public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool { left.nanoseconds < right.nanoseconds }

  /// This moment, `milliseconds` later. Saturates instead of overflowing.
  public func adding(milliseconds: Int64) -> MonotonicTime {
    let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
    let (sum, overflowed) = nanoseconds.addingReportingOverflow(product)
    return MonotonicTime(nanoseconds: overflow || overflowed ? .max : sum)
  }
}

/// Both clocks, read once for one step: monotonic time for timers, wall time for record age.
public struct Now: Hashable, Sendable {
  public var monotonic: MonotonicTime
  public var wall: WallTime

  public init(monotonic: MonotonicTime, wall: WallTime) {
    self.monotonic = monotonic
    self.wall = wall
  }
  /// When the wall clock will show `moment`, if it runs on as it does; now, if it shows that already.
  public func monotonic(at moment: WallTime) -> MonotonicTime {
    let (left, overflow) = moment.milliseconds.subtractingReportingOverflow(wall.milliseconds)
    return overflow ? .distantFuture : monotonic.adding(milliseconds: max(0, left))
  }
}
