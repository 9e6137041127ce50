import ShardCore
import ShardPlan
import SluiceService
import StreamModel
import StreamRuntime

/// What `plan --format json` prints. The names are a contract. Records are numbers from 1, as `1-4,6`; times are
/// milliseconds from the beginning.
struct PlanLine: Encodable {
  var mapping: String
  var records: Int
  var notes: [String]
  var steps: [Step]
  /// Those that reach the handler; the range is what jitter may make of them.
  var invocations: Spread
  var endsAt: Spread?
  var movesAgainAt: Spread?
  var isCut: Bool
  var endless: [Endless]
  var givenUp: String
  /// Healthy records that left the shard undone.
  var lost: String
  var deliveries: [Int]

  struct Step: Encodable {
    var at: Int64
    /// `invocation` or `departure`.
    var step: String
    var lane: Int
    var records: String
    var count: Int
    // Of an invocation.
    /// The final invocation of a tumbling window: there are no records.
    var isFinalInvokeForWindow: Bool?
    var endsAt: Int64?
    var request: String?
    var attempt: Int?
    var depth: Int?
    /// `ok`, `report`, or the kind of the failure.
    var result: String?
    var failedAt: Int?
    /// With `report`: the records that the handler named. Several only where `itemFailures` is `every`.
    var reported: String?
    var rule: String?
    /// `settled`, `rest`, `split`, `retry`, `endless-retry`, `expiry` or `departure`.
    var next: String?
    /// The batches that come of it.
    var nextRecords: [String]?
    var waits: Spread?
    var usesAttempt: Bool?
    // Of a departure.
    var condition: String?
    var attempts: Int?
  }

  struct Spread: Encodable {
    var planned: Int64
    var least: Int64
    var most: Int64
  }

  struct Endless: Encodable {
    var lane: Int
    var records: String
    var waiting: Int
    var every: Int64
  }

  init(_ report: PlanReport) {
    let (plan, shortest, longest) = (report.plan, report.outlook.shortest, report.outlook.longest)
    mapping = report.request.name
    records = plan.records.count
    notes = report.request.notes
    steps = plan.steps.map { Step($0, report) }
    let counts = [plan, shortest, longest].map { Int64($0.invocations.count(where: \.reachesHandler)) }
    invocations = Spread(planned: counts[0], least: counts.min() ?? 0, most: counts.max() ?? 0)
    endsAt = Spread(plan.endMilliseconds, shortest.endMilliseconds, longest.endMilliseconds)
    movesAgainAt = Spread(
      plan.movesAgainMilliseconds, shortest.movesAgainMilliseconds, longest.movesAgainMilliseconds)
    isCut = plan.isCut
    endless = plan.endless.map {
      Endless(lane: $0.lane, records: $0.records.plain, waiting: $0.waiting, every: $0.everyMilliseconds)
    }
    let left = plan.records.filter { if case .left = $0.outcome { true } else { false } }
    givenUp = RecordNumbers(left.map(\.number)).plain
    lost = RecordNumbers(left.filter(\.isHealthy).map(\.number)).plain
    deliveries = plan.records.map(\.deliveries)
  }
}

extension PlanLine.Spread {
  fileprivate init?(_ planned: Int64?, _ one: Int64?, _ other: Int64?) {
    guard let planned, let one, let other else { return nil }
    self.init(planned: planned, least: min(one, other), most: max(one, other))
  }
}

extension PlanLine.Step {
  fileprivate init(_ step: PlanStep, _ report: PlanReport) {
    switch step {
    case .departure(let departure):
      self.init(
        at: departure.milliseconds, step: "departure", lane: departure.lane, records: departure.records.plain,
        count: departure.records.count)
      condition = departure.condition.name
      attempts = departure.attempts
    case .invocation(let invocation):
      self.init(
        at: invocation.milliseconds, step: "invocation", lane: invocation.lane, records: invocation.records.plain,
        count: invocation.records.count)
      if invocation.isFinal { isFinalInvokeForWindow = true }
      endsAt = invocation.endMilliseconds
      request = PlanReport.letters(invocation.request)
      attempt = invocation.attempt
      depth = invocation.depth
      take(invocation.result, report)
      take(invocation.next)
    }
  }

  private mutating func take(_ outcome: PlanInvocation.Result, _ report: PlanReport) {
    switch outcome {
    case .succeeded: result = "ok"
    case .reported(let records):
      result = "report"
      failedAt = records.first
      reported = records.plain
    case .failed(let kind, let record, let id):
      result = kind.name
      failedAt = record
      rule = report.ruleName(id)
    }
  }

  private mutating func take(_ follow: PlanInvocation.Next) {
    func note(_ name: String, _ wait: PlanWait) {
      next = name
      waits = PlanLine.Spread(
        planned: wait.milliseconds, least: wait.leastMilliseconds, most: wait.mostMilliseconds)
      usesAttempt = wait.usesAttempt
    }
    switch follow {
    case .open: next = nil
    case .settled: next = "settled"
    case .rest(let rest):
      next = "rest"
      nextRecords = [rest.plain]
    case .split(let left, let right):
      next = "split"
      nextRecords = [left.plain, right.plain]
    case .retry(let wait): note("retry", wait)
    case .endlessRetry(let wait): note("endless-retry", wait)
    case .expiry(let milliseconds):
      next = "expiry"
      waits = PlanLine.Spread(planned: milliseconds, least: milliseconds, most: milliseconds)
    case .departure: next = "departure"
    }
  }
}

extension RecordNumbers {
  /// For scripts: `1-4,6`.
  var plain: String {
    stretches.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
  }
}
