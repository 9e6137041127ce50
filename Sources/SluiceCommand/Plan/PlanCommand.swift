import ArgumentParser
import Foundation
import ShardPlan

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "The exact tree of invocations, waits and outcomes that a mapping's policy makes of failing records.",
    discussion: """
      Runs the core of the worker through a shard of so many records, with virtual time and a handler that fails as told. \
      Nothing is delivered. All records are there from the beginning and pass the filter.

      With --config it is a plan of records that are made up. With a MAPPING it begins where a lane of the store stands now: \
      at its checkpoint, with the attempts used up, the pieces behind the failing batch, and the records that wait.

      A handler works in order: of several failing records in a batch the first one counts. --fail takes numbers and \
      ranges, and may say for itself how it fails and how often: RECORDS[:AS[:TIMES]].

      --fail-as and AS: error, report (ReportBatchItemFailures), timeout, exit, invalid-response, payload-too-large, \
      throttle, unavailable, or the type of an error, with its message behind another colon in --fail-as \
      ("ValidationError: no carrier").

      Examples:
        sluice plan flights-delays --shard 3
        sluice plan --config sluice.yaml --records 10 --fail 3,7
        sluice plan --config sluice.yaml --mapping flights-delays --fail 3 --fail-as timeout --until success-after 2
        sluice plan --config sluice.yaml --records 4 --fail 2:report --fail 4:throttle:10 -o plan.svg
      """)

  @Argument(help: "A mapping of the store, to begin where one of its lanes stands.") var running: String?
  @Option(help: "Its shard, as 3 or shardId-000000000003. By default one with a failing batch, or the first.")
  var shard: String?
  @Option(help: "One of the shard's lanes, from 0.") var lane: Int?
  @OptionGroup var store: DataOptions
  @Option(help: "The configuration file.") var config: String?
  @Option(help: "The mapping. Not needed if the configuration has one.") var mapping: String?
  @Option(
    help: "The records of the shard, 1 to 10000. The default is 10, or what --fail needs; of a lane 1000 at most.")
  var records: Int?
  @Option(help: "Records that fail, such as 3,7 or 3-5:throttle:2. May be repeated.") var fail: [String] = []
  @Option(help: "How they fail where --fail does not say so.") var failAs = "error"
  @Option(
    parsing: .upToNextOption,
    help: "success-after N: each fails N times, and then succeeds. Without it they always fail.")
  var until: [String] = []
  @Option(help: "How old records are at the beginning: 70s, or 1-3:70s for some. May be repeated.")
  var age: [String] = []
  @Option(help: "Partition keys, by comma, dealt out to the records in turn. By default each record has its own.")
  var keys: String?
  @Option(help: "How long the handler takes for a batch. Of a lane the default is what it last took to fail.")
  var takes = Self.noTime
  @Option(name: [.customShort("o"), .customLong("output")], help: "Write a picture: a file ending in .svg or .html.")
  var picture: String?

  static let noTime = "0ms"

  func validate() throws {
    guard (running == nil) != (config == nil) else {
      throw ValidationError("Give a MAPPING of the store, or --config FILE, and not both.")
    }
    if running == nil, shard != nil || lane != nil {
      throw ValidationError("--shard and --lane are of a MAPPING of the store.")
    }
    if running != nil, mapping != nil || !age.isEmpty || keys != nil {
      throw ValidationError("--mapping, --age and --keys are for --config: a lane has records of its own.")
    }
    if let records, !(1...10_000).contains(records) { throw ValidationError("--records is 1 to 10000.") }
    if let picture, !picture.hasSuffix(".svg"), !picture.hasSuffix(".html") {
      throw ValidationError("--output ends in .svg or .html.")
    }
  }

  func run() throws {
    let request =
      if let running {
        try PlanOfLane(of: running, shard: shard, lane: lane, in: store.dataDirectory).request(self)
      } else {
        try PlanRequest(self, config: config ?? "")
      }
    let report = PlanReport(request, request.scenario.outlook())
    if let picture {
      let drawing = PlanPicture(report).svg
      let text = picture.hasSuffix(".html") ? PlanPage.html(drawing, report) : drawing
      do {
        try Data(text.utf8).write(to: URL(filePath: picture))
      } catch {
        throw Problem(Exit.failed, "\(picture) cannot be written: \(error.localizedDescription)")
      }
    }
    if store.output.isJSON { try printJSON(PlanLine(report)) } else { print(PlanText.render(report)) }
  }
}
