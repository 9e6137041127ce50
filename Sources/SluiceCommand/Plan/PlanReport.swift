import ShardCore
import ShardPlan
import SluiceService
import StreamModel
import StreamRuntime

/// A plan as people read it: rows, where many of the same kind are one, and what it comes to.
struct PlanReport {
  let request: PlanRequest
  let outlook: PlanOutlook
  let rows: [Row]

  enum Row {
    case step(PlanStep)
    /// So many like the one before, of the same kind: retries of one batch, or batches that succeed.
    case more(count: Int, until: PlanInvocation)
  }

  /// Of a longer stretch of the same kind the first so many are shown, and the last one.
  static let shownOfStretch = 4

  init(_ request: PlanRequest, _ outlook: PlanOutlook) {
    self.request = request
    self.outlook = outlook
    rows = Self.rows(outlook.plan.steps)
  }

  var plan: Plan { outlook.plan }

  private static func rows(_ steps: [PlanStep]) -> [Row] {
    var rows: [Row] = []
    var start = 0
    while start < steps.count {
      var end = start + 1
      while end < steps.count, isSameKind(steps[start], steps[end]) { end += 1 }
      if end - start > shownOfStretch + 2, case .invocation(let last) = steps[end - 2] {
        rows += steps[start..<start + shownOfStretch].map { .step($0) }
        rows.append(.more(count: end - start - shownOfStretch - 1, until: last))
        rows.append(.step(steps[end - 1]))
      } else {
        rows += steps[start..<end].map { .step($0) }
      }
      start = end
    }
    return rows
  }

  private static func isSameKind(_ first: PlanStep, _ other: PlanStep) -> Bool {
    guard case .invocation(let first) = first, case .invocation(let other) = other, first.lane == other.lane,
      first.isFinal == other.isFinal
    else { return false }
    if first.result == .succeeded, other.result == .succeeded { return first.depth == 0 && other.depth == 0 }
    return first.request == other.request && first.result == other.result
  }

  // MARK: Words

  var title: String {
    let failing = plan.records.filter { !$0.isHealthy }.map(\.number)
    var numbers = "nothing fails"
    if let first = failing.first {
      numbers = failing.count == 1 ? "record \(first) fails" : "records \(Self.list(failing)) fail"
    }
    return "\(request.name): \(Text.records(plan.records.count)), \(numbers)"
  }

  /// The settings that the plan follows from.
  var policyLine: String {
    let policy = request.scenario.policy
    var parts = ["BatchSize \(policy.batchSize)"]
    if policy.tumblingWindowMilliseconds > 0 {
      parts.append("tumbling window \(Self.duration(policy.tumblingWindowMilliseconds))")
    }
    if policy.windowMilliseconds > 0 { parts.append("window \(Self.duration(policy.windowMilliseconds))") }
    parts.append("retries \(policy.maximumRetryAttempts.map { "\($0)" } ?? "without end")")
    if let age = policy.maximumRecordAgeMilliseconds { parts.append("record age \(Self.duration(age))") }
    if policy.bisectsBatchOnError { parts.append("bisects") }
    if request.reportsItemFailures {
      parts.append(request.scenario.namesEveryFailure ? "every item failure" : "item failures")
    }
    if request.scenario.laneCount > 1 { parts.append("\(request.scenario.laneCount) lanes") }
    let count = request.retryRules.count
    if count > 0 { parts.append("\(count) retry rule\(count == 1 ? "" : "s")") }
    return parts.joined(separator: " · ")
  }

  /// Exact to the millisecond below ten minutes: `850 ms`, `1.75 s`, `63.75 s`.
  static func duration(_ milliseconds: Int64) -> String {
    guard (1_000..<600_000).contains(milliseconds) else { return Text.duration(milliseconds) }
    var fraction = String(String(milliseconds % 1_000 + 1_000).dropFirst())
    while fraction.last == "0" { fraction.removeLast() }
    return fraction.isEmpty ? "\(milliseconds / 1_000) s" : "\(milliseconds / 1_000).\(fraction) s"
  }

  /// A, B, … Z, AA, AB, …
  static func letters(_ request: Int) -> String {
    let letter = String(UnicodeScalar(UInt8(65 + request % 26)))
    return request < 26 ? letter : letters(request / 26 - 1) + letter
  }

  func result(of invocation: PlanInvocation) -> String {
    switch invocation.result {
    case .succeeded: return "ok"
    case .reported(let records): return "reports \(records)"
    case .failed(let kind, let record, let rule):
      // None of the batch is done: where every failure is named, all of it was.
      if kind == .reportedNoProgress, request.scenario.namesEveryFailure {
        return "reports \(invocation.records)" + (ruleName(rule).map { " (\($0))" } ?? "")
      }
      let name = kind == .reportedNoProgress ? "reports" : kind.name
      let at = record.map { kind == .reportedNoProgress ? " \($0)" : " at \($0)" } ?? ""
      return name + at + (ruleName(rule).map { " (\($0))" } ?? "")
    }
  }

