import ArgumentParser
import Foundation
import Sluice
import StreamModel

struct Positions: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Where the lanes of a mapping stand; moving them, and copying them to a new mapping.",
    discussion: "See docs/positions.md.",
    subcommands: [Show.self, Seek.self, Copy.self])

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Each lane: its checkpoint, the head of its shard, records behind, age.",
      discussion: """
        Examples:
          sluice positions show flights-delays
          sluice positions show flights-delays --shard 3 --format json
        """)
    @Argument(help: "The mapping.") var mapping: String
    @Option(help: "One shard; without it, all of them.") var shard: String?
    @OptionGroup var store: DataOptions

    func run() async throws {
      let answer = try await Connection.look(at: store.dataDirectory).perform(
        .positions(mapping: mapping, shard: shard))
      guard case .positions(let lanes) = answer else { throw Problem(answer) }
      if store.output.isJSON { return try printJSON(lanes) }
      var table = TextTable(["shard", "state", "next", "last", "behind", "age", "unsettled"])
      for lane in lanes {
        table.add([
          lane.shard + (lane.lane.map { " lane \($0)" } ?? ""), StatusText.label(lane.state), lane.next,
          lane.last ?? "–",
          Text.count(lane.recordsBehind), lane.recordsBehind == 0 ? "–" : Text.duration(lane.ageMilliseconds),
          Self.unsettled(lane),
        ])
      }
      print(table.text)
    }

    /// What a seek would find in its way.
    private static func unsettled(_ lane: PositionReport) -> String {
      var parts: [String] = []
      if lane.failingRecords > 0 { parts.append("\(Text.records(lane.failingRecords)) retried") }
      if lane.parkedRecords > 0 { parts.append("\(Text.records(lane.parkedRecords)) parked") }
      if lane.hasOpenWindow { parts.append("a window") }
      return parts.isEmpty ? "–" : parts.joined(separator: ", ")
    }
  }

  struct Seek: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Move the lanes of a mapping: deliver records again, or skip some.",
      discussion: """
        Says first what would be delivered again and what would be skipped, and acts only with --yes. Skipped records \
        become no failure entries; sluice skip is for those. While a worker runs the mapping, what is in flight ends \
        first, and then its lanes go on at the new position; other mappings are not concerned. Without a worker the next \
        one begins there.

        What a lane is in the middle of and would lose (records of parked keys, a batch under retry, a tumbling window) is \
        refused with what to do about it; with --discard it is dropped for good.

        Examples:
          sluice positions seek flights-delays --to 2026-11-21T08:00:00Z
          sluice positions seek flights-delays --to 2026-11-21T08:00:00Z --yes
          sluice positions seek flights-delays --sequence 4966… --yes
          sluice positions seek flights-delays --shard 3 --before-first-failure --yes
        """)
    @Argument(help: "The mapping.") var mapping: String
    @Option(help: "One shard; without it, all of them.") var shard: String?
    @Option(help: "To the first record that arrived at this time or later, such as 2026-11-21T08:00:00Z.")
    var to: String?
    @Option(help: "To the record with this sequence number; only its shard moves.") var sequence: String?
    @Flag(help: "To the oldest record that is left.") var trimHorizon = false
    @Flag(help: "Behind the newest record.") var latest = false
    @Flag(help: "To the first record of each shard that is in a failure entry; lanes before it stay.")
    var beforeFirstFailure = false
    @Flag(help: "Drop for good what a lane is in the middle of and what would not come again.") var discard = false
    @OptionGroup var store: DataOptions
    @OptionGroup var consent: ConsentOptions

    func validate() throws {
      let count = [to != nil, sequence != nil, trimHorizon, latest, beforeFirstFailure].count { $0 }
      guard count == 1 else {
        throw ValidationError("Say one of --to, --sequence, --trim-horizon, --latest and --before-first-failure.")
      }
    }

    private func target() throws -> SeekTarget {
      if let to { return .time(try MomentText.parse(to, "--to").milliseconds) }
      if let sequence { return .sequenceNumber(sequence) }
      if trimHorizon { return .trimHorizon }
      return latest ? .latest : .beforeFirstFailure
    }

    func run() async throws {
      let order = SeekOrder(mapping: mapping, shard: shard, target: try target(), discards: discard)
      let answer = try await Connection.act(on: store.dataDirectory).perform(.seek(order, consent: consent.value))
      guard case .seek(let report) = answer else { throw Problem(answer) }
      if store.output.isJSON { return try printJSON(report) }
      for effect in report.effects { print(effect) }
      if report.lanes.count > 1 {
        print(
          "\(Text.records(report.deliveredAgain)) delivered again and \(Text.count(report.skipped)) skipped, over "
            + "\(report.lanes.count) lanes")
      }
      if !report.isApplied, !report.lanes.isEmpty { print("Nothing was changed. Add --yes to do it.") }
    }
  }

  struct Copy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a new mapping begin where another one of the same stream stands.",
      discussion: """
        The new mapping must not have run. Where keys are parked or a window is open, the copy begins at the first record \
        that is not settled or belongs to the window: nothing is left out. Attempts and pauses are not copied. Then put \
        the new mapping into the configuration and apply it.

        Examples:
          sluice positions copy flights-delays flights-delays-v2
          sluice positions copy flights-delays flights-delays-v2 --yes
        """)
    @Argument(help: "The mapping to copy.") var from: String
    @Argument(help: "The new one.") var to: String
    @OptionGroup var store: DataOptions
    @OptionGroup var consent: ConsentOptions

    func run() async throws {
      let answer = try await Connection.act(on: store.dataDirectory).perform(
        .copyPositions(from: from, to: to, consent: consent.value))
      guard case .action(let report) = answer else { throw Problem(answer) }
      try report.print(isJSON: store.output.isJSON)
    }
  }
}
