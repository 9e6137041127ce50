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
  /// Where applying it ended, if it did not come to its end. What came before stays applied.
  public var failure: ChangeFailure?

  public init(isApplied: Bool, worker: WorkerReport?, differences: [SettingDifference]) {
    self.isApplied = isApplied
    self.worker = worker
    self.differences = differences
  }
}

/// A mapping that could not be given its new settings. Applying ends there.
public struct ChangeFailure: Codable, Hashable, Sendable {
  public var mapping: String
  /// Why, in a sentence or more.
  public var message: String
  /// It goes on with its former settings; otherwise nothing of it runs now.
  public var isRunning: Bool
  /// Mappings whose differences are applied, and those that were not reached. Streams were created before.
  public var applied: [String]
  public var notApplied: [String]

  public init(mapping: String, message: String, isRunning: Bool, applied: [String], notApplied: [String]) {
    self.mapping = mapping
    self.message = message
    self.isRunning = isRunning
    self.applied = applied
    self.notApplied = notApplied
  }

  /// All of it.
  public var sentence: String {
    func list(_ names: [String]) -> String { names.isEmpty ? "none" : names.joined(separator: ", ") }
    return "mapping \(mapping) could not be changed: \(message); "
      + (isRunning ? "it goes on with its former settings" : "it does not run now")
      + ". Applied: \(list(applied)). Not reached: \(list(notApplied))."
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