  func ruleName(_ rule: RetryRuleID?) -> String? {
    rule.flatMap { id in
      let rules = request.retryRules
      return rules.indices.contains(Int(id.rawValue)) ? rules[Int(id.rawValue)].name : nil
    }
  }

  func next(of invocation: PlanInvocation) -> String {
    switch invocation.next {
    case .open: return "under way"
    case .settled: return ""
    case .rest(let rest): return "\(rest) at once, as a new batch"
    case .split(let left, let right): return "split: \(left), then \(right)"
    case .retry(let wait): return "again in \(Self.text(wait))" + (wait.usesAttempt ? "" : ", no attempt used")
    case .endlessRetry(let wait): return "again in \(Self.text(wait)), and so on for ever"
    case .expiry(let milliseconds): return "too old in \(Self.duration(milliseconds))"
    case .departure: return "given up"
    }
  }

  static func text(_ departure: PlanDeparture) -> String {
    let attempts = departure.attempts == 1 ? "1 attempt" : "\(departure.attempts) attempts"
    return "\(departure.condition.name) after \(attempts): to the failures"
  }

  private static func text(_ wait: PlanWait) -> String {
    guard wait.leastMilliseconds < wait.mostMilliseconds else { return Self.duration(wait.milliseconds) }
    return Self.duration(wait.milliseconds)
      + " (\(Self.duration(wait.leastMilliseconds)) to \(Self.duration(wait.mostMilliseconds)))"
  }

  /// What the plan comes to, a sentence each.
  var summary: [String] {
    var lines: [String] = []
    let calls = plan.invocations.count(where: \.reachesHandler)
    let refused = plan.invocations.count - calls
    var count =
      "\(Text.count(calls)) invocation\(calls == 1 ? "" : "s")"
      + Self.range(
        outlook.shortest.invocations.count(where: \.reachesHandler),
        outlook.longest.invocations.count(where: \.reachesHandler)
      ) { Text.count($0) }
    if refused > 0 { count += ", and \(refused) that do not reach the handler" }
    if let end = plan.endMilliseconds {
      lines.append("\(count); all settled after \(span(end, \.endMilliseconds))")
      if let moves = plan.movesAgainMilliseconds, moves < end {
        lines.append("the last failing record is settled after \(span(moves, \.movesAgainMilliseconds))")
      }
    } else {
      lines.append("\(count)\(plan.isCut ? ", and the plan is cut there: there are more" : " shown")")
    }
    lines += plan.endless.map(endless)
    let left = plan.records.filter { if case .left = $0.outcome { true } else { false } }
    let lost = left.filter(\.isHealthy).map(\.number)
    let failing = left.filter { !$0.isHealthy }.map(\.number)
    if !failing.isEmpty { lines.append("to the failures: \(Self.list(failing))") }
    lines.append(
      lost.isEmpty ? "no healthy record is given up" : "healthy, but given up: \(Self.list(lost))")
    let again = plan.records.filter { $0.isHealthy && $0.deliveries > 1 }
    if again.isEmpty {
      lines.append("no healthy record is delivered more than once")
    } else {
      lines.append("healthy and delivered more than once: \(Self.deliveries(again))")
    }
    return lines
  }

  private func span(_ milliseconds: Int64, _ value: KeyPath<Plan, Int64?>) -> String {
    Self.duration(milliseconds)
      + Self.range(outlook.shortest[keyPath: value], outlook.longest[keyPath: value]) { Self.duration($0) }
  }

  private func endless(_ batch: EndlessBatch) -> String {
    let what = batch.records.count == 1 ? "record \(batch.records)" : "records \(batch.records)"
    var line = "\(what): again every \(Self.duration(batch.everyMilliseconds)) for ever"
    if batch.waiting > 0 {
      line += ", and \(Text.records(batch.waiting)) behind \(batch.records.count == 1 ? "it" : "them") wait"
    }
    line += " — until the handler succeeds, an operator skips"
    if let retention = request.retentionMilliseconds {
      line += ", or retention takes the records after \(Self.duration(retention))"
    }
    return line
  }

  private static func range<Value: Comparable>(
    _ least: Value?, _ most: Value?, _ text: (Value) -> String
  ) -> String {
    guard let least, let most, least != most else { return "" }
    return " (\(text(min(least, most))) to \(text(max(least, most))))"
  }

  /// `1–3, 7`.
  static func list(_ numbers: [Int]) -> String { "\(RecordNumbers(numbers))" }

  /// `1 (3×), 4–5 (2×)`: neighbours with the same count stand together.
  private static func deliveries(_ fates: [RecordFate]) -> String {
    var groups: [(numbers: [Int], deliveries: Int)] = []
    for fate in fates {
      if let last = groups.last, last.deliveries == fate.deliveries, last.numbers.last == fate.number - 1 {
        groups[groups.count - 1].numbers.append(fate.number)
      } else {
        groups.append(([fate.number], fate.deliveries))
      }
    }
    let shown = groups.prefix(12).map { "\(list($0.numbers)) (\($0.deliveries)×)" }.joined(separator: ", ")
    return groups.count > 12 ? "\(shown) and more" : shown
  }
}
