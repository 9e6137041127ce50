import ArgumentParser
import Foundation
import Sluice
import StreamModel
import StreamStore

struct CheckStore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-store", abstract: "Read every block and every entry of a store, and name what is damaged.",
    discussion: """
      Works beside a running worker. Ends with 1 if anything is damaged.

      Example: sluice check-store ./sluice-data
      """)

  @Argument(help: "The data directory.") var directory: String
  @OptionGroup var output: FormatOption

  func run() throws {
    let store = try Connection.open(directory, role: .looker)
    var progress = ProgressLine(isQuiet: output.isJSON)
    let pace = Pace()
    let report: StoreReport
    do {
      report = try store.check {
        progress.show(
          "\(Text.records($0.records)) in \(Text.count($0.blocks)) blocks, \(pace.rate($0.records)), "
            + "\(Text.count($0.problems.count)) problems")
      }
    } catch {
      throw Problem(OperatorRefusal(error))
    }
    progress.clear()
    let problems = report.problems.map { problem in
      StoreCheckLine.Problem(
        stream: problem.address.flatMap { report.streamNames[$0.stream] }, shard: problem.address?.shard.description,
        block: problem.block?.rawValue, what: problem.what)
    }
    if output.isJSON {
      try printJSON(
        StoreCheckLine(records: report.records, blocks: report.blocks, bytes: report.bytes, problems: problems))
    } else {
      for problem in problems { print(problem.text) }
      let verdict =
        switch problems.count {
        case 0: "nothing is damaged"
        case 1: "1 problem"
        case let count: "\(count) problems"
        }
      print("\(Text.records(report.records)) in \(Text.count(report.blocks)) blocks: \(verdict)")
    }
    if !problems.isEmpty { throw Exit.failed }
  }
}

private struct StoreCheckLine: Encodable {
  var records: UInt64
  var blocks: UInt64
  var bytes: UInt64
  var problems: [Problem]

  struct Problem: Encodable {
    var stream: String?
    var shard: String?
    /// The index of the block's first record.
    var block: UInt64?
    var what: String

    var text: String {
      let place = [stream, shard, block.map { "block at record \($0)" }].compactMap { $0 }.joined(separator: ", ")
      return place.isEmpty ? what : "\(place): \(what)"
    }
  }
}
