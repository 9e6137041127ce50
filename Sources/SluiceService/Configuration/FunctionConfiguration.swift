import Foundation
public import LambdaRuntime

/// A handler in other processes.
public struct FunctionConfiguration: Hashable, Sendable {
  public var name: String
  /// The program and its arguments; empty where events go to a URL.
  public var command: [String]
  /// Where events are posted to.
  public var url = ""
  /// Signs what is posted.
  public var signature: WebhookSignature?
  public var handlerProtocol = HandlerProtocol.lambda
  /// `Handler`, such as `orders.handler`; empty where the program does not need it.
  public var handler = ""
  /// `Runtime`, such as `python3.12`; empty for a program of any kind.
  public var runtime = ""
  /// Where the program runs, absolute or relative to this process; `nil`: where this process runs.
  public var directory: String?
  /// A zip archive whose unpacked code is the directory, once it is unpacked.
  public var code: CodeArchive?
  /// Who the program runs as; `nil`: as this process.
  public var user: String?
  /// Set on top of the environment of this process.
  public var environment: [String: String] = [:]
  /// How long a call may take, 1 ms … 15 min; where it adapts, at most.
  public var timeout: Duration
  /// `timeout: adaptive`: not shorter than this; `nil` where it does not adapt.
  public var timeoutFloor: Duration?
  /// Processes at once at most, 1 … 1,000.
  public var concurrency = 1
  /// The bytes of memory that a process and its own may use, 1 MiB … 1 TiB, in whole MiB.
  public var memory: Int64 = 128 << 20
  /// Processes that are started before the first call and kept, 0 … `concurrency`.
  public var provisioned = 0
  /// How long a process may wait for a call before it is ended, 1 s … 7 d.
  public var idleTime = Duration.seconds(600)
  /// `async`; `nil`: the function is not invoked asynchronously.
  public var asyncInvocation: AsyncInvocation?
  public var logFormat = LogFormat.text
  /// Whether each event goes to the log.
  public var logsEvents = false
  /// The members of an event whose values are left out of the log.
  public var redactedMembers: [String] = []

  public init(name: String, command: [String], handlerProtocol: HandlerProtocol = .lambda) {
    self.name = name
    self.command = command
    self.handlerProtocol = handlerProtocol
    self.timeout = handlerProtocol.standardTimeout
  }

  /// Between these, unless the configuration says other ones.
  static let adaptiveTimeouts = Duration.seconds(1) ... .seconds(60)

  /// How events reach the program.
  public enum HandlerProtocol: String, Hashable, Sendable, CaseIterable {
    /// The Runtime API: a program written for AWS Lambda.
    case lambda
    /// An event line on standard input, an answer line on standard output.
    case lines
    /// A POST of the event to a URL.
    case http

    /// Lambda's own, a minute for lines, half of one for a service.
    public var standardTimeout: Duration {
      switch self {
      case .lambda: .seconds(3)
      case .lines: .seconds(60)
      case .http: .seconds(30)
      }
    }
  }

  /// How lines about invocations are written.
  public enum LogFormat: String, Hashable, Sendable, CaseIterable {
    case text = "Text"
    case json = "JSON"
  }

  /// The program as it is run; Python's with the virtual environment of its folder, if there is one.
  package var handlerCommand: HandlerCommand {
    var arguments = command
    if arguments.isEmpty {
      let own = ".venv/bin/python3"
      let path = (directory.map { $0 + "/" } ?? "") + own
      arguments = [
        FileManager.default.isExecutableFile(atPath: path) ? own : "python3", "-m", "awslambdaric", handler,
      ]
    }
    var made = HandlerCommand(arguments, directory: directory, environment: environment)
    made.user = user
    return made
  }

  /// The same with its archive unpacked below `store`, the directory of the store. Throws ``CodeProblem``.
  package func unpacked(inStore store: String) throws -> FunctionConfiguration {
    guard let code else { return self }
    var unpacked = self
    unpacked.directory = URL(filePath: try code.unpack(for: name, in: Self.codeFolder(inStore: store))).path
    return unpacked
  }

  package static func codeFolder(inStore store: String) -> String { "\(store)/code" }

  /// What the service behind the URL is called with.
  package var httpSettings: HTTPFunctionSettings {
    var settings = HTTPFunctionSettings(name: name, url: url)
    settings.timeout = timeout
    settings.concurrency = concurrency
    settings.signature = signature
    settings.logFormat = logFormat == .json ? .json : .text
    return settings
  }

  /// What a pool of environments is made from.
  package var functionSettings: FunctionSettings {
    var settings = FunctionSettings(name: name, command: handlerCommand)
    settings.adaptiveTimeout = timeoutFloor.map { AdaptiveTimeout(floor: $0, ceiling: timeout) }
    settings.handler = handler
    settings.runtime = runtime
    settings.timeout = timeout
    settings.memorySize = Int(memory >> 20)
    settings.concurrency = concurrency
    settings.provisioned = provisioned
    settings.idleTime = idleTime
    settings.logFormat = logFormat == .json ? .json : .text
    settings.logsEvents = logsEvents
    settings.redactedMembers = Set(redactedMembers)
    return settings
  }
}
