import Foundation

/// A shell that keeps its folder, its variables and its background jobs from command to command, like a terminal.
final class Shell: Sendable {
  private let child: Child
  private let input = Pipe()
  private let lines: OutputLines

  /// Jobs that are left when the shell ends are ended with it.
  init(in folder: URL, environment: [String: String]) throws {
    let output = Pipe()
    lines = OutputLines(reading: output)
    child = try Child(
      ["/bin/bash", "-s"], in: folder, environment: environment, input: input, output: output, errors: output)
    try output.fileHandleForWriting.close()
    let (lines, child) = (lines, child)
    Task { lines.end(await child.ended()) }
    try type("trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT")
  }

  /// Types a command, and returns what it printed on both outputs when it has ended.
  func run(_ command: String) async throws -> Ended {
    let mark = "ended-\(UUID().uuidString)"
    let before = lines.all.count
    // The mark begins a line of its own, even after a last line without an end.
    try type("\(command)\nprintf '\\n\(mark) %s\\n' $?")
    let end = try await lines.line(containing: mark)
    let output = lines.all.dropFirst(before).prefix { !$0.contains(mark) }
    return Ended(
      code: end.split(separator: " ").last.flatMap { Int32($0) } ?? -1, output: output.joined(separator: "\n"),
      errors: "")
  }

  /// Ends it, as the end of a terminal does.
  func end() async throws {
    try input.fileHandleForWriting.close()
    _ = await child.ended()
  }

  private func type(_ text: String) throws {
    try input.fileHandleForWriting.write(contentsOf: Data((text + "\n").utf8))
  }
}
