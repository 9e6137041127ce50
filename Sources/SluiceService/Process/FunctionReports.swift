import LambdaRuntime
import Sluice

extension FunctionReport {
  /// `nil` for processes that read lines, which nobody counts.
  init?(_ processes: FunctionProcesses?) {
    switch processes {
    case .lambda(let pool): self.init(pool)
    case .http(let pool): self.init(pool)
    case .lines, nil: return nil
    }
  }

  init(_ pool: HTTPFunctionPool) {
    let snapshot = pool.statistics.snapshot
    let settings = pool.settings
    self.init(
      name: settings.name, command: [settings.url], environments: pool.runningCount,
      concurrency: settings.concurrency, invocations: snapshot.invocations, errors: snapshot.errors,
      throttles: snapshot.throttles, coldStarts: 0, initFailures: 0, duration: Times(snapshot.durations),
      initDuration: Times(snapshot.inits), timeoutMilliseconds: settings.timeout / .milliseconds(1), memoryMegabytes: 0,
      largestMemoryMegabytes: 0, memoryLimit: .none)
  }

  init(_ pool: FunctionPool) {
    let snapshot = pool.statistics.snapshot
    let settings = pool.settings
    self.init(
      name: settings.name, command: settings.command.arguments, environments: pool.environmentCount,
      concurrency: settings.concurrency, invocations: snapshot.invocations, errors: snapshot.errors,
      throttles: snapshot.throttles, coldStarts: snapshot.starts, initFailures: snapshot.initFailures,
      duration: Times(snapshot.durations), initDuration: Times(snapshot.inits),
      timeoutMilliseconds: pool.currentTimeout / .milliseconds(1),
      timeoutBounds: settings.adaptiveTimeout.map {
        TimeoutBounds(floor: $0.floor / .milliseconds(1), ceiling: $0.ceiling / .milliseconds(1))
      }, memoryMegabytes: settings.memorySize,
      largestMemoryMegabytes: Int((snapshot.largestMemoryBytes + (1 << 20) - 1) >> 20),
      memoryLimit: pool.hasMemoryGroups ? .controlGroup : .sampled)
    lastInitFailure = snapshot.lastInitFailure.map { "\($0.type): \($0.message)" }
  }
}

extension FunctionReport.Times {
  fileprivate init(_ histogram: DurationHistogram) {
    func milliseconds(_ share: Double) -> Double? { histogram.nanoseconds(at: share).map { Double($0) / 1_000_000 } }
    self.init(
      p50: milliseconds(0.5), p90: milliseconds(0.9), p99: milliseconds(0.99),
      largest: histogram.count > 0 ? Double(histogram.largestNanoseconds) / 1_000_000 : nil)
  }
}
