import ArgumentParser
import Foundation
import Sluice
import StreamModel

struct Streams: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List, describe, create, split, merge, delete.",
    subcommands: [List.self, Describe.self, Create.self, Split.self, Merge.self, Delete.self],
    defaultSubcommand: List.self)

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the streams.", discussion: "Example: sluice streams list")
    @OptionGroup var store: DataOptions

    func run() async throws {
      let streams = try await Streams.ask(.listStreams, store, acting: false)
      if store.output.isJSON { return try printJSON(streams) }
      guard !streams.isEmpty else { return print("no streams") }
      var table = TextTable(["stream", "kind", "open shards", "records", "retention"])
      for stream in streams {
        table.add([
          stream.name, stream.kind.rawValue, "\(stream.shards.filter(\.isOpen).count)",
          Text.count(stream.shards.reduce(0) { $0 + $1.records }),
          Text.duration(stream.retentionMilliseconds),
        ])
      }
      print(table.text)
    }
  }

  struct Describe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the shards of a stream.", discussion: "Example: sluice streams describe flights")
    @Argument(help: "The stream.") var name: String
    @OptionGroup var store: DataOptions

    func run() async throws {
      try Streams.show(try await Streams.ask(.describeStream(name: name), store, acting: false), store)
    }
  }

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create a stream.",
      discussion: """
        Examples:
          sluice streams create flights --shards 4 --retention-hours 48
          sluice streams create orders --kind dynamodb
        """)
    @Argument(help: "The name: 1 to 128 of letters, digits, _ . -") var name: String
    @Option(help: "Shards to begin with, 1 to 10000.") var shards = 1
    @Option(help: "How long records stay, 1 to 8760 hours.") var retentionHours = 24
    @Option(help: "What it looks like to handlers: kinesis, or dynamodb for the changes of a table.")
    var kind: StreamKindName = .kinesis
    @Option(help: "The largest record, data and key together, 1 to 10 MiB.") var recordLimitMib = 1
    @OptionGroup var store: DataOptions

    func run() async throws {
      let request = OperatorRequest.createStream(
        name: name, shards: shards, retentionMilliseconds: Int64(retentionHours) * 3_600_000,
        recordByteLimit: recordLimitMib * 1_048_576, kind: kind.kind)
      try Streams.show(try await Streams.ask(request, store, acting: true), store)
    }
  }

  struct Split: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Split a shard in two. Its children are read when it is drained.",
      discussion: "Example: sluice streams split flights --shard 0")
    @Argument(help: "The stream.") var name: String
    @Option(help: "The shard.") var shard: String
    @Option(help: "The first hash key of the second child, in decimal. Default: the middle.") var at: String?
    @OptionGroup var store: DataOptions

    func run() async throws {
      let request = OperatorRequest.splitShard(stream: name, shard: shard, at: at)
      try Streams.show(try await Streams.ask(request, store, acting: true), store)
    }
  }

  struct Merge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Merge two neighbouring shards.",
      discussion: "Example: sluice streams merge flights --shard 0 --with 1")
    @Argument(help: "The stream.") var name: String
    @Option(help: "The shard.") var shard: String
    @Option(help: "Its neighbour.") var with: String
    @OptionGroup var store: DataOptions

    func run() async throws {
      let request = OperatorRequest.mergeShards(stream: name, shard: shard, other: with)
      try Streams.show(try await Streams.ask(request, store, acting: true), store)
    }
  }

  struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete a stream with all its records.", discussion: "Example: sluice streams delete flights --yes")
    @Argument(help: "The stream.") var name: String
    @OptionGroup var store: DataOptions
    @OptionGroup var consent: ConsentOptions

    func run() async throws {
      let request = OperatorRequest.deleteStream(name: name, consent: consent.value)
      let answer = try await Connection.act(on: store.dataDirectory).perform(request)
      guard case .action(let report) = answer else { throw Problem(answer) }
      try report.print(isJSON: store.output.isJSON)
    }
  }

  private static func ask(_ request: OperatorRequest, _ store: DataOptions, acting: Bool) async throws
    -> [StreamReport]
  {
    let operating =
      acting
      ? try await Connection.act(on: store.dataDirectory, creates: true)
      : try await Connection.look(at: store.dataDirectory)
    let answer = await operating.perform(request)
    guard case .streams(let streams) = answer else { throw Problem(answer) }
    return streams
  }

  private static func show(_ streams: [StreamReport], _ store: DataOptions) throws {
    if store.output.isJSON { return try printJSON(streams) }
    for stream in streams {
      print(
        "\(stream.name): \(stream.kind == .dynamodb ? "changes of a table, " : "")retention \(Text.duration(stream.retentionMilliseconds)), "
          + "records up to \(stream.recordByteLimit / 1_048_576) MiB")
      var table = TextTable(["  shard", "state", "parents", "records", "first hash key", "last hash key"])
      for shard in stream.shards {
        table.add([
          "  \(shard.shard)", shard.isOpen ? "open" : "closed",
          shard.parents.isEmpty ? "-" : shard.parents.joined(separator: " "), Text.count(shard.records),
          shard.firstHashKey, shard.lastHashKey,
        ])
      }
      print(table.text)
    }
  }
}
