import ShardPlan
import StreamModel

/// A plan as a picture: records from left to right, one row for each invocation from top to bottom. Self-contained SVG.
struct PlanPicture {
  private let report: PlanReport
  private let count: Int
  private var body: [String] = []

  /// What the longest words at the right, or below, need.
  private var width: Int {
    let right = report.rows.map { words(of: $0).count }.max() ?? 0
    let below = report.summary.map(\.count).max() ?? 0
    return max(1_180, Self.left + Self.gridWidth + 40 + right * 7, 40 + below * 7)
  }
  private static let left = 190
  private static let gridWidth = 520
  private static let rowHeight = 24
  private static let top = 110

  init(_ report: PlanReport) {
    self.report = report
    count = report.plan.records.count
  }

  var svg: String {
    var picture = self
    picture.draw()
    let rows = report.rows.count
    let height = Self.top + rows * Self.rowHeight + 30 + report.summary.count * 18
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" \
      height="\(height)" font-family="system-ui, sans-serif" font-size="12" fill="#1b1f24">
      <title>\(XML.text(report.title))</title>
      <rect width="100%" height="100%" fill="#ffffff"/>
      \(picture.body.joined(separator: "\n"))
      </svg>

      """
  }

  private mutating func draw() {
    text(x: 20, y: 28, report.title, "font-size=\"17\" font-weight=\"600\"")
    text(x: 20, y: 48, report.policyLine, "fill=\"#57606a\"")
    text(x: 20, y: Self.top - 12, "time", Self.faint)
    text(x: Self.left - 28, y: Self.top - 12, "req", Self.faint)
    text(x: Self.left + Self.gridWidth + 16, y: Self.top - 12, "result, and what follows", Self.faint)
    drawRuler()
    for (place, row) in report.rows.enumerated() { draw(row, at: Self.top + place * Self.rowHeight) }
    let y = Self.top + report.rows.count * Self.rowHeight + 24
    for (place, line) in report.summary.enumerated() { text(x: 20, y: y + place * 18, line, "") }
  }

  /// The records that fail, and where the others are.
  private mutating func drawRuler() {
    let bottom = Self.top + report.rows.count * Self.rowHeight
    for fate in report.plan.records where !fate.isHealthy {
      let (x, width) = (self.x(fate.number), max(1.5, cell))
      body.append(
        "<rect x=\"\(Self.number(x))\" y=\"\(Self.top - 8)\" width=\"\(Self.number(width))\" "
          + "height=\"\(bottom - Self.top + 8)\" fill=\"#fff1f0\"/>")
    }
    // Every record that has room for its number; otherwise the first, the last and those that fail.
    let shown =
      cell >= 16 ? Array(1...count) : ([1, count] + report.plan.records.filter { !$0.isHealthy }.map(\.number))
    var taken = -100.0
    for number in Set(shown).sorted() where x(number) - taken >= 24 || cell >= 16 {
      taken = x(number)
      let isHealthy = report.plan.records[number - 1].isHealthy
      text(
        x: Int(x(number) + cell / 2), y: Self.top - 12, "\(number)",
        isHealthy
          ? "fill=\"#57606a\" text-anchor=\"middle\"" : "fill=\"#cf222e\" font-weight=\"700\" text-anchor=\"middle\"")
    }
  }

  private var cell: Double { Double(Self.gridWidth) / Double(count) }
  private func x(_ number: Int) -> Double { Double(Self.left) + Double(number - 1) * cell }

  private mutating func draw(_ row: PlanReport.Row, at y: Int) {
    let middle = y + Self.rowHeight / 2 + 4
    switch row {
    case .step(.invocation(let invocation)):
      let colour = Self.colour(of: invocation)
      bars(invocation.records, y: y, "fill=\"\(colour.fill)\" stroke=\"\(colour.line)\"")
      text(x: 20, y: middle, time(invocation.milliseconds, invocation.lane), Self.faint)
      text(
        x: Self.left - 28, y: middle, PlanReport.letters(invocation.request),
        "font-weight=\"600\" fill=\"\(colour.line)\"")
      text(x: Self.left + Self.gridWidth + 16, y: middle, words(of: row), "")
    case .step(.departure(let departure)):
      bars(departure.records, y: y, "fill=\"#eaeef2\" stroke=\"#57606a\" stroke-dasharray=\"3 2\"")
      text(x: 20, y: middle, time(departure.milliseconds, departure.lane), Self.faint)
      text(x: Self.left + Self.gridWidth + 16, y: middle, words(of: row), "font-weight=\"600\"")
    case .more(let count, let last):
      text(
        x: Self.left, y: middle, "… \(Text.count(count)) more, until \(PlanReport.duration(last.milliseconds))",
        Self.faint)
    }
  }

  private func words(of row: PlanReport.Row) -> String {
    switch row {
    case .step(.invocation(let invocation)):
      let (result, next) = (report.result(of: invocation), report.next(of: invocation))
      let what = invocation.isFinal ? "window ends: \(result)" : result
      return next.isEmpty ? what : "\(what) → \(next)"
    case .step(.departure(let departure)): return PlanReport.text(departure)
    case .more: return ""
    }
  }

  private func time(_ milliseconds: Int64, _ lane: Int) -> String {
    PlanReport.duration(milliseconds) + (report.request.scenario.laneCount > 1 ? " · lane \(lane)" : "")
  }

  private mutating func bars(_ records: RecordNumbers, y: Int, _ style: String) {
    for stretch in records.stretches {
      let start = x(stretch.lowerBound)
      let width = max(2, Double(stretch.count) * cell - 2)
      body.append(
        "<rect x=\"\(Self.number(start + 1))\" y=\"\(y + 4)\" width=\"\(Self.number(width))\" "
          + "height=\"\(Self.rowHeight - 8)\" rx=\"3\" \(style)/>")
    }
  }

  private static let faint = "fill=\"#57606a\""

  private static func colour(of invocation: PlanInvocation) -> (fill: String, line: String) {
    switch invocation.result {
    case .succeeded: return ("#d2f4d9", "#1a7f37")
    case .reported: return ("#fff3c4", "#9a6700")
    case .failed:
      return invocation.reachesHandler ? ("#ffd8d3", "#cf222e") : ("#e6e2f5", "#6639ba")
    }
  }

  /// With one decimal, without the printing of `Double` that may use an exponent.
  private static func number(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
  }

  private mutating func text(x: Int, y: Int, _ words: String, _ style: String) {
    body.append("<text x=\"\(x)\" y=\"\(y)\" \(style)>\(XML.text(words))</text>")
  }
}

/// The picture with the same in words below it, as a page that needs nothing else.
enum PlanPage {
  static func html(_ svg: String, _ report: PlanReport) -> String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><title>\(XML.text(report.title))</title>
    <style>body{font-family:system-ui,sans-serif;margin:24px;color:#1b1f24}pre{font-size:13px;overflow-x:auto}</style>
    </head><body>
    \(svg)
    <details><summary>The same in words</summary>
    <pre>\(XML.text(PlanText.render(report)))</pre>
    </details>
    </body></html>

    """
  }
}

enum XML {
  static func text(_ words: String) -> String {
    words.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }
}
