import ArgumentParser
import Foundation
import Sluice
import StreamModel

struct Failures: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "The dead letters: payload, attempts, ordered redrive.",
    subcommands: [List.self, Show.self, Redrive.self, Redeliver.self, Export.self, Purge.self],
    defaultSubcommand: List.self)

  struct Selection: ParsableArguments {
    @Option(help: "Only those of this mapping.") var mapping: String?
    @Option(help: "Only those of this shard.") var shard: String?
    @Option(help: "Only those with a record of this partition key.") var key: String?
    @Option(name: .customLong("entry"), help: "Only this entry. May be repeated.") var entries: [UInt64] = []

    var query: FailureQuery { FailureQuery(mapping: mapping, shard: shard, key: key, entries: entries) }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List failure entries, oldest first.",
      discussion: "Example: sluice failures list --mapping flights-delays")
    @OptionGroup var selection: Selection
    @OptionGroup var store: DataOptions

    func run() async throws {
      let answer = try await Connection.look(at: store.dataDirectory).perform(.listFailures(selection.query))
      guard case .failures(let entries) = answer else { throw Problem(answer) }
      if store.output.isJSON { return try printJSON(entries) }
      print(FailureText.list(entries, now: Int64(Date().timeIntervalSince1970 * 1_000)))
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show one entry with every attempt and every record.",
      discussion: "Example: sluice failures show 1")
    @Argument(help: "The number of the entry.") var entry: UInt64
    @OptionGroup var store: DataOptions

    func run() async throws {
      let answer = try await Connection.look(at: store.dataDirectory).perform(.showFailure(entry: entry))
      guard case .failure(let report, let records) = answer else { throw Problem(answer) }
      if store.output.isJSON { return try printJSON(FailureDetail(entry: report, records: records)) }
      print(FailureText.detail(report, records, now: Int64(Date().timeIntervalSince1970 * 1_000)))
    }
  }

  struct Redeliver: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take failure entries to their mapping's destination, with all their attempts.",
      discussion: """
        Those that are not there; with --entry also one that is. Without a worker they go when the next one starts.

        Examples:
          sluice failures redeliver --mapping flights-delays
          sluice failures redeliver --entry 3 --yes
        """)
    @OptionGroup var selection: Selection
    @OptionGroup var store: DataOptions
    @OptionGroup var consent: ConsentOptions

    func run() async throws {
      let request = OperatorRequest.redeliver(selection.query, consent: consent.value)
      let answer = try await Connection.act(on: store.dataDirectory).perform(request)
      guard case .action(let report) = answer else { throw Problem(answer) }
      try report.print(isJSON: store.output.isJSON)
    }
  }

  struct Purge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete failure entries for good.",
      discussion: "Example: sluice failures purge --entry 3 --yes")
    @OptionGroup var selection: Selection
    @OptionGroup var store: DataOptions
    @OptionGroup var consent: ConsentOptions

    func run() async throws {
      let request = OperatorRequest.purge(selection.query, consent: consent.value)
      let answer = try await Connection.act(on: store.dataDirectory).perform(request)
      guard case .action(let report) = answer else { throw Problem(answer) }
      try report.print(isJSON: store.output.isJSON)
    }
  }
}

struct FailureDetail: Encodable {
  var entry: FailureReport
  var records: [FailedRecord]
}

enum FailureText {
  static func list(_ entries: [FailureReport], now: Int64) -> String {
    guard !entries.isEmpty else { return "no failures" }
    let isDelivered = entries.contains { $0.delivery != nil }
    let columns = ["entry", "mapping", "shard", "records", "condition", "attempts", "when"]
    let expires = entries.contains { $0.expiresAt != nil }
    var table = TextTable(
      columns + (expires ? ["expires"] : []) + (isDelivered ? ["delivery"] : []) + ["error"])
    for entry in entries {
      // Why they were given up is what failed before, not that somebody stopped the last attempt.
      let attempt = entry.attempts.last { $0.type != HandlerFailure.stoppedType } ?? entry.attempts.last
      let error = attempt.map { "\($0.type): \($0.message)" } ?? "-"
      let row = [
        "\(entry.entry)", entry.mapping, entry.shard, Text.count(entry.records), entry.condition,
        "\(entry.attemptsMade)", Text.relative(entry.createdAt, now: now),
      ]
      let expiry = expires ? [entry.expiresAt.map { Text.expiry($0, now: now) } ?? "-"] : []
      table.add(row + expiry + (isDelivered ? [delivery(entry, now: now)] : []) + [error])
    }
    return table.text
  }

  private static func delivery(_ entry: FailureReport, now: Int64) -> String {
    guard let delivery = entry.delivery else { return "-" }
    switch delivery.state {
    case .delivered: return "delivered"
    case .undeliverable: return "UNDELIVERABLE"
    case .pending: return delivery.attempts == 0 ? "pending" : "again \(Text.relative(delivery.at, now: now))"
    }
  }

  /// Deliveries that used up none of them are told below, and so are those of larger batches.
  private static func attempts(of entry: FailureReport) -> String {
    switch entry.attemptsMade {
    case 0: entry.attempts.isEmpty ? "and was never delivered" : "with no attempt used up"
    case 1: "after 1 attempt"
    default: "after \(entry.attemptsMade) attempts"
    }
  }

  static func detail(_ entry: FailureReport, _ records: [FailedRecord], now: Int64) -> String {
    var lines = [
      "entry \(entry.entry) · \(entry.mapping) · \(entry.shard) · \(entry.condition)",
      "  left the shard \(Text.relative(entry.createdAt, now: now)), \(attempts(of: entry))",
      "  first \(entry.firstSequenceNumber)", "  last  \(entry.lastSequenceNumber)",
    ]
    if let expiry = entry.expiresAt {
      let moment = expiry > now ? ", at \(Text.moment(expiry, now: now))" : ""
      lines.append("  expires \(Text.expiry(expiry, now: now))\(moment)")
    }
    if let window = entry.window {
      let part = window.isFinalInvokeForWindow ? "the final invocation" : "a batch"
      lines.append(
        "  \(part) of the window \(Text.moment(window.start, now: now)) to \(Text.moment(window.end, now: now))")
      if let state = window.state { lines.append("  state \(state)") }
    }
    if entry.redrives > 0 { lines.append("  redriven \(entry.redrives)× without success") }
    if let delivery = entry.delivery {
      let moment = Text.moment(delivery.at, now: now)
      switch delivery.state {
      case .delivered: lines.append("  delivered at \(moment) to \(delivery.detail)")
      case .undeliverable: lines.append("  undeliverable after \(delivery.attempts) attempts: \(delivery.detail)")
      case .pending where delivery.attempts == 0: lines.append("  waits for its delivery")
      case .pending:
        lines.append("  delivery failed \(delivery.attempts)×, again at \(moment): \(delivery.detail)")
      }
    }
    lines += RecordText.story(entry.attempts, entry.events, omitted: entry.attemptsOmitted, now: now)
    lines.append("")
    for record in records {
      lines.append(
        "  \(Text.short(record.sequenceNumber))  \(record.partitionKey)  \(record.text ?? record.base64 ?? "")")
    }
    return lines.joined(separator: "\n")
  }
}
