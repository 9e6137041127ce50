import Foundation
import Synchronization

/// The program under test, as it lies beside the bundle of these tests.
enum Program {
  static let path: String = {
    // The test bundle is the first argument under SwiftPM; without it, the debug build of this package.
    let bundle = CommandLine.arguments.first.map { URL(filePath: $0).deletingLastPathComponent() }
    let beside = bundle?.appending(path: "sluice").path
    if let beside, FileManager.default.isExecutableFile(atPath: beside) { return beside }
    return root.appending(path: ".build/debug/sluice").path
  }()

  /// The root of the repository.
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  /// What every child gets on top of the environment of the tests.
  static func environment(_ more: [String: String]) -> [String: String] {
    var values = ProcessInfo.processInfo.environment
    values["SWIFT_BACKTRACE"] = "enable=no"
    values["PYTHONDONTWRITEBYTECODE"] = "1"
    return values.merging(more) { $1 }
  }
}

/// How a run of the program ended, and what it said.
struct Ended: CustomStringConvertible {
  /// The exit code; negative for the signal that ended it.
  var code: Int32
  var output: String
  var errors: String

  var description: String { "exit \(code)\n\(output)\(errors)" }
}

/// A child whose end can be awaited.
final class Child: Sendable {
  private let process: Process
  private let end = Moment<Int32>()

  /// `input`, `output` and `errors` are file handles or pipes.
  init(
    _ arguments: [String], in folder: URL, environment: [String: String], input: Any = FileHandle.nullDevice,
    output: Any, errors: Any
  ) throws {
    process = Process()
    process.executableURL = URL(filePath: arguments[0])
    process.arguments = Array(arguments.dropFirst())
    process.currentDirectoryURL = folder
    process.environment = Program.environment(environment)
    process.standardInput = input
    process.standardOutput = output
    process.standardError = errors
    let end = end
    process.terminationHandler = { ended in
      let status = ended.terminationStatus
      end.announce(ended.terminationReason == .uncaughtSignal ? -status : status)
    }
    try process.run()
  }

  var processID: Int32 { process.processIdentifier }

  func send(_ signal: Int32) {
    if process.isRunning { kill(processID, signal) }
  }

  /// The exit code, or the negative signal.
  func ended() async -> Int32 { await end.value }
}

/// Something that happens once and that many may wait for.
final class Moment<Value: Sendable>: Sendable {
  private struct State {
    var value: Value?
    var waiting: [CheckedContinuation<Value, Never>] = []
  }

  private let state = Mutex(State())

  func announce(_ value: Value) {
    let waiting = state.withLock { state in
      guard state.value == nil else { return [CheckedContinuation<Value, Never>]() }
      state.value = value
      defer { state.waiting = [] }
      return state.waiting
    }
    for one in waiting { one.resume(returning: value) }
  }

  var value: Value {
    get async {
      await withCheckedContinuation { continuation in
        let value = state.withLock { state in
          if state.value == nil { state.waiting.append(continuation) }
          return state.value
        }
        if let value { continuation.resume(returning: value) }
      }
    }
  }
}

/// Nothing happened in time, or never will.
struct NotHappened: Error, CustomStringConvertible {
  var description: String
}

/// Waits for what nothing announces. The only place that looks again and again.
func eventually<Value>(
  _ what: String, within limit: Duration = .seconds(40), _ look: () async throws -> Value?
) async throws -> Value {
  let deadline = ContinuousClock.now + limit
  while ContinuousClock.now < deadline {
    if let value = try await look() { return value }
    try await Task.sleep(for: .milliseconds(20))
  }
  throw NotHappened(description: "not within \(limit): \(what)")
}
