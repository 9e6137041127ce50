import ArgumentParser
import Foundation
import Sluice
import SluiceService

struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Mappings, shards, iterator age, the state of every lane, and thresholds that are passed.",
    discussion: """
      Thresholds are those of /ready: listen.readyBlockedAfter, listen.readyFailureEntries and listen.readyFailureAge. The \
      worker knows its own; --config compares with those of a file, also where no worker runs. What has passed one stands in a \
      line with OVER THRESHOLD, and in passedThresholds of the JSON.

      Examples:
        sluice status
        sluice status --config sluice.yaml
        sluice status --format json | jq '.passedThresholds[].reason'
        sluice status --watch
        sluice status --format json | jq '.mappings[].lanes[] | select(.state == "retrying")'
      """)

  @OptionGroup var store: DataOptions

  @Option(help: "Compare with the thresholds of this configuration file instead of the worker's.")
  var config: String?

  @Flag(help: "Refresh every second until interrupted.")
  var watch = false

  func run() async throws {
    let thresholds = try config.map { file in
      let overrides = ConfigurationOverrides(environment: ProcessInfo.processInfo.environment)
      return ReadyThresholds(try ConfigurationOptions.read(file: file, overrides).configuration.listen)
    }
    while true {
      var report = try await fetch()
      if let thresholds { report.passedThresholds = thresholds.passed(report) }
      if store.output.isJSON {
        try printJSON(report)
      } else {
        // Clear the screen and go home, so that the table stays in place.
        if watch { print("\u{1B}[2J\u{1B}[H", terminator: "") }
        print(StatusText.render(report))
      }
      guard watch else { return }
      fflush(nil)
      try await Task.sleep(for: .seconds(1))
    }
  }

  private func fetch() async throws -> StatusReport {
    let answer = try await Connection.look(at: store.dataDirectory).perform(.status)
    guard case .status(let report) = answer else { throw Problem(answer) }
    return report
  }
}

enum StatusText {
  static func render(_ report: StatusReport) -> String {
    var lines: [String] = []
    if let worker = report.worker {
      lines.append("worker \(worker.processID)\(worker.address.map { " on \($0)" } ?? "")")
    } else {
      lines.append("no worker is running: this is what the store says")
      if report.passedThresholds == nil, report.mappings.contains(where: { $0.failureEntries > 0 }) {
        lines.append("thresholds are known to workers and configurations alone: --config FILE compares with them")
      }
    }
    for mapping in report.mappings {
      lines.append("")
      var failures = mapping.failureEntries == 0 ? "" : " · \(Text.count(mapping.failureEntries)) in failures"
      if let oldest = mapping.oldestFailureAt {
        failures += ", the oldest \(Text.relative(oldest, now: report.generatedAt))"
        if let expiry = mapping.oldestFailureExpiresAt {
          failures += ", expires \(Text.expiry(expiry, now: report.generatedAt))"
        }
      }
      if mapping.pendingDeliveries > 0 { failures += " · \(Text.count(mapping.pendingDeliveries)) to deliver" }
      if mapping.undeliverableEntries > 0 {
        failures += " · \(Text.count(mapping.undeliverableEntries)) UNDELIVERABLE"
      }
      lines.append("\(mapping.name)  (stream \(mapping.stream)\(failures))")
      lines.append("  \(state(of: mapping)), last result: \(mapping.lastProcessingResult)")
      for passed in report.passedThresholds ?? [] where passed.mapping == mapping.name {
        lines.append("  OVER THRESHOLD: \(passed.reason)")
      }
      if let shadow = mapping.shadow {
        lines += text(shadow, now: report.generatedAt).map { "  " + $0 }
      } else if mapping.settings["shadow"] == "true" {
        lines.append("  shadow: what its function answers moves nothing")
      }
      let hasWindows = mapping.shards.contains { $0.worst.window != nil }
      let columns = ["  shard", "state", "behind", "iterator age", "failed", "next"]
      let parksKeys = mapping.shards.contains { $0.parkedKeyCount > 0 }
      var table = TextTable(columns + (hasWindows ? ["window"] : []) + (parksKeys ? ["parked"] : []))
      for shard in mapping.shards {
        let row = [
          "  \(shard.shard)", label(shard), Text.count(shard.backlogRecords),
          shard.backlogRecords == 0 ? "-" : Text.duration(shard.iteratorAgeMilliseconds),
          shard.attemptsMade == 0 ? "-" : "\(shard.attemptsMade)×",
          shard.nextAttemptAt.map { Text.relative($0, now: report.generatedAt) } ?? "-",
        ]
        // A mapping with windows has one lane for each shard.
        let window = shard.worst.window.map { text($0, now: report.generatedAt) } ?? "-"
        table.add(row + (hasWindows ? [window] : []) + (parksKeys ? [parked(shard)] : []))
      }
      lines.append(table.text)
    }
    let idle = report.streams.filter { stream in !report.mappings.contains { $0.stream == stream.name } }
    if !idle.isEmpty {
      lines.append("")
      lines.append("streams without a mapping: \(idle.map(\.name).joined(separator: ", "))")
    }
    return lines.joined(separator: "\n")
  }

  /// What a shadow has answered.
  static func text(_ shadow: ShadowReport, now: Int64) -> [String] {
    func batches(_ count: UInt64, _ records: UInt64) -> String {
      "\(Text.count(count)) batch\(count == 1 ? "" : "es") (\(Text.records(records)))"
    }
    var lines = [
      "shadow: \(batches(shadow.succeededBatches, shadow.succeededRecords)) succeeded, "
        + "\(batches(shadow.failedBatches, shadow.failedRecords)) failed; that moved nothing"
    ]
    if let failure = shadow.lastFailure {
      lines.append("last failure \(Text.relative(failure.at, now: now)): \(failure.type): \(failure.message)")
    }
    return lines
  }

  private static func text(_ window: WindowReport, now: Int64) -> String {
    let end =
      window.isTerminatedEarly
      ? "ends early" : window.isEnding ? "its end is next" : "ends \(Text.relative(window.end, now: now))"
    return "since \(Text.moment(window.start, now: now)), \(end), \(Text.records(window.records)), "
      + "state \(Text.count(window.stateBytes)) B"
  }

  private static func parked(_ shard: ShardProgress) -> String {
    guard shard.parkedKeyCount > 0 else { return "-" }
    let keys = "\(Text.count(shard.parkedKeyCount)) key\(shard.parkedKeyCount == 1 ? "" : "s")"
    return "\(keys), \(Text.records(shard.parkedRecords))"
  }

  private static func label(_ shard: ShardProgress) -> String {
    let state = label(shard.worst.state)
    guard shard.laneCount > 1, shard.blockedLaneCount > 0 else { return state }
    return "\(state) (\(shard.blockedLaneCount) of \(shard.laneCount) lanes)"
  }

  static func state(of mapping: MappingReport) -> String {
    mapping.isConfigured ? mapping.state.rawValue : "\(mapping.state.rawValue) (not in the configuration)"
  }

  static func label(_ state: LaneState) -> String {
    switch state {
    case .waitingForParents: "waiting for parents"
    case .idle: "● caught up"
    case .filling: "● filling"
    case .delivering: "● delivering"
    case .retrying: "■ BLOCKED, retrying"
    case .storingFailure: "■ BLOCKED, giving up"
    case .paused: "‖ paused"
    case .stopped: "■ STOPPED"
    case .finished: "✓ finished"
    case .notRunning: "○ not running"
    }
  }
}
