import ArgumentParser
import Foundation

@main
struct SluiceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "Ordered shards, batches, and an answer to \u{201C}why is this shard stuck\u{201D}.",
    discussion: """
      Records live in ordered shards. Handlers get them in batches with the semantics of a Lambda event source \
      mapping: a failing batch blocks its shard until it succeeds or expires, and nothing is lost.

      Start here:
        sluice demo                          a one-minute story with real flights
        sluice put flights flights.ndjson --key-field tailnum --create-shards 4
        sluice run --config sluice.yaml      the worker
        sluice status                        every lane at a glance
        sluice explain MAPPING               why a shard does not move, and what happens next
      """,
    version: sluiceVersion,
    groupedSubcommands: [
      CommandGroup(name: "Run", subcommands: [Demo.self, Run.self, Check.self, Apply.self, Invoke.self]),

      CommandGroup(name: "Records", subcommands: [Put.self, Tail.self, Streams.self, RecordCommand.self]),
      CommandGroup(
        name: "See",
        subcommands: [
          Status.self, Explain.self, Mappings.self, Functions.self, Logs.self, Duplicates.self, Tables.self,
          Audit.self,
        ]),
      CommandGroup(
        name: "Act", subcommands: [Pause.self, Resume.self, Retry.self, Skip.self, Positions.self, Failures.self]),
      CommandGroup(
        name: "Prove",
        subcommands: [
          ReplayCommand.self, DiffCommand.self, PlanCommand.self, Filter.self, Simulate.self, Bench.self,
          CheckStore.self,
        ]),
    ])

  static func main() async {
    do {
      var command = try parseAsRoot(nil)
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch let problem as Problem {
      FileHandle.standardError.write(Data("sluice: \(problem.message)\n".utf8))
      Foundation.exit(problem.exitCode.rawValue)
    } catch {
      exit(withError: error)
    }
  }
}

let sluiceVersion = "0.1.0"
