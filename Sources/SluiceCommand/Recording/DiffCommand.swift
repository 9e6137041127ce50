import ArgumentParser
import Foundation
import Replays
import StreamModel

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "What one replay made otherwise than another.",
    discussion: """
      Compares two run files of `sluice replay`: records that newly fail or succeed, answers and states of tumbling windows \
      that changed, invocations and virtual time; real durations and memory if both were measured (replay --measure). \
      Answers are compared where the same batch succeeded in both.

      Exit code 0 if every record came to the same and every answer and every state is the same, 1 if not. What was \
      measured does not count.

      Examples:
        sluice diff old.run new.run
        sluice diff old.run new.run --format json | jq .newlyFailing
        sluice diff old.run new.run --html changes.html
      """)

  @Argument(help: "The run before.") var before: String
  @Argument(help: "The run after.") var after: String
  @Option(help: "Write a page with pictures there, which needs nothing else.") var html: String?
  @OptionGroup var format: FormatOption

  /// Of each kind so many are shown as text.
  private static let shownLimit = 20

  func run() throws {
    let (former, latter) = (try Self.read(before), try Self.read(after))
    let difference = RunDifference(former, latter)
    if let html {
      let report = RunReport(former, latter, difference, names: [before, after])
      do {
        try Data(report.html.utf8).write(to: URL(filePath: html))
      } catch {
        throw Problem(Exit.badInput, "\(html): \(error.localizedDescription)")
      }
    }
    if format.isJSON { try printJSON(difference) } else { print(text(difference)) }
    if !difference.isSame { throw Exit.failed }
  }

  private static func read(_ path: String) throws -> RunFile {
    var lines = try LineReader(path: path)
    do {
      return try RunFile { try lines.next() }
    } catch let error as RunFileError {
      throw Problem(Exit.badInput, "\(path): \(error)")
    }
  }

  private func text(_ difference: RunDifference) -> String {
    var lines: [String] = []
    for (records, what) in [
      (difference.newlyFailing, "no longer succeed"), (difference.newlySucceeding, "newly succeed"),
      (difference.failingOtherwise, "fail for another reason"),
    ] where !records.isEmpty {
      lines.append("\(Text.records(records.reduce(0) { $0 + $1.count })) \(what)")
      lines += records.prefix(Self.shownLimit).map { record in
        let which = record.count == 1 ? "\(record.first)" : "\(record.first)–\(record.last)"
        return "  \(ShardNumber(record.shard)) \(which): \(Self.short(record.before)) → \(Self.short(record.after))"
      }
      lines += more(records.count)
    }
    if !difference.answers.isEmpty {
      lines.append("\(difference.answers.count) of \(difference.comparedAnswers) answers changed")
      lines += difference.answers.prefix(Self.shownLimit).map { answer in
        let first = answer.records.first?.first.map { " from \($0)" } ?? ", the end of a window"
        return "  \(ShardNumber(answer.shard))\(first): \(Self.short(answer.before)) → \(Self.short(answer.after))"
      }
      lines += more(difference.answers.count)
    }
    if !difference.windows.isEmpty {
      lines.append("\(difference.windows.count) tumbling windows came to another state")
      lines += difference.windows.prefix(Self.shownLimit).map { window in
        let begin = CalendarTime(WallTime(milliseconds: window.begin)).withMilliseconds
        return "  \(ShardNumber(window.shard)) from \(begin): \(Self.short(window.before ?? "none")) → "
          + Self.short(window.after ?? "none")
      }
      lines += more(difference.windows.count)
    }
    if difference.isSame { lines.append("every record came to the same, and no answer changed") }
    for (name, values) in difference.settings.sorted(by: { $0.key < $1.key }) {
      lines.append("\(name): \(Self.short(values[0])) → \(Self.short(values[1]))")
    }
    lines.append(
      "invocations \(Text.count(difference.invocations[0])) → \(Text.count(difference.invocations[1])), failed "
        + "\(Text.count(difference.failures[0])) → \(Text.count(difference.failures[1])), virtual time "
        + "\(Text.duration(difference.milliseconds[0])) → \(Text.duration(difference.milliseconds[1]))")
    if let before = difference.durations[0], let after = difference.durations[1] {
      lines.append(
        "measured: median \(before.median) → \(after.median) µs an invocation, 99 of 100 within "
          + "\(before.ninetyNinth) → \(after.ninetyNinth) µs, memory of a process "
          + "\(Self.mebibytes(before.peakMemoryBytes)) → \(Self.mebibytes(after.peakMemoryBytes))")
    }
    return lines.joined(separator: "\n")
  }

  private static func mebibytes(_ bytes: Int64?) -> String { bytes.map { "\($0 >> 20) MiB" } ?? "unknown" }

  private func more(_ count: Int) -> [String] {
    count > Self.shownLimit ? ["  … and \(count - Self.shownLimit) more: --format json has all"] : []
  }

  private static func short(_ text: String) -> String {
    let line = text.replacing("\n", with: " ")
    return line.count > 100 ? line.prefix(100) + "…" : line
  }
}
