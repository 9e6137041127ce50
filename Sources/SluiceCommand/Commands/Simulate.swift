import ArgumentParser
import Foundation
import ShardSimulation

struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the core in a simulated world of faults, with a checker for every promise.",
    discussion: """
      The same seed gives the same run, step by step. Ends with 1 if a promise was broken; the line says which, where, \
      and the seed that shows it again. For each ten steps of the core, a step of an outbox is run in a world of its own, \
      where failure entries go to a destination.

      Examples:
        sluice simulate --seed 42
        sluice simulate --seed 1 --seeds 20 --steps 1000000 --format json
        sluice simulate --seed 42 --steps 5000 --trace --trace-last 50
      """)

  @Option(help: "The seed, any whole number from 0.") var seed: UInt64 = 1
  @Option(help: "Run so many seeds, one after the other.") var seeds: UInt64 = 1
  @Option(help: "Steps of the core for each seed.") var steps = 1_000_000
  @Flag(help: "Also say how often each fault happened and each state was seen.") var coverage = false
  @Flag(help: "Also print the last events and orders: of a single seed always, of several where one breaks a promise.")
  var trace = false
  @Option(help: "Lines of the trace at most.") var traceLast = 200
  @OptionGroup var output: FormatOption

  func validate() throws {
    if steps < 1 || seeds < 1 || traceLast < 1 {
      throw ValidationError("--steps, --seeds and --trace-last are 1 or more.")
    }
  }

  func run() throws {
    var violations = 0
    for offset in 0..<seeds {
      let begun = ContinuousClock.now
      let report = Simulation(seed: seed &+ offset).run(steps: steps, tracingLast: trace ? traceLast : 0)
      let seconds = (ContinuousClock.now - begun).inSeconds
      let outbox = OutboxSimulation(seed: seed &+ offset).run(steps: max(1, steps / 10))
      violations += report.violations.count + outbox.violations.count
      try show(report, outbox, seconds: seconds)
    }
    if violations > 0 { throw Exit.failed }
  }

  private func show(_ report: SimulationReport, _ outbox: OutboxReport, seconds: Double) throws {
    let showsTrace = trace && (seeds == 1 || !report.violations.isEmpty)
    let line = SimulationLine(report, outbox, seconds: seconds, trace: showsTrace ? report.trace : nil)
    if output.isJSON { return try printJSON(line) }
    if showsTrace { for line in report.trace { print(line) } }
    print(
      "seed \(report.seed): \(Text.count(report.steps)) steps, \(Text.count(Int(line.stepsPerSecond))) steps/s, "
        + "\(Text.count(outbox.steps)) steps of outboxes, \(line.violations) violations")
    for violation in report.violations + outbox.violations { print("  \(violation)") }
    if coverage { print("\(report.coverage)\n\(outbox.coverage)") }
  }
}

/// What `simulate --format json` prints for each seed. The names are a contract.
private struct SimulationLine: Encodable {
  var seed: UInt64
  var steps: UInt64
  var stepsPerSecond: Double
  /// Steps of outboxes, besides.
  var outboxSteps: UInt64
  var violations: Int
  var found: [String]
  /// The same for the same seed and steps, whatever the machine.
  var digest: String
  /// The last events and orders, oldest first, when they were asked for.
  var trace: [String]?

  init(_ report: SimulationReport, _ outbox: OutboxReport, seconds: Double, trace: [String]?) {
    self.trace = trace
    seed = report.seed
    steps = report.steps
    stepsPerSecond = (Double(report.steps) / seconds).rounded()
    outboxSteps = outbox.steps
    violations = report.violations.count + outbox.violations.count
    found = (report.violations + outbox.violations).map(\.description)
    digest = String(report.digest, radix: 16)
  }
}
