public import StreamModel

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Reads both clocks of the machine.
public enum SystemClock {
  /// The time, for one step. Costs two clock reads.
  public static func now() -> Now {
    Now(monotonic: monotonic(), wall: wall())
  }

  public static func monotonic() -> MonotonicTime {
    MonotonicTime(nanoseconds: read(CLOCK_MONOTONIC))
  }

  public static func wall() -> WallTime {
    WallTime(milliseconds: read(CLOCK_REALTIME) / 1_000_000)
  }

  private static func read(_ clock: clockid_t) -> Int64 {
    var moment = timespec()
    clock_gettime(clock, &moment)
    return Int64(moment.tv_sec) * 1_000_000_000 + Int64(moment.tv_nsec)
  }
}
