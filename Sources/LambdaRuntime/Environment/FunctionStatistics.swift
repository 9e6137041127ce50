import Locks
public import StreamModel

/// What the invocations of a function came to since the worker started.
public final class FunctionStatistics: Sendable {
  private let counts = Mutex(Counts())

  public init() {}

  private struct Counts {
    var invocations = 0
    var errors: [String: Int] = [:]
    var throttles = 0
    var starts = 0
    var initFailures = 0
    var lastInitFailure: HandlerFailure?
    var durations = DurationHistogram()
    var inits = DurationHistogram()
    var largestMemoryBytes: Int64 = 0
    var recent = RecentDurations()
    var warnedAt: Int64?
  }

  /// From the times of recent invocations.
  func timeout(_ adaptive: AdaptiveTimeout) -> Duration {
    adaptive.timeout(after: counts.withLock { $0.recent.all })
  }

  /// Whether a warning is due, in nanoseconds of the monotonic clock: one a minute says it as well as a thousand.
  func mayWarn(at now: Int64) -> Bool {
    counts.withLock { counts in
      if let last = counts.warnedAt, now - last < 60_000_000_000 { return false }
      counts.warnedAt = now
      return true
    }
  }

  func noteStart() { counts.withLock { $0.starts += 1 } }
  func noteInit(nanoseconds: Int64) { counts.withLock { $0.inits.add(nanoseconds) } }
  func noteInitFailure(_ failure: HandlerFailure) {
    counts.withLock { counts in
      counts.initFailures += 1
      counts.lastInitFailure = failure
    }
  }
  func noteThrottle() { counts.withLock { $0.throttles += 1 } }

  func note(_ report: InvocationLines.Report) {
    counts.withLock { counts in
      counts.invocations += 1
      counts.durations.add(report.durationNanoseconds)
      counts.recent.add(report.durationNanoseconds)
      counts.largestMemoryBytes = max(counts.largestMemoryBytes, report.largestMemoryBytes)
      switch report.status {
      case .success: break
      case .error(let type): Self.count(type, in: &counts.errors)
      case .timeout: Self.count("Sandbox.Timedout", in: &counts.errors)
      }
    }
  }

  /// At most so many types of errors are told apart; a function can make up any number.
  static let errorTypeLimit = 32

  private static func count(_ type: String, in errors: inout [String: Int]) {
    let name = errors[type] != nil || errors.count < errorTypeLimit ? type : "others"
    errors[name, default: 0] += 1
  }

  /// All of it at one moment.
  public struct Snapshot: Hashable, Sendable {
    /// Invocations whose event reached the function.
    public var invocations = 0
    /// Failed invocations by their error's type.
    public var errors: [String: Int] = [:]
    /// Invocations that found no environment in time.
    public var throttles = 0
    /// Environments that were started.
    public var starts = 0
    /// Environments that never asked for an event.
    public var initFailures = 0
    /// Why the last of them did not.
    public var lastInitFailure: HandlerFailure?
    public var durations = DurationHistogram()
    public var inits = DurationHistogram()
    public var largestMemoryBytes: Int64 = 0
  }

  public var snapshot: Snapshot {
    counts.withLock { counts in
      Snapshot(
        invocations: counts.invocations, errors: counts.errors, throttles: counts.throttles, starts: counts.starts,
        initFailures: counts.initFailures, lastInitFailure: counts.lastInitFailure, durations: counts.durations,
        inits: counts.inits, largestMemoryBytes: counts.largestMemoryBytes)
    }
  }
}

/// How long things took: counts in steps of an eighth, from a microsecond to hours. Constant in memory.
public struct DurationHistogram: Hashable, Sendable {
  private var counts: [Int] = []
  public private(set) var count = 0
  public private(set) var largestNanoseconds: Int64 = 0

  public init() {}

  public mutating func add(_ nanoseconds: Int64) {
    if counts.isEmpty { counts = [Int](repeating: 0, count: Self.stepCount) }
    counts[Self.step(nanoseconds)] += 1
    count += 1
    largestNanoseconds = max(largestNanoseconds, nanoseconds)
  }

  /// Adds all of another.
  mutating func add(_ other: DurationHistogram) {
    guard other.count > 0 else { return }
    if counts.isEmpty { counts = [Int](repeating: 0, count: Self.stepCount) }
    for step in counts.indices { counts[step] += other.counts[step] }
    count += other.count
    largestNanoseconds = max(largestNanoseconds, other.largestNanoseconds)
  }

  /// The time that `share` of them did not exceed, 0 … 1: exact to an eighth. `nil` if there were none.
  public func nanoseconds(at share: Double) -> Int64? {
    guard count > 0 else { return nil }
    let wanted = max(1, Int((share * Double(count)).rounded(.up)))
    var seen = 0
    for (step, found) in counts.enumerated() {
      seen += found
      if seen >= wanted { return min(Self.upperBound(step), largestNanoseconds) }
    }
    return largestNanoseconds
  }

  private static let stepCount = 8 * 44

  /// Steps of eight to each doubling of microseconds.
  private static func step(_ nanoseconds: Int64) -> Int {
    let value = UInt64(max(nanoseconds, 0)) / 125
    guard value >= 8 else { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount
    return min((exponent - 2) * 8 + Int(value >> UInt64(exponent - 3) & 7), stepCount - 1)
  }

  private static func upperBound(_ step: Int) -> Int64 {
    guard step >= 8 else { return Int64(step + 1) * 125 }
    let exponent = step / 8 + 2
    return Int64((8 + step % 8 + 1) << (exponent - 3)) * 125
  }
}
