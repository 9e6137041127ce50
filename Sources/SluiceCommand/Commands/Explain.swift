import ArgumentParser
import Foundation
import Sluice

struct Explain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Why a shard is not moving, what happens next and when, and what it will cost.",
    discussion: """
      Examples:
        sluice explain flights-delays                       every lane that is held up
        sluice explain flights-delays --shard 3
        sluice explain flights-delays --shard 3 --lane 0    one of the lanes that share the shard
        sluice explain flights-delays --record 49…0003      every attempt of one record, by its sequence number
        sluice explain flights-delays --format json
      """)

  @Argument(help: "The mapping.")
  var mapping: String

  @Option(help: "One shard, as 3 or shardId-000000000003.")
  var shard: String?

  @Option(help: "One of the shard's lanes, from 0.")
  var lane: Int?

  @Option(help: "One record, by its sequence number: where it is, and every attempt of it that is known.")
  var record: String?

  @OptionGroup var store: DataOptions

  func validate() throws {
    guard record == nil || shard == nil && lane == nil else {
      throw ValidationError("--record names the record alone: leave out --shard and --lane.")
    }
  }

  func run() async throws {
    if let record { return try await explain(record: record) }
    let answer = try await Connection.look(at: store.dataDirectory).perform(
      .explain(mapping: mapping, shard: shard, lane: lane))
    guard case .lanes(let lanes) = answer else { throw Problem(answer) }
    if store.output.isJSON {
      try printJSON(lanes)
    } else {
      let now = Int64(Date().timeIntervalSince1970 * 1_000)
      let texts =
        lanes.map { ExplainText.render($0, now: now) } + ExplainText.filter(lanes)
        + lanes.compactMap(\.shadow).map { StatusText.text($0, now: now).joined(separator: "\n") }
      print(texts.joined(separator: "\n\n"))
    }
  }
}

extension Explain {
  private func explain(record number: String) async throws {
    let answer = try await Connection.look(at: store.dataDirectory).perform(
      .record(mapping: mapping, sequenceNumber: number))
    guard case .record(let report) = answer else { throw Problem(answer) }
    if store.output.isJSON { return try printJSON(report) }
    print(RecordText.render(report, now: Int64(Date().timeIntervalSince1970 * 1_000)))
  }
}

enum ExplainText {
  static func render(_ lane: LaneReport, now: Int64) -> String {
    var lines: [String] = []
    let since = lane.since.map { " for \(Text.duration(max(0, now - $0)))" } ?? ""
    let place = lane.shard + (lane.lane.map { " · lane \($0) of \(lane.laneCount)" } ?? "")
    lines.append("\(lane.mapping) · \(place) · \(StatusText.label(lane.state))\(since)")
    lines.append("  \(lane.summary)")
    if let batch = lane.batch {
      lines.append("")
      lines.append("  batch      \(Text.records(batch.records)), partition key \(batch.partitionKey ?? "?")")
      lines.append("             first \(batch.firstSequenceNumber)")
      if batch.records > 1 { lines.append("             last  \(batch.lastSequenceNumber)") }
      lines.append("             arrived \(Text.moment(batch.firstArrival, now: now))")
      if let preview = batch.preview { lines.append("             \(preview)") }
    }
    if !lane.pieces.isEmpty {
      let counts = lane.pieces.prefix(8).map { Text.count($0) }.joined(separator: ", then ")
      let more = lane.pieces.count > 8 ? ", and \(lane.pieces.count - 8) more" : ""
      lines.append("")
      lines.append(
        "  pieces     it was cut from a larger batch; behind it wait pieces of \(counts)\(more) "
          + "record\(lane.pieces == [1] ? "" : "s")")
    }
    if let window = lane.window {
      lines.append("")
      lines.append(
        "  window     \(Text.moment(window.start, now: now)) to \(Text.moment(window.end, now: now)), "
          + "\(Text.records(window.records)), state of \(Text.count(window.stateBytes)) bytes")
      lines.append("             \(ending(window, now: now))")
    }
    if let damage = lane.damage {
      lines.append("")
      lines.append("  damaged    first \(damage.firstSequenceNumber)")
      lines.append("             last  \(damage.lastSequenceNumber)")
      lines.append(
        "             \(damage.isAtMost ? "at most " : "")\(Text.records(damage.records)) of it not settled: "
          + "skipping the block loses them")
    }
    if lane.parkedKeyCount > 0 {
      lines.append("")
      lines.append(
        "  parked     \(lane.parkedKeyCount) key\(lane.parkedKeyCount == 1 ? "" : "s") with "
          + "\(Text.records(lane.parkedRecords)); the other keys go on")
      for key in lane.parkedKeys.prefix(10) { lines += parked(key, now: now) }
      if lane.parkedKeyCount > 10 { lines.append("             and \(lane.parkedKeyCount - 10) more") }
    }
    if let attempt = lane.attempts.last {
      lines.append("")
      lines.append("  error      \(attempt.type): \(attempt.message)")
      for line in attempt.trace { lines.append("             \(line)") }
      if let rule = attempt.rule { lines.append("  rule       \(rule)") }
    }
    if lane.attemptsMade > 0 || lane.nextAttemptAt != nil {
      lines.append("")
      let left = lane.attemptsLeft.map { "\($0) left" } ?? "no limit"
      lines.append("  attempts   \(lane.attemptsMade) made, \(left)")
      if let next = lane.nextAttemptAt {
        lines.append("  next       \(Text.relative(next, now: now)), at \(Text.moment(next, now: now))")
      }
    }
    if let expires = lane.expiresAt {
      lines.append("  expires    \(Text.relative(expires, now: now)), to \(lane.expiresTo)")
    } else if lane.state.isBlocked {
      // A retry rule may use up none of them.
      let isEndless = lane.attemptsLeft == nil || lane.outlook?.everyMilliseconds != nil
      lines.append("  expires    \(isEndless ? "never" : "when the attempts are used up, to \(lane.expiresTo)")")
    }
    if let outlook = lane.outlook { lines.append("  outlook    \(text(outlook, now: now))") }
    if !lane.waitingFor.isEmpty {
      lines.append("  waits for  \(lane.waitingFor.joined(separator: ", "))")
    }
    lines.append(waiting(lane, now: now))
    if let loss = lane.firstLossAt, lane.backlogRecords > 0 {
      lines.append("  retention  takes the first of them \(Text.relative(loss, now: now))")
    }
    if lane.lostToRetention > 0 {
      lines.append("  lost       \(Text.records(lane.lostToRetention)) removed by retention before delivery")
    }
    if lane.lostToDamage > 0 {
      lines.append("  lost       \(Text.records(lane.lostToDamage)) in damaged blocks that were skipped")
    }
    if lane.undeliverableEntries > 0 {
      lines.append(
        "  failures   \(Text.count(lane.undeliverableEntries)) of the mapping could not be delivered; they stay in the store"
      )
    }
    if lane.pendingDeliveries > 0 {
      lines.append("  failures   \(Text.count(lane.pendingDeliveries)) of the mapping wait for their delivery")
    }
    if !lane.commands.isEmpty {
      lines.append("")
      let width = lane.commands.map(\.command.count).max() ?? 0
      for suggestion in lane.commands {
        lines.append(
          "  $ \(suggestion.command.padding(toLength: width, withPad: " ", startingAt: 0))  # \(suggestion.effect)")
      }
    }
    return lines.joined(separator: "\n")
  }

