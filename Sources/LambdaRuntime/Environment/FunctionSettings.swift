/// What a function is: its program, and the limits that it runs under, with Lambda's names and defaults.
public struct FunctionSettings: Hashable, Sendable {
  /// 1 … 128 characters.
  public var name: String
  public var command: HandlerCommand
  /// `_HANDLER`, such as `orders.handler`. Empty if the program does not need it.
  public var handler = ""
  /// `Runtime`, such as `python3.12`. Empty for a program of any kind.
  public var runtime = ""
  /// How long an invocation may take, 1 ms … 15 min.
  public var timeout = Duration.seconds(3)
  /// Where this is set, the timeout follows what invocations need, and `timeout` is its ceiling.
  public var adaptiveTimeout: AdaptiveTimeout?
  /// The memory that an environment may use, in MiB: 1 or more. What uses more is killed.
  public var memorySize = 128
  /// Execution environments at once at most: reserved concurrency.
  public var concurrency = 1
  /// Environments that are started before the first invocation and kept: provisioned concurrency, at most `concurrency`.
  public var provisioned = 0
  /// How long an environment may wait for an invocation before it is ended.
  public var idleTime = Duration.seconds(600)
  public var logFormat = LogFormat.text
  /// Whether each event goes to the log, up to ``FunctionLimits/loggedEventByteCount``.
  public var logsEvents = false
  /// The members of an event whose values are left out of the log.
  public var redactedMembers: Set<String> = []
  /// The AWS names in the function's ARN and its environment.
  public var identity = EventIdentity()

  public init(name: String, command: HandlerCommand) {
    self.name = name
    self.command = command
  }

  /// How the function's START, END and REPORT lines are written, and what it is told about its own.
  public enum LogFormat: String, Hashable, Sendable, CaseIterable {
    case text = "Text"
    case json = "JSON"
  }

  public static let version = "$LATEST"

  /// With its qualifier, as functions see it in their context.
  var invokedARN: String { identity.functionARN(name) }
}

/// Bounds for the environments of a function, besides those in its ``FunctionSettings``.
public struct FunctionLimits: Hashable, Sendable {
  /// The bytes of a response at most.
  public var responseByteCount = 6_291_556
  /// The time from the start of a process until it asks for its first event. After that the environment is started once
  /// more, as a part of the invocation that waits for it.
  public var initTimeout = Duration.seconds(10)
  /// Between SIGTERM and SIGKILL when an environment is ended that does nothing wrong.
  public var shutdownGrace = Duration.milliseconds(500)
  /// How long an invocation waits for one of `concurrency` environments before it is throttled.
  public var throttleAfter = Duration.seconds(5)
  /// The wait before the next process is started when one could not be initialized. Doubles with each in a row.
  public var firstRestartWait = Duration.milliseconds(100)
  public var longestRestartWait = Duration.seconds(10)
  /// The bytes of an event that go to the log at most. A longer one is only counted.
  public var loggedEventByteCount = 8_000
  /// The share of its timeout above which an invocation is warned about.
  public var warnedTimeoutShare = 0.8
  /// Where the kernel sees to the memory of environments; `nil`: they are looked at.
  public var memoryGroups: MemoryGroups?
  /// Between two looks at the memory of an environment at work.
  public var memorySampleInterval = Duration.milliseconds(10)

  public init() {}

  /// How much longer than its timeout an invocation may take, counted from the call: its turn, two starts, the end.
  public var invocationMargin: Duration {
    throttleAfter + longestRestartWait + initTimeout + longestRestartWait + .seconds(5)
  }

  /// The wait after `count` processes in a row could not be initialized, 1 or more.
  func restartWait(after count: Int) -> Duration {
    min(firstRestartWait * (1 << min(count - 1, 30)), longestRestartWait)
  }
}

extension Duration {
  var inNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}
