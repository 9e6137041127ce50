import ArgumentParser
import Foundation
import LambdaRuntime
import Logging
import SluiceService
import StreamModel
import StreamRuntime

struct Invoke: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Invoke a function of a configuration once, and print its response.",
    discussion: """
      It runs in an environment of its own, started for this, or is posted to the URL of the function; a worker is neither \
      needed nor touched. The function's log goes to standard error. Exit code 1 when it fails, with Lambda's error object as the output.

      With --async the event is stored, and the worker of the configuration hands it to the function when it can: with \
      retries, as its `async` says. --status tells what became of it. Of a function whose events failed for good, \
      sluice failures has them.

      Examples:
        sluice invoke orders event.json --config sluice.yaml
        echo '{"Records":[]}' | sluice invoke orders - --config sluice.yaml
        sluice invoke orders event.json --config sluice.yaml --dry-run
        sluice invoke orders event.json --config sluice.yaml --async
        sluice invoke orders --config sluice.yaml --status 4b1f3f0e-7d6c-4b0e-9b1e-0c2f3a4d5e6f
        sluice failures list --mapping async.orders
      """)

  @Argument(help: "The function.") var function: String
  @Argument(help: "The event, a file with JSON, or - for standard input.") var event: String?
  @Option(help: "The configuration file.") var config: String
  @Flag(help: "Check the function and the event, and start nothing.") var dryRun = false
  @Flag(help: "Leave out what the function and its environment log.") var quiet = false
  @Flag(name: .customLong("async"), help: "Store the event for the worker, and do not wait for it.") var isAsync = false
  @Option(help: "Say what became of the event that --async gave this request id for.") var status: String?
  @OptionGroup var output: FormatOption

  /// The bytes of an event at most.
  static let eventByteLimit = 6_291_456

  func validate() throws {
    if status != nil {
      guard event == nil, !dryRun, !isAsync else {
        throw ValidationError("--status takes the request id alone: leave out the event, --dry-run and --async.")
      }
    } else if event == nil {
      throw ValidationError("Give the event: a file with JSON, or - for standard input.")
    }
    if isAsync, dryRun { throw ValidationError("Give either --async or --dry-run.") }
  }

  func run() async throws {
    let configuration = try ConfigurationOptions.read(
      file: config, ConfigurationOverrides(environment: ProcessInfo.processInfo.environment)
    ).configuration
    guard let found = configuration.function(named: function) else {
      let known = configuration.functions.map(\.name).joined(separator: ", ")
      throw Problem(
        Exit.badInput, "\(config) has no function \(function); it has \(known.isEmpty ? "none" : known).")
    }
    if isAsync || status != nil {
      let events = try StoredInvocations(of: found, configuration: config, store: configuration.store.path)
      if let status { return try await events.show(status, asJSON: output.isJSON) }
      return try await events.add(
        try readEvent(limit: StoredInvocations.eventByteLimit, "Event"), asJSON: output.isJSON)
    }
    guard found.handlerProtocol != .lines else {
      throw Problem(
        Exit.badInput, "\(function) reads JSON lines; only functions with protocol: lambda or http are invoked.")
    }
    let bytes = try readEvent(limit: Self.eventByteLimit, "RequestResponse")
    if dryRun {
      let call =
        found.handlerProtocol == .http ? "POST \(found.url)" : found.handlerCommand.arguments.joined(separator: " ")
      return print("\(function): \(call), \(bytes.count) bytes of event")
    }
    do {
      try await invoke(found.unpacked(inStore: configuration.store.path), bytes)
    } catch let error as CodeProblem {
      throw Problem(Exit.badInput, error.description)
    }
  }

  /// `type` is AWS's name for the way of invoking, which has its own limit.
  private func readEvent(limit: Int, _ type: String) throws -> [UInt8] {
    let event = event ?? "-"
    let data: Data
    do {
      data = event == "-" ? FileHandle.standardInput.readDataToEndOfFile() : try Data(contentsOf: URL(filePath: event))
    } catch {
      throw Problem(Exit.badInput, "\(event) cannot be read: \(error.localizedDescription)")
    }
    guard data.count <= limit else {
      throw Problem(
        Exit.badInput, "\(data.count) byte payload is too large for the \(type) invocation type (limit \(limit) bytes)")
    }
    guard (try? JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed)) != nil else {
      throw Problem(Exit.badInput, "Could not parse request body into json: \(event) is not JSON.")
    }
    return Array(data)
  }

  private func invoke(_ found: FunctionConfiguration, _ event: [UInt8]) async throws {
    let isQuiet = quiet
    let pool = InvokedFunction(
      found,
      logger: Logger(label: "invoke") { _ in isQuiet ? SwiftLogNoOpLogHandler() : FunctionLog() as any LogHandler })
    let requestID = UUID().uuidString.lowercased()
    let result: Result<[UInt8], HandlerFailure>
    do throws(HandlerFailure) {
      result = .success(try await pool.invoke(requestID, event))
    } catch {
      result = .failure(error)
    }
    // What it logged is out before the answer.
    await pool.shutdown()
    switch result {
    case .success(let response):
      FileHandle.standardOutput.write(Data(response + [UInt8(ascii: "\n")]))
    case .failure(let failure):
      try printJSON(InvocationError(failure))
      throw Problem(Exit.failed, "\(failure.type): \(failure.message)")
    }
  }
}

/// A function with one environment, or the service that it is.
private enum InvokedFunction {
  case environment(FunctionPool)
  case service(HTTPFunctionPool)

  init(_ function: FunctionConfiguration, logger: Logger) {
    guard function.handlerProtocol != .http else {
      self = .service(HTTPFunctionPool(function.httpSettings, logger: logger))
      return
    }
    var settings = function.functionSettings
    settings.concurrency = 1
    settings.provisioned = 0
    self = .environment(FunctionPool(settings, logger: logger))
  }

  func invoke(_ requestID: String, _ event: [UInt8]) async throws(HandlerFailure) -> [UInt8] {
    switch self {
    case .environment(let pool): try await pool.invoke(requestID) { $0.append(contentsOf: event) }
    case .service(let pool): try await pool.invoke(requestID) { $0.append(contentsOf: event) }
    }
  }

  func shutdown() async {
    switch self {
    case .environment(let pool): await pool.shutdown()
    case .service(let pool): await pool.shutdown()
    }
  }
}

/// As Lambda gives it to who invokes.
private struct InvocationError: Encodable {
  var errorType: String
  var errorMessage: String
  var stackTrace: [String]

  init(_ failure: HandlerFailure) {
    (errorType, errorMessage, stackTrace) = (failure.type, failure.message, failure.trace)
  }
}

/// Lines of the function, on standard error.
private struct FunctionLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var text = Text.lines(event.message.description)
    for (key, value) in (event.metadata ?? [:]).sorted(by: { $0.key < $1.key }) where key != "requestId" {
      text += " \(key)=\(value)"
    }
    FileHandle.standardError.write(Data("\(text)\n".utf8))
  }
}
