import StreamModel

/// A page about two runs, in one file that needs nothing else.
public struct RunReport {
  private let before: RunFile
  private let after: RunFile
  private let difference: RunDifference
  /// The names of the two files.
  private let names: [String]

  /// Of each kind so many rows are shown.
  public static let rowLimit = 200

  public init(_ before: RunFile, _ after: RunFile, _ difference: RunDifference, names: [String]) {
    self.before = before
    self.after = after
    self.difference = difference
    self.names = names
  }

  public var html: String {
    let pictures = RunPictures(before: before, after: after)
    let title = "\(HTMLText.escaped(names[0])) → \(HTMLText.escaped(names[1]))"
    var page = "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>\(title)</title>"
    page += "<style>\(Self.style)</style></head><body><h1>\(title)</h1>"
    page += "<p class='\(difference.isSame ? "same" : "changed")'>\(verdict)</p>"
    page += summary
    page += section("What became of the records", pictures.records(), note: Self.recordsNote)
    page += section("Invocations in virtual time", pictures.invocations(), note: "Green succeeded, red failed.")
    page += section("Real durations", pictures.durations())
    page += records("No longer succeed", difference.newlyFailing)
    page += records("Newly succeed", difference.newlySucceeding)
    page += records("Fail for another reason", difference.failingOtherwise)
    page += answers
    page += windows
    return page + "</body></html>\n"
  }

  private static let recordsNote =
    "Each bar runs from the first record of the shard to its last. Green is done, red has left without success, dark grey "
    + "is unsettled, light grey was not replayed. The first \(RunPictures.shardLimit) shards."

  private static let style =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#1d2329}"
    + "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%}"
    + "td,th{text-align:left;vertical-align:top;padding:.25em .8em .25em 0;border-bottom:1px solid #dde1e5;"
    + "overflow-wrap:anywhere}svg{width:100%;height:auto}svg text{font-size:12px;fill:#444}svg .small{font-size:10px}"
    + ".same{color:#2b7a48;font-weight:600}.changed{color:#b03424;font-weight:600}.note{color:#5b6570}"
    + "code{font:13px ui-monospace,monospace}"

  private var verdict: String {
    if difference.isSame { return difference.sameness.prefix(1).uppercased() + difference.sameness.dropFirst() + "." }
    func count(_ records: [RunDifference.Record]) -> UInt64 { records.reduce(0) { $0 + $1.count } }
    let parts: [(UInt64, String)] = [
      (count(difference.newlyFailing), "records no longer succeed"),
      (count(difference.newlySucceeding), "records newly succeed"),
      (count(difference.failingOtherwise), "records fail for another reason"),
      (UInt64(difference.answers.count), "answers changed"),
      (UInt64(difference.windows.count), "windows came to another state"),
    ]
    return parts.filter { $0.0 > 0 }.map { "\($0.0.withThousands) \($0.1)" }.joined(separator: ", ") + "."
  }

  private var summary: String {
    var rows = [
      ["handler", HTMLText.escaped(before.header.handler), HTMLText.escaped(after.header.handler)],
      ["mapping", HTMLText.escaped(before.header.mapping), HTMLText.escaped(after.header.mapping)],
      ["stream", HTMLText.escaped(before.header.stream), HTMLText.escaped(after.header.stream)],
      ["records", before.end.records.withThousands, after.end.records.withThousands],
      ["invocations"] + difference.invocations.map { Self.known($0) },
      ["failed invocations"] + difference.failures.map { Self.known($0) },
      ["records without success", before.end.leftRecords.withThousands, after.end.leftRecords.withThousands],
      ["virtual time"]
        + difference.milliseconds.map { $0.map { Self.duration(microseconds: $0 * 1_000) } ?? "–" },
    ]
    if difference.notCompared > 0 { rows.append(["records not compared", difference.notCompared.withThousands, ""]) }
    for (name, values) in difference.settings.sorted(by: { $0.key < $1.key }) {
      rows.append([HTMLText.escaped(name)] + values.map { HTMLText.short($0) })
    }
    if difference.durations.contains(where: { $0 != nil }) {
      let measures: [(String, (RunDurations) -> Int64)] = [
        ("median of an invocation", { $0.median }), ("99 of 100 within", { $0.ninetyNinth }),
        ("longest", { $0.longest }), ("all together", { $0.total }),
      ]
      for (name, value) in measures {
        rows.append([name] + difference.durations.map { $0.map { Self.duration(microseconds: value($0)) } ?? "–" })
      }
      rows.append(
        ["memory of a process"]
          + difference.durations.map { $0?.peakMemoryBytes.map { "\($0 >> 20) MiB" } ?? "–" })
    }
    return "<table>" + HTMLText.heads(["", "before", "after"]) + rows.map(HTMLText.row).joined() + "</table>"
  }

