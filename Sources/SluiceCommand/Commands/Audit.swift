import ArgumentParser
import Foundation
import Sluice

struct Audit: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What operators did, and what expired, newest first.", discussion: "Example: sluice audit --limit 20")

  @Option(help: "At most so many entries.") var limit = 50
  @OptionGroup var store: DataOptions

  func run() async throws {
    let answer = try await Connection.look(at: store.dataDirectory).perform(.audit(limit: limit))
    guard case .audit(let entries) = answer else { throw Problem(answer) }
    if store.output.isJSON { return try printJSON(entries) }
    guard !entries.isEmpty else { return print("no operator has done anything") }
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    var table = TextTable(["when", "who", "what", "on", "detail"])
    for entry in entries {
      table.add([Text.moment(entry.at, now: now), entry.actor, entry.action, entry.subject, Self.short(entry.detail)])
    }
    print(table.text)
  }

  /// A payload that was edited may be long: JSON has all of it.
  private static func short(_ detail: String) -> String {
    let line = detail.replacing("\n", with: " ")
    return line.count > 160 ? line.prefix(160) + "…" : line
  }
}
