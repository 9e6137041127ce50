import ArgumentParser
import Foundation
import Sluice

/// What pause, resume, retry and skip have in common: a mapping, perhaps a shard, a preview and consent.
protocol LaneActionCommand: AsyncParsableCommand {
  var mapping: String { get }
  /// `nil`: all shards.
  var target: String? { get }
  /// `nil`: all lanes.
  var lane: Int? { get }
  var store: DataOptions { get }
  var consent: ConsentOptions { get }
  var action: LaneAction { get }
}

extension LaneActionCommand {
  func run() async throws {
    let request = OperatorRequest.act(action, mapping: mapping, shard: target, lane: lane, consent: consent.value)
    let answer = try await Connection.act(on: store.dataDirectory).perform(request)
    guard case .action(let report) = answer else { throw Problem(answer) }
    try report.print(isJSON: store.output.isJSON)
  }
}

extension ConsentOptions {
  var value: Consent { Consent(actor: NSUserName(), isApplied: yes) }
}

extension ActionReport {
  func print(isJSON: Bool) throws {
    if isJSON {
      try printJSON(self)
      return
    }
    for effect in effects { Swift.print(effect) }
    if !isApplied { Swift.print("Nothing was changed. Add --yes to do it.") }
  }
}

struct Pause: LaneActionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stop delivering; what is in flight ends first.",
    discussion: "Example: sluice pause flights-delays --shard 3 --yes")
  @Argument(help: "The mapping.") var mapping: String
  @Option(help: "One shard; without it, all of them.") var shard: String?
  @Option(help: "One of the shard's lanes, from 0; without it, all of them.") var lane: Int?
  @OptionGroup var store: DataOptions
  @OptionGroup var consent: ConsentOptions
  var action: LaneAction { .pause }
  var target: String? { shard }
}

struct Resume: LaneActionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Go on after a pause, or try a stopped shard again.",
    discussion: "Example: sluice resume flights-delays --yes")
  @Argument(help: "The mapping.") var mapping: String
  @Option(help: "One shard; without it, all of them.") var shard: String?
  @Option(help: "One of the shard's lanes, from 0; without it, all of them.") var lane: Int?
  @OptionGroup var store: DataOptions
  @OptionGroup var consent: ConsentOptions
  var action: LaneAction { .resume }
  var target: String? { shard }
}

struct Retry: LaneActionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Deliver the failing batch now instead of when it is due.",
    discussion: "Example: sluice retry flights-delays --shard 3 --yes")
  @Argument(help: "The mapping.") var mapping: String
  @Option(help: "One shard; without it, all of them.") var shard: String?
  @Option(help: "One of the shard's lanes, from 0; without it, all of them.") var lane: Int?
  @OptionGroup var store: DataOptions
  @OptionGroup var consent: ConsentOptions
  var action: LaneAction { .retry }
  var target: String? { shard }
}

struct Skip: LaneActionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give up the failing batch, a damaged block or a parked key, and go on behind it.",
    discussion: """
      Nothing of a batch is lost: its records stay in the failures with their payload and can be redriven. A damaged \
      block, at which the shard stopped, cannot be read by anyone: its records are lost to the mapping. Where several lanes \
      share the shard, --through applies to the one that has the record.

      With --key it gives up the record of a parked key that fails, wherever the key is parked, or with --all everything \
      that is parked of it by now; see docs/blocking-by-key.md.

      Examples:
        sluice skip flights-delays --shard 3            what would be skipped
        sluice skip flights-delays --shard 3 --yes
        sluice skip flights-delays --shard 3 --through 4966… --yes
        sluice skip flights-delays --key AA123 --yes
      """)
  @Argument(help: "The mapping.") var mapping: String
  @Option(help: "The shard. With --key it may be left out.") var shard: String?
  @Option(help: "One of the shard's lanes, from 0; without it, all that the skip applies to.") var lane: Int?
  @Option(help: "Skip up to and including this sequence number. Default: the failing batch.") var through: String?
  @Option(help: "A partition key that is parked.") var key: String?
  @Flag(help: "With --key: everything that is parked of it, not only the record that fails.") var all = false
  @OptionGroup var store: DataOptions
  @OptionGroup var consent: ConsentOptions
  var action: LaneAction { key.map { .skipKey($0, isAll: all) } ?? .skip(through: through) }

  func validate() throws {
    if key == nil, shard == nil { throw ValidationError("Say which --shard, or which parked --key.") }
    if key == nil, all { throw ValidationError("--all needs --key.") }
    if key != nil, through != nil { throw ValidationError("--through does not go with --key: use --all.") }
  }

  var target: String? { shard }
}
