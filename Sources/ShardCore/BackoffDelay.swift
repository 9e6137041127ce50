extension Backoff {
  /// How long to wait after the `failures`-th failure in a row (1 or more), in milliseconds. `jitter` is any random
  /// number. Never above `capMilliseconds`, never negative.
  func delayMilliseconds(failures: Int, jitter: UInt64) -> Int64 {
    precondition(failures >= 1, "there is nothing to wait for before the first failure")
    var delay = min(firstMilliseconds, capMilliseconds)
    var doublings = failures - 1
    while doublings > 0, delay > 0, delay < capMilliseconds {
      delay = delay > capMilliseconds / 2 ? capMilliseconds : delay * 2
      doublings -= 1
    }
    guard jitterPercent > 0 else { return max(0, delay) }
    let spread = UInt64(2 * jitterPercent + 1)
    let percent = 100 - Int64(jitterPercent) + Int64(jitter % spread)
    // A cap beyond 2^56 milliseconds would overflow the product; there jitter has no meaning.
    let (product, overflow) = delay.multipliedReportingOverflow(by: percent)
    return max(0, min(overflow ? delay : product / 100, capMilliseconds))
  }
}
