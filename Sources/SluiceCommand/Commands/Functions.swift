import ArgumentParser
import Foundation
import Sluice

struct Functions: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What the functions of a worker do: invocations, errors, cold starts, times, memory.",
    discussion: """
      Counted since the worker started; functions that read JSON lines are left out. Quantiles are exact to an eighth. \
      From 100 invocations on it says which timeout and memory would do.

      Examples:
        sluice functions
        sluice functions --format json | jq '.[].errors'
      """)

  @OptionGroup var store: DataOptions

  func run() async throws {
    let answer = try await Connection.look(at: store.dataDirectory).perform(.listFunctions)
    guard case .functions(let reports) = answer else { throw Problem(answer) }
    if store.output.isJSON { return try printJSON(reports) }
    guard !reports.isEmpty else {
      return print("the worker counts no function: those that read JSON lines are left out")
    }
    print(FunctionsText.text(reports))
  }
}

enum FunctionsText {
  static func text(_ reports: [FunctionReport]) -> String {
    var table = TextTable([
      "function", "environments", "invocations", "errors", "throttles", "cold starts", "init p50", "p50", "p99", "most",
      "memory",
    ])
    for report in reports {
      table.add([
        report.name, "\(report.environments) of \(report.concurrency)", "\(report.invocations)",
        "\(report.errors.values.reduce(0, +))", "\(report.throttles)", "\(report.coldStarts)",
        time(report.initDuration.p50), time(report.duration.p50), time(report.duration.p99),
        time(report.duration.largest),
        report.memoryMegabytes > 0 ? "\(report.largestMemoryMegabytes) of \(report.memoryMegabytes) MB" : "–",
      ])
    }
    return ([table.text] + reports.flatMap(remarks) + limits(reports)).joined(separator: "\n")
  }

  /// Who sees to the memory, where functions have any.
  private static func limits(_ reports: [FunctionReport]) -> [String] {
    if reports.contains(where: { $0.memoryLimit == .controlGroup }) {
      return ["memory is limited by the kernel, with a control group for each environment"]
    }
    guard reports.contains(where: { $0.memoryLimit == .sampled }) else { return [] }
    return ["memory is looked at every 10 ms: the worker has no control groups of its own"]
  }

  private static func remarks(_ report: FunctionReport) -> [String] {
    var lines = report.errors.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      .map { "\(report.name): \($0.value) × \($0.key)" }
    if report.initFailures > 0 {
      let last = report.lastInitFailure.map { ", the last with \($0)" } ?? ""
      lines.append("\(report.name): \(report.initFailures) failed to initialize\(last)")
    }
    var advice: [String] = []
    if let bounds = report.timeoutBounds {
      advice.append(
        "timeout \(time(report.timeoutMilliseconds)) now, adaptive from \(time(bounds.floor)) to \(time(bounds.ceiling))"
      )
    } else if let timeout = report.recommendedTimeoutMilliseconds {
      advice.append("timeout \(time(report.timeoutMilliseconds)), \(time(timeout)) would do")
    }
    if let memory = report.recommendedMemoryMegabytes {
      advice.append("memory \(report.memoryMegabytes) MB, \(memory) MB would do")
    }
    if !advice.isEmpty { lines.append("\(report.name): \(advice.joined(separator: "; "))") }
    return lines
  }

  private static func time(_ milliseconds: Double?) -> String {
    guard let milliseconds else { return "–" }
    if milliseconds >= 1_000 { return String(format: "%.3g s", milliseconds / 1_000) }
    return String(format: milliseconds >= 10 ? "%.0f ms" : "%.2f ms", milliseconds)
  }
}
