import ShardSimulation
import Testing

@Suite("Simulation of destinations")
struct OutboxSimulationTests {
  @Test("nothing is dropped, attempts are bounded, and what waits comes to its destination", arguments: 1...20)
  func worlds(seed: Int) {
    #expect(OutboxSimulation(seed: UInt64(seed)).run(steps: 10_000).violations == [])
  }

  @Test("the same seed gives the same report, another seed another")
  func sameSeed() {
    let report = OutboxSimulation(seed: 42).run(steps: 10_000)
    #expect(report.steps >= 10_000)
    #expect(OutboxSimulation(seed: 42).run(steps: 10_000) == report)
    #expect(OutboxSimulation(seed: 43).run(steps: 10_000).digest != report.digest)
  }

  @Test("every fault happens")
  func coverage() {
    var coverage = OutboxCoverage()
    for seed in 100..<120 { coverage.add(OutboxSimulation(seed: UInt64(seed)).run(steps: 10_000).coverage) }
    #expect(coverage.missing == [])
  }

  @Test("the checker notices a broken promise", arguments: OutboxSabotage.allCases)
  func sabotage(_ sabotage: OutboxSabotage) {
    var broken: Set<Promise> = []
    for seed in 1...100 as ClosedRange<UInt64> where !broken.contains(sabotage.promise) {
      let report = OutboxSimulation(seed: seed, sabotage: sabotage).run(steps: 10_000)
      for violation in report.violations { broken.insert(violation.promise) }
    }
    #expect(broken.contains(sabotage.promise))
  }
}