  private func section(_ title: String, _ inside: String, note: String = "") -> String {
    guard !inside.isEmpty else { return "" }
    return "<h2>\(title)</h2>" + (note.isEmpty ? "" : "<p class='note'>\(note)</p>") + inside
  }

  private func table(_ title: String, _ heads: [String], _ rows: [[String]], of count: Int) -> String {
    guard count > 0 else { return "" }
    let note =
      count > rows.count ? "The first \(rows.count) of \(count.withThousands): sluice diff --format json has all." : ""
    return section(title, "<table>\(HTMLText.heads(heads))\(rows.map(HTMLText.row).joined())</table>", note: note)
  }

  private func records(_ title: String, _ records: [RunDifference.Record]) -> String {
    let rows = records.prefix(Self.rowLimit).map { record in
      [
        "\(record.shard)", record.count == 1 ? "\(record.first)" : "\(record.first)–\(record.last)",
        "<code>\(HTMLText.escaped(record.sequenceNumbers))</code>", HTMLText.escaped(record.keys(10, 60)),
        HTMLText.short(record.before), HTMLText.short(record.after),
      ]
    }
    let heads = ["shard", "records", "sequence number", "partition key", "before", "after"]
    return table(title, heads, rows, of: records.count)
  }

  private var answers: String {
    let rows = difference.answers.prefix(Self.rowLimit).map { answer in
      let texts = ChangedText(answer.before, answer.after, limit: HTMLText.shortLimit)
      return [
        "\(answer.shard)", answer.records.first?.first.map { "from \($0)" } ?? "end of a window",
        "<code>\(HTMLText.escaped(answer.firstRecord?.sequenceNumber ?? ""))</code>",
        HTMLText.short(answer.firstRecord?.partitionKey ?? ""),
        "<code>\(HTMLText.short(texts.before))</code>", "<code>\(HTMLText.short(texts.after))</code>",
      ]
    }
    return table(
      "Changed answers", ["shard", "batch", "first sequence number", "its partition key", "before", "after"], rows,
      of: difference.answers.count)
  }

  private var windows: String {
    let rows = difference.windows.prefix(Self.rowLimit).map { window in
      let texts = ChangedText(window.before ?? "–", window.after ?? "–", limit: HTMLText.shortLimit)
      return [
        "\(window.shard)", "\(window.begin)–\(window.end)", "<code>\(HTMLText.short(texts.before))</code>",
        "<code>\(HTMLText.short(texts.after))</code>",
      ]
    }
    return table(
      "Changed states of windows", ["shard", "window (ms since 1970)", "before", "after"], rows,
      of: difference.windows.count)
  }

  private static func known(_ count: UInt64?) -> String { count.map { $0.withThousands } ?? "–" }

  /// `1.2 ms`, `3 min 5 s`
  static func duration(microseconds: Int64) -> String {
    switch microseconds {
    case ..<1_000: "\(microseconds) µs"
    case ..<10_000: "\(Double(microseconds / 100) / 10) ms"
    case ..<1_000_000: "\(microseconds / 1_000) ms"
    case ..<60_000_000: "\(Double(microseconds / 100_000) / 10) s"
    case ..<3_600_000_000: "\(microseconds / 60_000_000) min \(microseconds / 1_000_000 % 60) s"
    default: "\(microseconds / 3_600_000_000) h \(microseconds / 60_000_000 % 60) min"
    }
  }
}
