import ArgumentParser
import Foundation
import LambdaRuntime
import SluiceService

struct Logs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What a function wrote, with the START, END and REPORT lines of its invocations.",
    discussion: """
      The store keeps the last 16 to 32 MiB of each function, also when no worker runs.

      Examples:
        sluice logs orders
        sluice logs orders --follow
        sluice logs orders --request 8476a536-e9f4-11e8-9739-2dfe598c3fcd
        sluice logs orders --since 10m --format json | jq -r .message
      """)

  @Argument(help: "The function.") var function: String
  @Flag(help: "Go on with what is written from now on.") var follow = false
  @Option(help: "Only lines of this invocation.") var request: String?
  @Option(help: "Only lines of the last while, such as 90s, 10m, 2h.") var since: String?
  @Option(help: "This many of the last lines; all with --since or --request.") var lines: Int?
  @OptionGroup var store: DataOptions

  /// Between two looks while nothing is written.
  private static let interval = Duration.milliseconds(200)
  static let standardLines = 100

  func run() async throws {
    let path = FunctionLogFile.path(of: function, inStore: store.dataDirectory)
    let files = FileManager.default
    guard follow || files.fileExists(atPath: path) || files.fileExists(atPath: FunctionLogFile.formerPath(of: path))
    else {
      throw Problem(Exit.badInput, "There is no log of a function \(function) in \(store.dataDirectory). \(known())")
    }
    let first = try since.map { try Self.start($0) } ?? ""
    let isWanted = { (line: FunctionLogReader.Line) in
      line.time >= first && (request == nil || line.requestId == request)
    }
    var reader = FunctionLogReader(path: path)
    let found = try reader.next().filter(isWanted)
    let limit = lines ?? (since != nil || request != nil ? found.count : Self.standardLines)
    for line in found.suffix(limit) { try show(line) }
    while follow {
      try await Task.sleep(for: Self.interval)
      for line in try reader.next() where isWanted(line) { try show(line) }
    }
  }

  func validate() throws {
    if let lines, lines < 0 { throw ValidationError("--lines is \(lines): give a number from 0 on.") }
    if function.contains("/") || function.hasPrefix(".") {
      throw ValidationError("\(function) is not the name of a function.")
    }
  }

  private func show(_ line: FunctionLogReader.Line) throws {
    if store.output.isJSON {
      try printJSON(line)
    } else {
      print("\(line.time)  \(Text.lines(line.message))")
    }
    // Somebody may read along through a pipe.
    fflush(nil)
  }

  private func known() -> String {
    let folder = (FunctionLogFile.path(of: "", inStore: store.dataDirectory) as NSString).deletingLastPathComponent
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
      .filter { $0.hasSuffix(".log") }.map { $0.dropLast(4) }.sorted()
    return names.isEmpty ? "No function has written anything yet." : "There are: \(names.joined(separator: ", "))."
  }

  /// The time that is so long ago, as it stands in the log.
  private static func start(_ text: String) throws -> String {
    guard let duration = Quantity.duration(text) else {
      throw Problem(Exit.wrongUsage, "--since is \(text): write a number and ms, s, m, h or d, such as 10m.")
    }
    let start = Date(timeIntervalSinceNow: -(duration / .seconds(1)))
    return start.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
  }
}
