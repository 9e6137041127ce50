extension Backoff {
  /// How long to wait after the `failures`-th failure in a row (1 or more), in milliseconds. `jitter` is any random
  /// number. Never above `capMilliseconds`, never negative.
  func delayMilliseconds(failures: Int, jitter: UInt64) -> Int64 {
    precondition(failures >= 1, "there is nothing to wait for before the first failure")
    let delay = growthPercent == 200 ? doubled(failures - 1) : grown(failures - 1)
    guard jitterPercent > 0 else { return max(0, delay) }
    let spread = UInt64(2 * jitterPercent + 1)
    let percent = 100 - Int64(jitterPercent) + Int64(jitter % spread)
    // A cap beyond 2^56 milliseconds would overflow the product; there jitter has no meaning.
    let (product, overflow) = delay.multipliedReportingOverflow(by: percent)
    return max(0, min(overflow ? delay : product / 100, capMilliseconds))
  }

  private func doubled(_ times: Int) -> Int64 {
    var delay = min(firstMilliseconds, capMilliseconds)
    var doublings = times
    while doublings > 0, delay > 0, delay < capMilliseconds {
      delay = delay > capMilliseconds / 2 ? capMilliseconds : delay * 2
      doublings -= 1
    }
    return delay
  }

  /// In floating point, so that small waits grow by fractions too.
  private func grown(_ times: Int) -> Int64 {
    var delay = Double(min(firstMilliseconds, capMilliseconds))
    guard growthPercent > 100, delay > 0 else { return Int64(delay) }
    let growth = Double(growthPercent) / 100
    let cap = Double(capMilliseconds)
    var steps = times
    while steps > 0, delay < cap {
      delay *= growth
      steps -= 1
    }
    return delay < cap ? Int64(delay) : capMilliseconds
  }
}
