public import Sluice

/// Everything that is wrong with a configuration, in the order of the file.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  public var problems: [ConfigurationProblem]

  /// One problem a line.
  public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// One thing that is wrong with a configuration.
public struct ConfigurationProblem: Hashable, Sendable, CustomStringConvertible {
  /// The file, or the environment variable or flag that overrides it.
  public var source: String
  /// From 1; `nil` outside of a file.
  public var line: Int?
  public var column: Int?
  /// Such as `mappings[0].BatchSize`. Empty for the whole file.
  public var path: String
  /// What stands there; `nil` if nothing does.
  public var value: String?
  /// What should stand there.
  public var rule: String

  /// What AWS answers to the same, where that is known.
  public var aws: AWSAnswer?

  /// `sluice.yaml:12:14: mappings[0].BatchSize: 0: a whole number from 1 to 10000`
  public var description: String {
    var place = source
    if let line { place += ":\(line)" }
    if let column { place += ":\(column)" }
    let text = [place, path.isEmpty ? nil : path, value, rule].compactMap(\.self).joined(separator: ": ")
    return text + (aws.map { $0.message == rule ? " (\($0.type))" : " (\($0))" } ?? "")
  }
}
