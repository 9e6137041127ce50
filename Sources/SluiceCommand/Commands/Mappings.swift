import ArgumentParser
import Foundation
import Sluice

struct Mappings: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List mappings with their state, or delete one that the configuration has no more.",
    subcommands: [List.self, Delete.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Every mapping: its state, its last result, its stream.",
      discussion: "Example: sluice mappings list --format json")
    @OptionGroup var store: DataOptions

    func run() async throws {
      let answer = try await Connection.look(at: store.dataDirectory).perform(.status)
      guard case .status(let report) = answer else { throw Problem(answer) }
      if store.output.isJSON { return try printJSON(report.mappings) }
      guard !report.mappings.isEmpty else { return print("no mapping has run on this store") }
      var table = TextTable(["mapping", "stream", "state", "last result"])
      for mapping in report.mappings {
        table.add([mapping.name, mapping.stream, StatusText.state(of: mapping), mapping.lastProcessingResult])
      }
      print(table.text)
    }
  }

  struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete a mapping with its checkpoints; its failures stay.",
      discussion: """
        A mapping that left the configuration keeps its checkpoints, so that it can come back and go on where it stood. \
        This is for those that shall not.

        Example: sluice mappings delete flights-delays --yes
        """)
    @Argument(help: "The mapping.") var mapping: String
    @OptionGroup var store: DataOptions
    @OptionGroup var consent: ConsentOptions

    func run() async throws {
      let answer = try await Connection.act(on: store.dataDirectory).perform(
        .deleteMapping(name: mapping, consent: consent.value))
      guard case .action(let report) = answer else { throw Problem(answer) }
      try report.print(isJSON: store.output.isJSON)
    }
  }
}
