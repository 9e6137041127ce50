import ShardCore

/// A plan, and what jitter may make of it.
public struct PlanOutlook: Hashable, Sendable {
  /// With every wait as it is meant.
  public var plan: Plan
  /// With every wait as short, or as long, as jitter makes it. Where records have an age limit, they may have other
  /// invocations than the plan.
  public var shortest: Plan
  public var longest: Plan
}

extension PlanScenario {
  /// Runs the core through the scenario, with every wait as it is meant.
  public func plan() -> Plan { plan(policy.withoutJitter, .shortest) }

  /// Runs the core through the scenario, three times.
  public func outlook() -> PlanOutlook {
    PlanOutlook(
      plan: plan(), shortest: plan(policy, .shortest),
      longest: plan(policy, .longest(policy)))
  }

  private func plan(_ policy: LanePolicy, _ dice: PlanDice) -> Plan {
    var run = PlanRun(self, policy: policy, dice: dice)
    run.run()
    return run.plan
  }
}
