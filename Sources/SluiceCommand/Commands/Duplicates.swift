import ArgumentParser
import Foundation
import Sluice

struct Duplicates: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Which records were delivered again, to which invocation, and why.",
    discussion: """
      Causes: retry (the same batch failed before), partial-failure (the handler named a record before them, or them), \
      bisect (their batch was split), restart (the worker ended before it was stored that they were done; nobody can say \
      which of them had been delivered), redrive (an operator wanted it), seek (an operator moved the mapping back: it had \
      passed them before). The last 1,000 redeliveries of a mapping are \
      kept; the sums are of all.

      Examples:
        sluice duplicates flights-delays
        sluice duplicates flights-delays --shard 3 --limit 5 --format json
      """)

  @Argument(help: "The mapping.") var mapping: String
  @Option(help: "Only this shard.") var shard: String?
  @Option(help: "At most so many redeliveries, 1 to 1000.") var limit = 50
  @OptionGroup var store: DataOptions

  func validate() throws {
    guard (1...1_000).contains(limit) else {
      throw ValidationError("--limit is \(limit): allowed are 1 to 1000.")
    }
  }

  func run() async throws {
    let answer = try await Connection.look(at: store.dataDirectory).perform(
      .duplicates(mapping: mapping, shard: shard, limit: limit))
    guard case .duplicates(let report) = answer else { throw Problem(answer) }
    if store.output.isJSON { return try printJSON(report) }
    guard !report.records.isEmpty else { return print("no record of \(mapping) was delivered again") }
    let sums = report.records.sorted { $0.key < $1.key }.map { "\($0.key) \(Text.count($0.value))" }
    print("records delivered again, each time counted: \(sums.joined(separator: ", "))")
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    var table = TextTable(["when", "shard", "records", "first", "last", "cause", "attempt", "request"])
    for entry in report.redeliveries {
      table.add([
        Text.moment(entry.at, now: now), entry.lane == 0 ? entry.shard : "\(entry.shard) lane \(entry.lane)",
        "\(entry.records)", Text.short(entry.firstSequenceNumber), Text.short(entry.lastSequenceNumber), entry.cause,
        "\(entry.attempt)", entry.requestID,
      ])
    }
    if !report.redeliveries.isEmpty { print(table.text) }
    if report.redeliveries.count < report.kept {
      print("\(Text.count(report.redeliveries.count)) of the \(Text.count(report.kept)) redeliveries that are kept")
    }
    if report.forgotten > 0 {
      print(
        "\(Text.count(report.forgotten)) earlier redeliveries are no longer kept (the last "
          + "\(Text.count(report.keptAtMost)) are): their records are in the sums above, and nowhere else")
    }
  }
}
