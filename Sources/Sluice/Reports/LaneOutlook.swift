import ShardCore
import ShardPlan
import StreamModel
import StreamRuntime
import StreamStore

/// What becomes of a batch that fails, if it goes on to fail in the same way: a plan from where its lane stands. Waits
/// are taken without their jitter, and the handler takes as long as it last did.
public struct LaneOutlook: Codable, Hashable, Sendable {
  /// Deliveries before the batch leaves the lane. `nil`: nothing in the policy ends them.
  public var deliveries: Int?
  /// When it leaves, in milliseconds since 1970. `nil` with the deliveries.
  public var leavesAt: Int64?
  /// Why, as failure entries say it. `nil` with the deliveries.
  public var condition: String?
  /// The records that leave, or that hold up the lane for ever.
  public var records: Int
  /// The time between two deliveries that never end.
  public var everyMilliseconds: Int64?

  /// `nil` if the future cannot be told from what is known: the batch is on its way out, the rule that it last fell
  /// under is not there any more, failures block keys instead of the lane, or there would be too many deliveries to count.
  init?(_ failing: FailingBatch, policy: LanePolicy, history: AttemptHistory, ruleNames: [String], now: WallTime) {
    // The final invocation of a window has no records to plan with.
    guard failing.givenUp == nil, policy.parking == nil, !failing.extent.isEmpty else { return nil }
    var rule: RetryRuleID?
    let last = history.last(where: {
      $0.isOf(first: failing.extent.first, count: failing.extent.count)
    })
    if let name = last?.rule {
      guard let place = ruleNames.firstIndex(of: name) else { return nil }
      rule = RetryRuleID(UInt8(place))
    }
    let planned = PlannedRecord(
      ageMilliseconds: now.milliseconds - failing.extent.lastArrival.milliseconds)
    var records = Array(repeating: planned, count: failing.extent.count)
    records[0].ageMilliseconds = now.milliseconds - failing.extent.firstArrival.milliseconds
    records[0].failure = PlannedFailure(failing.lastFailure, rule: rule)
    var policy = policy
    // The window of the batch stays as it is until the batch leaves.
    policy.tumblingWindowMilliseconds = 0
    var scenario = PlanScenario(policy: policy, records: records)
    scenario.beginning = now
    scenario.handlerMilliseconds = last?.durationMilliseconds ?? 0
    scenario.invocationLimit = Self.deliveryLimit
    var frozen = failing
    frozen.extent = BatchExtent(
      first: .zero, count: failing.extent.count, firstArrival: failing.extent.firstArrival,
      lastArrival: failing.extent.lastArrival, payloadBytes: failing.extent.payloadBytes)
    scenario.progress = LaneProgress(failing: frozen)
    let plan = scenario.plan()
    if let endless = plan.endless.first {
      self.records = endless.records.count
      everyMilliseconds = endless.everyMilliseconds
    } else if let departure = plan.departures.first {
      self.records = departure.records.count
      deliveries = plan.invocations.count { $0.milliseconds <= departure.milliseconds }
      leavesAt = now.milliseconds + departure.milliseconds
      condition = departure.condition.name
    } else {
      return nil
    }
  }

  /// Deliveries that are planned ahead at most: `explain` must not take long.
  static let deliveryLimit = 2_000
}
