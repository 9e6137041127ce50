import ArgumentParser
import Foundation
import Recordings
import Replays
import StreamModel

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "What one replay made otherwise than another, or than what really happened.",
    discussion: """
      Compares two run files of `sluice replay`: records that newly fail or succeed, answers and states of tumbling windows \
      that changed, invocations and virtual time; real durations and memory if both were measured (replay --measure). \
      Answers are compared where the same batch succeeded in both.

      In place of a run file a recording with outcomes (record --outcomes) stands for what really happened. Of deliveries \
      that succeeded it knows nothing, so answers and states are not compared then.

      Records are named by shard, place in the shard and sequence number, and by partition key out of the recording: of one \
      that is compared, or of --recording.

      Exit code 0 if every record came to the same and every answer and every state is the same, 1 if not. What was \
      measured does not count.

      Examples:
        sluice diff old.run new.run
        sluice diff old.run new.run --recording flights.recording
        sluice diff flights.recording new.run
        sluice diff old.run new.run --format json | jq .newlyFailing
        sluice diff old.run new.run --html changes.html
      """)

  @Argument(help: "The run before, or a recording with outcomes.") var before: String
  @Argument(help: "The run after, or a recording with outcomes.") var after: String
  @Option(help: "The recording that was replayed: records are named by their partition keys too.")
  var recording: String?
  @Option(help: "Write a page with pictures there, which needs nothing else.") var html: String?
  @OptionGroup var format: FormatOption

  /// Of each kind so many are shown as text.
  private static let shownLimit = 20

  func run() throws {
    let (former, latter) = (try Self.read(before), try Self.read(after))
    var difference = RunDifference(former, latter)
    if let path = recording ?? [(former, before), (latter, after)].first(where: \.0.isRecorded)?.1 {
      try Self.name(&difference, from: path, stream: latter.header.stream)
    }
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

  private static func name(_ difference: inout RunDifference, from path: String, stream: String) throws {
    do {
      let input = try RecordingInput(path: path)
      // What the replay has left out it says itself.
      let reader = try RecordingReader(badLineLimit: .max, owning: input)
      guard reader.header.stream == stream else {
        throw Problem(
          Exit.badInput, "\(path) is a recording of stream \(reader.header.stream), and the run is one of \(stream)")
      }
      try difference.name(from: reader)
    } catch let error as RecordingFileError {
      throw Problem(Exit.badInput, "\(error)")
    } catch let error as RecordingError {
      throw Problem(Exit.badInput, "\(path): \(error)")
    }
  }

  private static func read(_ path: String) throws -> RunFile {
    if let recorded = try recordedRun(path) { return RunFile(recorded) }
    do {
      var lines = LineReader(try RecordingInput(path: path))
      return try RunFile { try lines.next() }
    } catch let error as RunFileError {
      throw Problem(Exit.badInput, "\(path): \(error)")
    } catch let error as RecordingFileError {
      throw Problem(Exit.badInput, "\(error)")
    }
  }

  /// `nil` if the file is no recording.
  private static func recordedRun(_ path: String) throws -> RecordedRun? {
    do {
      // What is read from a pipe is a run: it can be looked at once.
      guard path != "-" else { return nil }
      let input = try RecordingInput(path: path)
      guard RecordingImport.isRecording(try input.peek()) else { return nil }
      return try RecordedRun(
        try RecordingReader { memory throws(RecordingFileError) in try input.read(into: memory) })
    } catch let error as RecordingFileError {
      throw Problem(Exit.badInput, "\(error)")
    } catch let error as RecordingError {
      throw Problem(Exit.badInput, "\(path): \(error)")
    } catch let error as RecordedRun.Problem {
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
        "  \(ShardNumber(record.shard)) \(record.words()): \(Self.short(record.before)) → \(Self.short(record.after))"
      }
      lines += more(records.count)
    }
    if !difference.answers.isEmpty {
      let (changed, all) = (Text.count(difference.answers.count), Text.count(difference.comparedAnswers))
      lines.append("\(changed) of \(all) answers changed")
      lines += difference.answers.prefix(Self.shownLimit).map { answer in
        let name = answer.firstRecord.map { ", \($0.sequenceNumber)" + ($0.partitionKey.map { ", \($0)" } ?? "") } ?? ""
        let first = answer.records.first?.first.map { " from \($0)\(name)" } ?? ", the end of a window"
        return "  \(ShardNumber(answer.shard))\(first): \(Self.change(answer.before, answer.after))"
      }
      lines += more(difference.answers.count)
    }
    if !difference.windows.isEmpty {
      lines.append("\(Text.count(difference.windows.count)) tumbling windows came to another state")
      lines += difference.windows.prefix(Self.shownLimit).map { window in
        let begin = CalendarTime(WallTime(milliseconds: window.begin)).withMilliseconds
        return "  \(ShardNumber(window.shard)) from \(begin): "
          + Self.change(window.before ?? "none", window.after ?? "none")
      }
      lines += more(difference.windows.count)
    }
    if difference.lacksPartitionKeys { lines.append("partition keys: --recording FILE, the one that was replayed") }
    if difference.isSame { lines.append(difference.sameness) }
    for (name, values) in difference.settings.sorted(by: { $0.key < $1.key }) {
      lines.append("\(name): \(Self.short(values[0])) → \(Self.short(values[1]))")
    }
    if difference.notCompared > 0 {
      lines.append(
        "\(Text.records(difference.notCompared)) not compared: not delivered when the recording was made, or not in the replay"
      )
    }
    let sums = [
      ("invocations", difference.invocations.map { $0.map { Text.count($0) } }),
      ("failed", difference.failures.map { $0.map { Text.count($0) } }),
      ("virtual time", difference.milliseconds.map { $0.map { Text.duration($0) } }),
    ]
    let known = sums.filter { !$0.1.allSatisfy { $0 == nil } }
    if !known.isEmpty {
      lines.append(
        known.map { "\($0.0) \($0.1.map { $0 ?? "unknown" }.joined(separator: " → "))" }.joined(separator: ", "))
    }
    if let before = difference.durations[0], let after = difference.durations[1] {
      lines.append(
        "measured: median \(Text.count(before.median)) → \(Text.count(after.median)) µs an invocation, 99 of 100 within "
          + "\(Text.count(before.ninetyNinth)) → \(Text.count(after.ninetyNinth)) µs, memory of a process "
          + "\(Self.mebibytes(before.peakMemoryBytes)) → \(Self.mebibytes(after.peakMemoryBytes))")
    }
    return lines.joined(separator: "\n")
  }

  private static func mebibytes(_ bytes: Int64?) -> String { bytes.map { "\(Text.count($0 >> 20)) MiB" } ?? "unknown" }

  private func more(_ count: Int) -> [String] {
    count > Self.shownLimit ? ["  … and \(Text.count(count - Self.shownLimit)) more: --format json has all"] : []
  }

  private static func change(_ before: String, _ after: String) -> String {
    let texts = ChangedText(before, after, limit: shortLimit)
    return "\(short(texts.before)) → \(short(texts.after))"
  }

  /// So many characters of a text are shown: enough for an error that says which record it was.
  private static let shortLimit = 200

  private static func short(_ text: String) -> String {
    let line = text.replacing("\n", with: " ")
    return line.count > shortLimit ? line.prefix(shortLimit) + "…" : line
  }
}
