/// A deterministic world around the real `Poller`, and a checker for each promise.
///
/// A run is a row of episodes: a small world with policies and faults drawn from the seed, first with faults, when
/// nothing wrong may happen; then without, when everything pending must settle within a bound.
public struct Simulation: Sendable {
  public let seed: UInt64
  public let sabotage: Sabotage?

  /// `sabotage` breaks a promise on purpose, to see that it is noticed.
  public init(seed: UInt64, sabotage: Sabotage? = nil) {
    self.seed = seed
    self.sabotage = sabotage
  }

  /// Runs so many steps of the poller, and to the end of the episode begun. Ends early with a violation. The report holds
  /// the last `traceLimit` lines of what happened and what was ordered; tracing changes nothing of that.
  public func run(steps: Int, tracingLast traceLimit: Int = 0) -> SimulationReport {
    var world = World(seed: seed, sabotage: sabotage)
    if traceLimit > 0 { world.trace = SimulationTrace(limit: traceLimit) }
    while world.steps < UInt64(steps), world.violations.isEmpty {
      world.beginEpisode()
      let faultsEnd = world.steps + UInt64(world.scenario.steps)
      // A world whose shards are full has little left that could happen.
      var idleActs = 0
      while world.steps < faultsEnd, world.violations.isEmpty, idleActs < 200 {
        let former = world.steps
        world.act()
        idleActs = world.steps == former ? idleActs + 1 : 0
      }
      guard world.violations.isEmpty else { break }
      world.heal()
      if !world.settle(), world.violations.isEmpty {
        world.violate(.liveness, "something pending did not settle", world.unsettledLane)
      }
      guard world.violations.isEmpty else { break }
      world.end()
    }
    return SimulationReport(
      seed: seed, steps: world.steps, violations: world.violations, coverage: world.coverage, digest: world.digest,
      trace: world.trace?.lines ?? [])
  }
}

extension World {
  var unsettledLane: Int {
    lanes.indices.first { lanes[$0].blocksByKey && !isSettledByKey($0) }
      ?? lanes.indices.first {
        !lanes[$0].blocksByKey
          && !LivenessChecker.isSettled(lanes[$0], store.lanes[$0], of: store.shards[lanes[$0].shard])
      }
      ?? 0
  }

  /// Drains the settled world: that must come to an end too.
  mutating func end() {
    let formerLife = life
    _ = drain()
    var left = 10_000
    while life == formerLife, left > 0 {
      left -= 1
      if !proceed(), life == formerLife, !passTime() { break }
    }
    violate(.liveness, life == formerLife ? "a settled poller did not drain" : nil, 0)
  }
}
