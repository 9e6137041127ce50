import Sluice

/// The story of failing records, as `failures show` and `explain --record` print it.
enum RecordText {
  /// Attempts and events in the order in which they happened, with how many attempts are left out.
  static func story(
    _ attempts: [AttemptReport], _ events: [RecordEventReport], omitted: Int, now: Int64
  ) -> [String] {
    var parts: [(at: Int64, lines: [String])] = []
    for (position, attempt) in attempts.enumerated() {
      parts.append((attempt.startedAt, lines(attempt, position + 1, now: now)))
    }
    for event in events { parts.append((event.at, [line(event, now: now)])) }
    var lines: [String] = []
    // Of the same moment attempts come first: they are there before what follows from them.
    let inOrder = parts.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
    for part in inOrder { lines += [""] + part.element.lines }
    if omitted > 0 {
      lines += ["", "  \(Text.count(omitted)) attempts between the oldest and the newest are not kept"]
    }
    return lines
  }

  private static func lines(_ attempt: AttemptReport, _ number: Int, now: Int64) -> [String] {
    let redrive = attempt.redrivenBy.map { $0.isEmpty ? ", a redrive" : ", a redrive by \($0)" } ?? ""
    var lines = [
      "  attempt \(number) at \(Text.moment(attempt.startedAt, now: now)), \(attempt.durationMilliseconds) ms\(redrive)"
    ]
    if let batch = attempt.batch { lines.append("    \(text(batch))") }
    lines.append("    request \(attempt.requestID)")
    lines.append("    \(attempt.type): \(attempt.message)")
    for line in attempt.trace { lines.append("    \(line)") }
    if let rule = attempt.rule { lines.append("    rule \(rule)") }
    return lines
  }

  static func text(_ batch: AttemptedBatchReport) -> String {
    switch batch.records {
    case 0: return "the final invocation of the window before \(Text.short(batch.firstSequenceNumber))"
    case 1: return "alone"
    default:
      let place = batch.position.map { "at position \($0) " } ?? ""
      return "\(place)in a batch of \(Text.count(batch.records)), \(Text.short(batch.firstSequenceNumber)) to "
        + Text.short(batch.lastSequenceNumber)
    }
  }

  private static func line(_ event: RecordEventReport, now: Int64) -> String {
    let actor = event.actor.map { " by \($0)" } ?? ""
    let what = event.kind == "parked" ? "its partition key was parked" : event.kind
    return "  \(what)\(actor) at \(Text.moment(event.at, now: now))"
  }

  static func render(_ record: RecordReport, now: Int64) -> String {
    var lines = [
      "\(record.mapping) · \(record.shard) · \(record.sequenceNumber)", "  \(record.summary)",
    ]
    if let key = record.partitionKey {
      lines.append("  partition key \(key)" + (record.arrival.map { ", arrived \(Text.moment($0, now: now))" } ?? ""))
    }
    if let preview = record.preview { lines.append("  \(preview)") }
    let story = story(record.attempts, record.events, omitted: record.attemptsOmitted, now: now)
    if story.isEmpty { lines.append("  no failed attempt of it is known") }
    lines += story
    if !record.entries.isEmpty {
      if let expiry = record.entriesExpireAt { lines.append("  the entry expires \(Text.expiry(expiry, now: now))") }
      lines.append("")
      for entry in record.entries { lines.append("  $ sluice failures show \(entry)") }
    }
    return lines.joined(separator: "\n")
  }
}
