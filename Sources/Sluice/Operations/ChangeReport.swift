/// A configuration as it stands in its file, for a worker that may not see the file.
public struct ConfigurationText: Codable, Hashable, Sendable {
  public var yaml: String
  /// Names the file in messages.
  public var source: String
  /// What relative directories of functions are relative to.
  public var directory: String?

  public init(yaml: String, source: String, directory: String?) {
    self.yaml = yaml
    self.source = source
    self.directory = directory
  }
}

/// How a configuration differs from what runs.
public struct ChangeReport: Codable, Hashable, Sendable {
  /// Whether it was applied; otherwise this is a preview.
  public var isApplied: Bool
  /// The process that runs; `nil` where only the store was asked.
  public var worker: WorkerReport?
  public var differences: [SettingDifference]

  public init(isApplied: Bool, worker: WorkerReport?, differences: [SettingDifference]) {
    self.isApplied = isApplied
    self.worker = worker
    self.differences = differences
  }
}

/// One setting that is another in the file than where it runs.
public struct SettingDifference: Codable, Hashable, Sendable {
  /// Such as `mappings.flights-delays.BatchSize`.
  public var path: String
  /// `nil`: it is not there.
  public var runs: String?
  public var file: String?
  public var moment: ChangeMoment
  /// What applying it does, in a sentence.
  public var effect: String

  public init(path: String, runs: String?, file: String?, moment: ChangeMoment, effect: String? = nil) {
    self.path = path
    self.runs = runs
    self.file = file
    self.moment = moment
    self.effect = effect ?? moment.sentence
  }
}
