import Foundation
import ShardPlan

/// A plan on a terminal.
enum PlanText {
  static func render(_ report: PlanReport) -> String {
    var lines = [report.title, "  \(report.policyLine)"]
    lines += report.request.notes.map { "  note: \($0)" }
    let hasLanes = report.request.scenario.laneCount > 1
    var table = TextTable(["  time"] + (hasLanes ? ["lane"] : []) + ["records", "request", "try", "result", "then"])
    for row in report.rows { table.add(cells(of: row, report, hasLanes: hasLanes)) }
    lines.append("")
    lines += table.text.split(separator: "\n").map { line in
      String(line.reversed().drop { $0 == " " }.reversed())
    }
    lines.append("")
    lines += report.summary.map { "  \($0)" }
    return lines.joined(separator: "\n")
  }

  private static func cells(of row: PlanReport.Row, _ report: PlanReport, hasLanes: Bool) -> [String] {
    func cells(_ time: String, _ lane: Int, _ others: [String]) -> [String] {
      ["  \(time)"] + (hasLanes ? ["\(lane)"] : []) + others
    }
    switch row {
    case .step(.invocation(let invocation)):
      return cells(
        PlanReport.duration(invocation.milliseconds), invocation.lane,
        [
          String(repeating: "  ", count: invocation.depth)
            + (invocation.isFinal ? "window ends" : "\(invocation.records)"),
          PlanReport.letters(invocation.request), "\(invocation.attempt)", report.result(of: invocation),
          report.next(of: invocation),
        ])
    case .step(.departure(let departure)):
      return cells(
        PlanReport.duration(departure.milliseconds), departure.lane,
        [
          departure.records.count == 0 ? "its state" : "\(departure.records)", "", "", "leaves",
          PlanReport.text(departure),
        ])
    case .more(let count, let last):
      return cells(
        "…", last.lane,
        ["… \(Text.count(count)) more", "", "", "", "until \(PlanReport.duration(last.milliseconds))"])
    }
  }
}
