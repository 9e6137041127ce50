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

  @Test("every fault happens and every state is visited")
  func coverage() {
    var coverage = Coverage()
    for seed in 100..<140 { coverage.add(Simulation(seed: UInt64(seed)).run(steps: 5_000).coverage) }
    #expect(coverage.missing == [])
  }

  @Test("each checker notices a broken promise", arguments: Sabotage.allCases)
  func sabotage(_ sabotage: Sabotage) {
    var broken: Set<Promise> = []
    for seed in 1...60 as ClosedRange<UInt64> where !broken.contains(sabotage.promise) {
      let report = Simulation(seed: seed, sabotage: sabotage).run(steps: 5_000)
      for violation in report.violations { broken.insert(violation.promise) }
    }
    #expect(broken.contains(sabotage.promise))
  }
}
