import ArgumentParser
import CoreMetrics
import Foundation
import LambdaRuntime
import Logging
import Sluice
import SluiceService
import StreamModel
import StreamRuntime
import StreamStore

struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the worker: the mappings of the configuration, and the port.",
    discussion: """
      SIGTERM drains: nothing new starts, what is in flight ends, progress is stored. A second SIGTERM cancels what is \
      in flight. SIGHUP reads the file again and applies what is different, as sluice apply does.

      With --until it works off what arrived before that moment, delivers nothing behind it, and ends by itself: exit code \
      0 if all of it is settled, 1 if something waits for an operator or a signal came first. See docs/positions.md.

      Examples:
        sluice run --config sluice.yaml --until now
        sluice run --config sluice.yaml
        sluice run --config sluice.yaml --data /var/lib/sluice --listen 127.0.0.1:4567 --log-format json
      """)

  @OptionGroup var options: ConfigurationOptions
  @Option(help: "Stop behind the records that arrived before this moment: now, or such as 2026-11-21T08:00:00Z.")
  var until: String?

  func run() async throws {
    let end = try until.map(Self.end)
    let overrides = options.overrides
    let configuration = try ConfigurationOptions.read(file: options.config, overrides).configuration
    let log = configuration.log
    LoggingSystem.bootstrap { log.makeHandler(label: $0) }
    let metrics = PrometheusRegistry()
    MetricsSystem.bootstrap(metrics)
    do {
      let ended = try await ServiceProcess(
        configuration: configuration, file: options.config, overrides: overrides, logger: Logger(label: "sluice")
      ).run(metrics: metrics, until: end)
      if let ended { try tell(ended) }
    } catch let error as StoreError {
      throw Problem(OperatorRefusal(error))
    } catch let error as MappingProblems {
      throw Problem(Exit.badInput, error.description)
    } catch let error as CodeProblem {
      throw Problem(Exit.badInput, error.description)
    }
  }
}

extension Run {
  private static func end(_ text: String) throws -> ServiceProcess.End {
    if text == "now" { return .now }
    let moment = try MomentText.parse(text, "--until")
    guard moment <= WallTime.current() else {
      throw Problem(
        Exit.wrongUsage,
        "--until is \(text), which is in the future: a bounded run takes what has arrived, at most until now")
    }
    return .before(moment)
  }

  private func tell(_ ended: BoundedRun) throws {
    let moment = CalendarTime(ended.moment).withMilliseconds
    let report = ended.report
    let lanes = "\(Text.count(report.laneCount)) lane\(report.laneCount == 1 ? "" : "s")"
    guard report.isComplete else {
      let left = report.left.prefix(20).map { lane in
        "\n  \(lane.mapping) \(lane.shard): sluice explain \(lane.mapping) --shard \(lane.shard.rawValue)"
      }
      throw Problem(
        Exit.failed,
        "\(Text.count(report.left.count)) of \(lanes) left records that arrived before \(moment):" + left.joined())
    }
    print("every record that arrived before \(moment) is settled, in \(lanes)")
  }
}

struct ConfigurationOptions: ParsableArguments {
  @Option(help: "The configuration file. Without it the defaults run, which have no mappings.") var config: String?
  @Option(help: "The data directory, above the file's.") var data: String?
  @Option(help: "HOST:PORT to listen on, above the file's.") var listen: String?
  @Option(help: "trace, debug, info, notice, warning, error or critical.") var logLevel: String?
  @Option(help: "text or json.") var logFormat: String?

  var overrides: ConfigurationOverrides {
    ConfigurationOverrides(
      environment: ProcessInfo.processInfo.environment, data: data, listen: listen, logLevel: logLevel,
      logFormat: logFormat)
  }

  /// Reads a configuration, with its errors in the words of the command line.
  static func read(file: String?, _ overrides: ConfigurationOverrides) throws -> ConfigurationReader.Result {
    do {
      return try ConfigurationReader.read(fileAt: file, overrides: overrides)
    } catch let error as ConfigurationError {
      throw Problem(Exit.badInput, "\(error)")
    }
  }
}