  /// Records that the filter could not judge; empty if there are none.
  static func filter(_ lanes: [LaneReport]) -> [String] {
    let examples = lanes.flatMap(\.filterExamples)
    func section(_ title: String, _ examples: [FilterExampleReport]) -> String? {
      guard !examples.isEmpty else { return nil }
      return ([title] + examples.flatMap(lines)).joined(separator: "\n")
    }
    return [
      section(
        "filter · held back because the data is not JSON, first seen", examples.filter { !$0.isLetThrough }),
      section("filter · let through without a match, first seen", examples.filter(\.isLetThrough)),
    ].compactMap(\.self)
  }

  private static func lines(_ example: FilterExampleReport) -> [String] {
    let data = example.preview ?? "0x" + example.previewHexadecimal
    return [
      "  \(example.sequenceNumber)  \(example.partitionKey)  \(example.reason)",
      "    \(Text.count(example.dataBytes)) bytes: \(data)",
    ]
  }

  private static func text(_ outlook: LaneOutlook, now: Int64) -> String {
    let records = Text.records(outlook.records)
    guard let deliveries = outlook.deliveries, let leavesAt = outlook.leavesAt, let condition = outlook.condition else {
      let every = Text.duration(outlook.everyMilliseconds ?? 0)
      return
        "failing like this, \(records) come\(outlook.records == 1 ? "s" : "") again every \(every) for ever"
    }
    let count = "\(Text.count(deliveries)) more deliver\(deliveries == 1 ? "y" : "ies")"
    return "failing like this, \(count); then \(records) leave\(outlook.records == 1 ? "s" : "") "
      + "\(Text.relative(leavesAt, now: now)) (\(condition))"
  }

  private static func parked(_ key: ParkedKeyReport, now: Int64) -> [String] {
    let next =
      key.isDelivering
      ? "is being delivered" : key.nextAttemptAt.map { "next \(Text.relative($0, now: now))" } ?? "nothing works on it"
    let line =
      "             \(key.partitionKey ?? "?"): \(Text.records(key.records)) wait for \(Text.duration(max(0, now - key.since))), "
      + "\(key.attemptsMade) attempts made, \(next)"
    return [line] + (key.error.map { ["               \($0)"] } ?? [])
  }

  static func ending(_ window: WindowReport, now: Int64) -> String {
    if window.isTerminatedEarly { return "ends early: its final invocation is next" }
    if window.isEnding { return "its final invocation is next" }
    return "closes \(Text.relative(window.closesAt, now: now)), or with the first record behind it"
  }

  private static func waiting(_ lane: LaneReport, now: Int64) -> String {
    guard lane.waitingRecords > 0 else { return "  waiting    nothing" }
    let age = lane.oldestWaitingArrival.map { ", the oldest \(Text.duration(max(0, now - $0))) old" } ?? ""
    return "  waiting    \(Text.records(lane.waitingRecords)) behind it\(age)"
  }
}
