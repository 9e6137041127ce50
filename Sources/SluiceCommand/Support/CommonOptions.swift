import ArgumentParser
import Foundation

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case text
  case json
}

struct FormatOption: ParsableArguments {
  @Option(help: "How to print: text for people, json for scripts.")
  var format: OutputFormat = .text

  var isJSON: Bool { format == .json }
}

struct DataOptions: ParsableArguments {
  @Option(name: .customLong("data"), help: "The data directory. Also: SLUICE_DATA.")
  var data: String?

  @OptionGroup var output: FormatOption

  var dataDirectory: String { Self.directory(data) }

  /// The directory that was named, or that of the environment, or the default.
  static func directory(_ named: String?) -> String {
    named ?? ProcessInfo.processInfo.environment["SLUICE_DATA"] ?? "./sluice-data"
  }
}

struct ConsentOptions: ParsableArguments {
  @Flag(name: .customLong("yes"), help: "Do it. Without this, only say what would happen.")
  var yes = false
}

/// Prints one JSON value on one line.
func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
  print(String(decoding: try encoder.encode(value), as: UTF8.self))
}
