import ShardSimulation
import Testing

@Suite("Simulation")
struct SimulationTests {
  @Test("many small worlds keep every promise", arguments: 1...12 as ClosedRange<UInt64>)
  func worlds(seed: UInt64) {
    #expect(Simulation(seed: seed).run(steps: 5_000).violations == [])
  }

  @Test("seeds that broke a promise once keep it now", arguments: KnownSeed.all.indices)
  func knownSeeds(place: Int) {
    let known = KnownSeed.all[place]
    #expect(Simulation(seed: known.seed).run(steps: known.steps).violations == [], "\(known.lesson)")
  }

  @Test("the same seed gives the same report, another seed another")
  func sameSeed() {
    let report = Simulation(seed: 42).run(steps: 10_000)
    #expect(Simulation(seed: 42).run(steps: 10_000) == report)
    #expect(Simulation(seed: 43).run(steps: 10_000).digest != report.digest)
  }

  @Test("a trace ends with the broken promise, stays within its limit, and changes nothing of the run")
  func trace() throws {
    let simulation = Simulation(seed: 3, sabotage: .deliversTwice)
    let plain = simulation.run(steps: 5_000)
    let traced = simulation.run(steps: 5_000, tracingLast: 30)
    let everything = simulation.run(steps: 5_000, tracingLast: 1_000_000).trace
    #expect(plain.trace.isEmpty && traced.trace.count <= 30 && traced.trace == everything.suffix(30))
    #expect(traced.digest == plain.digest && traced.violations == plain.violations)
    let broken = try #require(plain.violations.first { $0.promise == .exclusivity })
    let place = try #require(traced.trace.firstIndex { $0.contains("*** broken promise, exclusivity") })
    let lane = "lane \(broken.lane):"
    let step = try #require(traced.trace[..<place].lastIndex { $0.hasPrefix("step ") })
    #expect(traced.trace[step].hasPrefix("step \(broken.step) at "))
    #expect(traced.trace[step..<place].count { $0.hasPrefix("    -> \(lane) delivery ") } == 2)
  }

  @Test("a short trace holds the end of a long one")
  func traceEnd() {
    let long = Simulation(seed: 5).run(steps: 2_000, tracingLast: 100_000).trace
    #expect(long.count > 2_000)
    #expect(Simulation(seed: 5).run(steps: 2_000, tracingLast: 7).trace == long.suffix(7))
  }

  @Test("every fault happens and every state is visited")
  func coverage() {
    var coverage = Coverage()
    for seed in 100..<320 { coverage.add(Simulation(seed: UInt64(seed)).run(steps: 5_000).coverage) }
    #expect(coverage.missing == [])
  }

  @Test("each checker notices a broken promise", arguments: Sabotage.allCases)
  func sabotage(_ sabotage: Sabotage) {
    var broken: Set<Promise> = []
    for seed in 1...400 as ClosedRange<UInt64> where !broken.contains(sabotage.promise) {
      let report = Simulation(seed: seed, sabotage: sabotage).run(steps: 5_000)
      for violation in report.violations { broken.insert(violation.promise) }
    }
    #expect(broken.contains(sabotage.promise))
  }
}
