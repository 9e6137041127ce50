import StreamModel

/// Deterministic worlds around the real `Outbox`: first with faults, then without, when everything that waits must come to
/// its destination. A seed is a row of them.
public struct OutboxSimulation: Sendable {
  public let seed: UInt64
  public let sabotage: OutboxSabotage?

  public init(seed: UInt64, sabotage: OutboxSabotage? = nil) {
    self.seed = seed
    self.sabotage = sabotage
  }

  /// Runs so many steps of outboxes, and to the end of the world begun. Ends early with a violation.
  public func run(steps: Int) -> OutboxReport {
    var random = SplitMix64(seed: seed)
    var report = OutboxReport(seed: seed)
    while report.steps < UInt64(steps), report.violations.isEmpty {
      var world = OutboxWorld(seed: seed, sabotage: sabotage, random: SplitMix64(seed: random.next()))
      for _ in 0..<world.scenario.acts where world.violations.isEmpty { world.act() }
      if world.violations.isEmpty { world.settle() }
      report.steps += world.steps
      report.violations = world.violations
      report.coverage.add(world.coverage)
      report.digest = report.digest &* 31 &+ world.digest
    }
    return report
  }
}

/// What was found in the worlds of a seed.
public struct OutboxReport: Hashable, Sendable {
  public var seed: UInt64
  /// Steps of outboxes.
  public var steps: UInt64 = 0
  /// Their steps are counted from the beginning of their world.
  public var violations: [Violation] = []
  public var coverage = OutboxCoverage()
  /// The same seed gives the same number.
  public var digest: UInt64 = 0

  init(seed: UInt64) { self.seed = seed }
}
