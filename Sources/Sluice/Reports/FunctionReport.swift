/// What the invocations of a function came to since its worker started.
public struct FunctionReport: Codable, Hashable, Sendable {
  public var name: String
  /// The program and its arguments, or the URL.
  public var command: [String]
  /// Environments, or requests, that run now, and that may run.
  public var environments: Int
  public var concurrency: Int
  /// Invocations whose event reached the function.
  public var invocations: Int
  /// Failed invocations by their error's type.
  public var errors: [String: Int]
  public var throttles: Int
  /// Environments that were started.
  public var coldStarts: Int
  /// Environments that never asked for an event.
  public var initFailures: Int
  /// The type and the message of the last of these; `nil` if there was none.
  public var lastInitFailure: String?
  public var duration: Times
  public var initDuration: Times
  public var timeoutMilliseconds: Double
  /// The timeout follows what invocations need, between these.
  public var timeoutBounds: TimeoutBounds?
  /// What would be enough, with room to spare; `nil` until there are ``enoughInvocations``.
  public var recommendedTimeoutMilliseconds: Double?
  /// 0 for a service behind a URL.
  public var memoryMegabytes: Int
  public var largestMemoryMegabytes: Int
  public var recommendedMemoryMegabytes: Int?
  public var memoryLimit: MemoryLimit

  /// Who sees to it that a function uses no more memory than it has.
  public enum MemoryLimit: String, Codable, Hashable, Sendable {
    /// Nobody: it is a service behind a URL.
    case none
    /// The kernel, with a control group for each environment.
    case controlGroup
    /// The worker, which looks at the resident memory every 10 ms.
    case sampled
  }

  /// In milliseconds.
  public struct TimeoutBounds: Codable, Hashable, Sendable {
    public var floor: Double
    public var ceiling: Double

    public init(floor: Double, ceiling: Double) { (self.floor, self.ceiling) = (floor, ceiling) }
  }

  /// In milliseconds; `nil` if there were none. Quantiles are exact to an eighth.
  public struct Times: Codable, Hashable, Sendable {
    public var p50: Double?
    public var p90: Double?
    public var p99: Double?
    public var largest: Double?

    public init(p50: Double?, p90: Double?, p99: Double?, largest: Double?) {
      (self.p50, self.p90, self.p99, self.largest) = (p50, p90, p99, largest)
    }
  }

  /// Advice stands on so many invocations at least.
  public static let enoughInvocations = 100

  public init(
    name: String, command: [String], environments: Int, concurrency: Int, invocations: Int, errors: [String: Int],
    throttles: Int, coldStarts: Int, initFailures: Int, duration: Times, initDuration: Times,
    timeoutMilliseconds: Double, timeoutBounds: TimeoutBounds? = nil, memoryMegabytes: Int, largestMemoryMegabytes: Int,
    memoryLimit: MemoryLimit
  ) {
    self.memoryLimit = memoryLimit
    self.timeoutBounds = timeoutBounds
    self.name = name
    self.command = command
    self.environments = environments
    self.concurrency = concurrency
    self.invocations = invocations
    self.errors = errors
    self.throttles = throttles
    self.coldStarts = coldStarts
    self.initFailures = initFailures
    self.duration = duration
    self.initDuration = initDuration
    self.timeoutMilliseconds = timeoutMilliseconds
    self.memoryMegabytes = memoryMegabytes
    self.largestMemoryMegabytes = largestMemoryMegabytes
    guard invocations >= Self.enoughInvocations, let p99 = duration.p99 else { return }
    // Three times what all but the slowest take, in whole seconds.
    if timeoutBounds == nil { recommendedTimeoutMilliseconds = max(1_000, (p99 * 3 / 1_000).rounded(.up) * 1_000) }
    // Of a service behind a URL nobody knows it.
    guard memoryMegabytes > 0 else { return }
    // A quarter more than was ever used, in steps of 64 MiB; Lambda's least is two of them.
    let wanted = largestMemoryMegabytes + largestMemoryMegabytes / 4
    recommendedMemoryMegabytes = max(128, (wanted + 63) / 64 * 64)
  }
}
