internal import Glibc

/// What an error number of the system means.
func systemMessage(_ code: Int32) -> String {
  unsafe String(cString: strerror(code))
}

/// Nanoseconds of monotonic time.
func monotonicNanoseconds() -> Int64 {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
