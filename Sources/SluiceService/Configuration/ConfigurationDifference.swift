import Sluice
import StreamRuntime

/// How a configuration differs from what runs, or from what the store remembers of what ran last.
struct ConfigurationDifference {
  var settings: [SettingDifference] = []
  /// By mapping, in the order of the file; those that left it last.
  var steps: [(mapping: String, step: MappingStep)] = []

  /// What applying the differences of one mapping takes.
  enum MappingStep: Hashable {
    /// It is new, or was left out for a while.
    case add
    /// Its lanes run on with other settings.
    case change
    /// Its lanes drain and go on with other settings.
    case reopen
    case enable
    case disable
    /// Its settings change while it is disabled.
    case note
    /// The file has it no more.
    case remove
  }

  /// Settings that cannot change.
  var refused: [SettingDifference] { settings.filter { $0.moment == .refused } }

  /// `process` is the configuration of the worker that runs, if one does.
  init(of configuration: Configuration, from status: StatusReport, process: Configuration?) {
    if let process { compareProcess(process, configuration) }
    compareStreams(configuration, status)
    compareFailures(configuration, status)
    for mapping in configuration.mappings {
      guard let function = configuration.function(named: mapping.function) else { continue }
      compare(mapping, function, with: status.mappings.first { $0.name == mapping.name })
    }
    for known in status.mappings where known.isConfigured {
      guard !configuration.mappings.contains(where: { $0.name == known.name }) else { continue }
      settings.append(
        SettingDifference(
          path: "mappings.\(known.name)", runs: known.state.rawValue, file: nil, moment: .afterDraining,
          effect: "after draining the lanes it runs no more; its checkpoints are kept until sluice mappings delete"))
      steps.append((known.name, .remove))
    }
  }

  private mutating func compare(
    _ mapping: MappingConfiguration, _ function: FunctionConfiguration, with known: MappingReport?
  ) {
    guard let known, known.isConfigured else {
      settings.append(
        SettingDifference(
          path: "mappings.\(mapping.name)", runs: nil, file: mapping.isEnabled ? "Enabled" : "Disabled",
          moment: .atOnce,
          effect: known == nil
            ? "at once: it is made" : "at once: it goes on from the checkpoints that were kept"))
      steps.append((mapping.name, .add))
      return
    }
    let wanted = mapping.texts(with: function)
    let former = known.settings
    // A mapping that another program made says nothing of its settings.
    let names = Set(wanted.keys).union(former.keys).sorted { order($0) < order($1) }
    var found: [SettingDifference] = []
    for name in names where wanted[name] != former[name] {
      let moment = changeMoment(ofSetting: name)
      found.append(
        SettingDifference(
          path: "mappings.\(mapping.name).\(name)", runs: former[name], file: wanted[name],
          moment: former.isEmpty && moment == .refused ? .atOnce : moment))
    }
    guard !found.isEmpty else { return }
    settings += found
    let wasEnabled = former[MappingParameter.enabled.rawValue] != "false"
    steps.append((mapping.name, step(found, from: wasEnabled, to: mapping.isEnabled)))
  }

  private func step(_ found: [SettingDifference], from wasEnabled: Bool, to isEnabled: Bool) -> MappingStep {
    switch (wasEnabled, isEnabled) {
    case (true, false): .disable
    case (false, true): .enable
    case (false, false): .note
    case (true, true): found.contains { $0.moment == .afterDraining } ? .reopen : .change
    }
  }

  /// In the order of the documentation; those of the function behind.
  private func order(_ name: String) -> (Int, String) {
    let place = MappingParameter(rawValue: name).flatMap { MappingParameter.allCases.firstIndex(of: $0) }
    return (place ?? .max, name)
  }

  private mutating func compareStreams(_ configuration: Configuration, _ status: StatusReport) {
    for stream in configuration.streams {
      let path = "streams.\(stream.name)"
      guard let known = status.streams.first(where: { $0.name == stream.name }) else {
        settings.append(
          SettingDifference(
            path: path, runs: nil, file: "\(stream.shards) shards", moment: .atOnce, effect: "at once: it is created"))
        continue
      }
      let retention = Quantity.text(.milliseconds(known.retentionMilliseconds))
      if retention != Quantity.text(stream.retention) {
        settings.append(
          SettingDifference(
            path: "\(path).retention", runs: retention, file: Quantity.text(stream.retention), moment: .atOnce))
      }
      let limit = Quantity.text(bytes: Int64(known.recordByteLimit))
      if limit != Quantity.text(bytes: stream.recordLimit) {
        settings.append(
          SettingDifference(
            path: "\(path).recordLimit", runs: limit, file: Quantity.text(bytes: stream.recordLimit), moment: .notTaken,
            effect: "not taken: it is fixed when the stream is created"))
      }
      let open = known.shards.count(where: \.isOpen)
      if open != stream.shards {
        settings.append(
          SettingDifference(
            path: "\(path).shards", runs: "\(open)", file: "\(stream.shards)", moment: .notTaken,
            effect: "not taken: split or merge shards with sluice streams"))
      }
    }
  }

  private mutating func compareFailures(_ configuration: Configuration, _ status: StatusReport) {
    let runs = FailureRetention(status.failureRetentionMilliseconds.map { .milliseconds($0) })
    let file = FailureRetention(configuration.failures.keepFor)
    guard runs != file else { return }
    settings.append(
      SettingDifference(path: Self.failureRetentionPath, runs: runs.text, file: file.text, moment: .atOnce))
  }

  static let failureRetentionPath = "failures.keepFor"

  private mutating func compareProcess(_ runs: Configuration, _ file: Configuration) {
    func compare(_ path: String, _ runs: String, _ file: String) {
      guard runs != file else { return }
      settings.append(SettingDifference(path: path, runs: runs, file: file, moment: .restart))
    }
    compare("store.path", runs.store.path, file.store.path)
    compare("store.durability", runs.store.durability.rawValue, file.store.durability.rawValue)
    compare("store.interval", Quantity.text(runs.store.interval), Quantity.text(file.store.interval))
    compare("store.mapSize", Quantity.text(bytes: runs.store.mapSize), Quantity.text(bytes: file.store.mapSize))
    compare(
      "listen.address", "\(runs.listen.host):\(runs.listen.port)", "\(file.listen.host):\(file.listen.port)")
    compare(
      "listen.readyBlockedAfter", Quantity.text(runs.listen.readyBlockedAfter),
      Quantity.text(file.listen.readyBlockedAfter))
    compare(
      "listen.readyFailureEntries", "\(runs.listen.readyFailureEntries)", "\(file.listen.readyFailureEntries)")
    compare(
      "listen.readyFailureAge", Quantity.text(runs.listen.readyFailureAge), Quantity.text(file.listen.readyFailureAge))
    compare("log.level", runs.log.level.rawValue, file.log.level.rawValue)
    compare("log.format", runs.log.format.rawValue, file.log.format.rawValue)
  }
}
