import ArgumentParser
import CoreMetrics
import Foundation
import LambdaRuntime
import Logging
import Sluice
import SluiceService
import StreamStore

struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the worker: the mappings of the configuration, and the port.",
    discussion: """
      SIGTERM drains: nothing new starts, what is in flight ends, progress is stored. A second SIGTERM cancels what is \
      in flight. SIGHUP reads the file again and applies what is different, as sluice apply does.

      Examples:
        sluice run --config sluice.yaml
        sluice run --config sluice.yaml --data /var/lib/sluice --listen 127.0.0.1:4567 --log-format json
      """)

  @OptionGroup var options: ConfigurationOptions

  func run() async throws {
    let overrides = options.overrides
    let configuration = try ConfigurationOptions.read(file: options.config, overrides).configuration
    let log = configuration.log
    LoggingSystem.bootstrap { log.makeHandler(label: $0) }
    let metrics = PrometheusRegistry()
    MetricsSystem.bootstrap(metrics)
    do {
      try await ServiceProcess(
        configuration: configuration, file: options.config, overrides: overrides, logger: Logger(label: "sluice")
      ).run(metrics: metrics)
    } catch let error as StoreError {
      throw Problem(OperatorRefusal(error))
    } catch let error as MappingProblems {
      throw Problem(Exit.badInput, error.description)
    } catch let error as CodeProblem {
      throw Problem(Exit.badInput, error.description)
    }
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
