import Foundation
import Testing

@testable import SluiceCommand

@Suite("Examples: what the demo carries is what the repository shows")
struct ExampleTests {
  @Test(
    "the handlers of the demo are those of the flights example",
    arguments: [("delays.py", DemoHandlers.delays), ("delays_fixed.py", DemoHandlers.fixed)])
  func handlersAreTheSame(name: String, carried: String) throws {
    let file = Repository.root.appending(path: "Examples/flights/\(name)")
    #expect(try String(contentsOf: file, encoding: .utf8) == carried)
  }

  @Test("the flights of the demo are the first of the sample, and one of them was cancelled")
  func flightsAreTheSame() throws {
    let file = Repository.root.appending(path: "Examples/flights/flights-sample.ndjson")
    let sample = try String(contentsOf: file, encoding: .utf8)
    let carried = DemoFlights.lines.split(separator: "\n")
    #expect(carried.count == 300)
    #expect(Array(sample.split(separator: "\n").prefix(300)) == carried)
    #expect(carried.count { $0.contains("\"dep_time\":null") } == 1)
  }

  @Test("the alerts ask for metrics that are there, and are told")
  func alerts() throws {
    let text = try String(
      contentsOf: Repository.root.appending(path: "Examples/alerts/prometheus.yaml"), encoding: .utf8)
    let named = Set(text.matches(of: /sluice_[a-z_]+/).map { String($0.output) })
    let gauges = try String(
      contentsOf: Repository.root.appending(path: "Sources/SluiceService/Metrics/LaneGauges.swift"), encoding: .utf8)
    let told = try String(contentsOf: Repository.root.appending(path: "docs/operating.md"), encoding: .utf8)
    #expect(named.count == 4)
    for name in named { #expect(gauges.contains(name) && told.contains(name), "\(name)") }
  }
}
