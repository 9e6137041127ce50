import Foundation
import LambdaRuntime
package import Logging
import Sluice
package import StreamModel
package import StreamRuntime
package import StreamStore

/// A mapping of a configuration with processes of its function, to replay a recording through.
package struct ReplayedMapping: Sendable {
  package let plan: MappingPlan
  /// The settings in words, by the name that they have in the file.
  package let settings: [String: String]
  private let processes: FunctionProcesses
  /// A folder of its own for code out of an archive: that of the store is not touched. `nil` if there is none.
  private let codeFolder: URL?

  /// In a replay that goes by real time (`isPaced`) processes that end without an answer are started again as late as in a
  /// worker, otherwise at once: nobody waits for virtual time.
  package init(
    _ mapping: MappingConfiguration, _ function: FunctionConfiguration, on stream: StreamInfo,
    isPaced: Bool, logger: Logger
  ) throws {
    let folder = function.code.map { _ in
      FileManager.default.temporaryDirectory.appending(path: "sluice-replay-\(UUID().uuidString)")
    }
    codeFolder = folder
    do {
      let own = try folder.map { try function.unpacked(inStore: $0.path) } ?? function
      processes = FunctionProcesses(own, after: nil, restartsAtOnce: !isPaced, logger: logger)
      plan = try EventSourceMapping(mapping, function).plan(
        processes.handler(of: mapping, namesEveryFailure: false, logger: logger), on: stream)
    } catch {
      if let folder { try? FileManager.default.removeItem(at: folder) }
      throw error
    }
    settings = mapping.texts(with: function)
  }

  /// Starts the processes that the first deliveries of so many lanes need.
  package func prepare(_ laneCount: Int) async { await processes.prepare(laneCount) }

  /// Starts a process for nothing else and tells why it does not come to its first event; `nil` if it does, or if it has not
  /// ended by itself after two seconds.
  package func startFailure() async -> HandlerFailure? { await processes.startFailure() }

  /// Ends the processes and removes what was unpacked for them.
  package func shutdown() async throws {
    await processes.shutdown()
    if let codeFolder { try FileManager.default.removeItem(at: codeFolder) }
  }
}
