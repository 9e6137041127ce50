import ArgumentParser
import Foundation
import LambdaRuntime
import Locks
import Logging
import Sluice
import StreamModel
import StreamRuntime

struct BenchInvoke: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "invoke", abstract: "Invocations of a function: batch to event, Runtime API, response to outcome.",
    discussion: """
      The command is a runtime that answers every event, such as RuntimeClient of the tests, or
      python3 -m awslambdaric orders.handler. Each caller invokes without a pause; times are those of a caller.

      Example: sluice bench invoke --callers 1 --command .build/release/RuntimeClient
      """)

  @Option(parsing: .remaining, help: "The program and its arguments; the last option.") var command: [String]
  @Option(help: "Callers, and environments.") var callers = 2
  @Option(help: "Records of each event.") var batchSize = 1
  @Option(help: "Seconds of each run.") var seconds = 2.0
  @OptionGroup var bench: BenchOptions

  func validate() throws {
    guard !command.isEmpty, callers > 0, batchSize > 0, seconds > 0 else {
      throw ValidationError("Give a --command, and numbers above zero.")
    }
  }

  func run() async throws {
    var settings = FunctionSettings(name: "bench", command: HandlerCommand(command))
    settings.timeout = .seconds(60)
    settings.memorySize = 1_024
    settings.concurrency = callers
    settings.provisioned = callers
    let pool = FunctionPool(settings, logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
    let handler = FunctionHandler(pool: pool, reportsItemFailures: true)
    do {
      var reports: [BenchReport] = []
      for run in 0...bench.runs {
        let report = try await measure(handler)
        if run > 0 { reports.append(report) }
      }
      reports.sort { $0.recordsPerSecond < $1.recordsPerSecond }
      try reports[reports.count / 2].print(isJSON: bench.output.isJSON)
    } catch {
      await pool.shutdown()
      throw error
    }
    await pool.shutdown()
  }

  private func measure(_ handler: FunctionHandler) async throws -> BenchReport {
    let batch = RecordBatch.bench(count: batchSize, recordBytes: bench.recordBytes)
    let begun = SystemClock.monotonic().nanoseconds
    let end = begun + Int64(seconds * 1_000_000_000)
    let times = try await withThrowingTaskGroup(of: [Int64].self) { group in
      for _ in 0..<callers {
        group.addTask {
          var times: [Int64] = []
          var now = SystemClock.monotonic().nanoseconds
          while now < end {
            _ = try await handler.handle(batch)
            let after = SystemClock.monotonic().nanoseconds
            times.append(after - now)
            now = after
          }
          return times
        }
      }
      return try await group.reduce(into: [Int64]()) { $0 += $1 }
    }
    let elapsed = Double(SystemClock.monotonic().nanoseconds - begun) / 1_000_000_000
    var report = BenchReport(
      name: "invoke", records: times.count * batchSize, recordBytes: bench.recordBytes, seconds: elapsed,
      durability: bench.durability)
    let latencies = Latencies(nanoseconds: times)
    report.p50Milliseconds = latencies.quantile(0.5)
    report.p99Milliseconds = latencies.quantile(0.99)
    report.batchesPerSecond = (Double(times.count) / elapsed).rounded()
    return report
  }
}
