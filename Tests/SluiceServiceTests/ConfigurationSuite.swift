import Foundation
import SluiceService

/// Suites that read configurations.
protocol ConfigurationSuite {}

extension ConfigurationSuite {
  private static var root: URL {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
  }

  func file(_ name: String) -> String { Self.root.appending(path: "config/\(name)").path }

  func read(_ yaml: String, _ overrides: ConfigurationOverrides = .init()) throws -> Configuration {
    try ConfigurationReader.read(yaml, source: "test.yaml", overrides: overrides).configuration
  }

  /// The problems of a configuration that must be refused.
  func problems(_ yaml: String, _ overrides: ConfigurationOverrides = .init()) -> [String] {
    do {
      _ = try ConfigurationReader.read(yaml, source: "test.yaml", overrides: overrides)
      return []
    } catch {
      return error.problems.map(\.description)
    }
  }

  /// A mapping with `line` among its settings, and what it needs. The line is line 8 of the file.
  func mapping(_ line: String) -> String {
    """
    streams:
      - name: flights
    functions:
      - { name: delays, command: [python3] }
    mappings:
      - stream: flights
        function: delays
        \(line)
    """
  }
}
