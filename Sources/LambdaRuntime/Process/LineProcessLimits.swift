/// Bounds for the processes of one function.
public struct LineProcessLimits: Hashable, Sendable {
  /// The bytes of an answer at most. The default is AWS's limit.
  public var answerByteCount = 6_291_556
  /// Between SIGTERM and SIGKILL when a handler is not done at its deadline.
  public var deadlineGrace = Duration.milliseconds(100)
  /// At a shutdown: from the end of input to SIGTERM, and from there to SIGKILL.
  public var shutdownGrace = Duration.seconds(2)
  /// The wait before the next process is started when one ended without a single answer. Doubles with each in a row.
  public var firstRestartWait = Duration.milliseconds(100)
  public var longestRestartWait = Duration.seconds(10)

  public init() {}

  /// The wait after `count` processes in a row ended without an answer, 1 or more.
  func restartWait(after count: Int) -> Duration {
    min(firstRestartWait * (1 << min(count - 1, 30)), longestRestartWait)
  }
}
