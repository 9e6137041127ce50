import LambdaRuntime
package import Logging
import Sluice
import StreamModel
package import StreamRuntime
package import StreamStore

/// A mapping of a configuration with processes of its function, to replay a recording through.
package struct ReplayedMapping: Sendable {
  package let plan: MappingPlan
  /// The settings in words, by the name that they have in the file.
  package let settings: [String: String]
  private let processes: FunctionProcesses

  /// `storePath` is where code from archives is unpacked.
  package init(
    _ mapping: MappingConfiguration, _ function: FunctionConfiguration, on stream: StreamInfo,
    storePath: String,
    logger: Logger
  ) throws {
    processes = FunctionProcesses(
      try function.unpacked(inStore: storePath), after: nil, logger: logger)
    plan = try EventSourceMapping(mapping, function).plan(
      processes.handler(of: mapping, namesEveryFailure: false, logger: logger), on: stream)
    settings = mapping.texts(with: function)
  }

  /// Starts the processes that the first deliveries of so many lanes need.
  package func prepare(_ laneCount: Int) async { await processes.prepare(laneCount) }

  package func shutdown() async { await processes.shutdown() }
}
