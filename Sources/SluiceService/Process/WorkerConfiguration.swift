import Foundation
import LambdaRuntime
import Logging
import ShardCore
import Sluice
import StreamModel
import StreamRuntime
import StreamStore

#if canImport(Glibc)
  import Glibc
#endif

/// The configuration that a worker runs, and the way from it to another one while it runs.
///
/// The file is the desired state. What applying it does is decided by ``ConfigurationDifference``; here it is done, one
/// mapping after the other. A process that ends in between finds the file when it starts again.
actor WorkerConfiguration {
  private var configuration: Configuration
  private var pools: [String: FunctionProcesses] = [:]
  /// Pools whose last calls are still running.
  private var retiring: [Task<Void, Never>] = []
  private var isApplying = false
  /// What each mapping runs with, as it was last added or changed.
  private var running: [String: (mapping: EventSourceMapping, handler: any BatchHandler)] = [:]
  /// Pools that were replaced by a configuration which was applied in part: mappings that it did not reach call them.
  private var lingering: [FunctionProcesses] = []
  private let overrides: ConfigurationOverrides
  private let file: String?
  private let logger: Logger
  let transitions = MappingTransitions()

  /// `file` is read again at SIGHUP, and `overrides` stand above whatever a file says.
  init(_ configuration: Configuration, file: String?, overrides: ConfigurationOverrides, logger: Logger) {
    self.configuration = configuration
    self.file = file
    self.overrides = overrides
    self.logger = logger
  }

  // MARK: Starting

  /// Creates the streams, starts the pools, and gives the processor its mappings.
  func prepare(_ processor: inout sending StreamProcessor) async throws {
    let store = processor.store
    let status = try StoreOperator(store: store).status()
    try await createStreams(configuration, in: store)
    try await setFailureRetention(configuration, in: store)
    for function in configuration.functions {
      pools[function.name] = makePool(try function.unpacked(inStore: configuration.store.path))
    }
    if configuration.functions.contains(where: { $0.handlerProtocol == .lambda }) {
      logger.info(
        MemoryGroups.ofThisProcess == nil
          ? "the memory of functions is looked at every 10 ms: no control group was delegated to this process"
          : "the memory of functions is limited by control groups")
    }
    try CodeArchive.removeUnpacked(
      in: FunctionConfiguration.codeFolder(inStore: configuration.store.path),
      besides: Set(configuration.functions.compactMap { $0.code?.folderName(for: $0.name) }))
    for setting in ConfigurationDifference(of: configuration, from: status, process: nil).refused {
      logger.warning(
        "the configuration asks for what is fixed since the mapping was made; it runs as before",
        metadata: ["setting": "\(setting.path)", "runs": "\(setting.runs ?? "")", "file": "\(setting.file ?? "")"])
    }
    for mapping in configuration.mappings {
      let former = status.mappings.first { $0.name == mapping.name }
      let (wanted, handler) = parts(of: mapping, in: configuration, former: former)
      if mapping.isEnabled {
        processor.map(wanted, to: handler)
        running[mapping.name] = (wanted, handler)
      } else {
        try await processor.note(wanted, isConfigured: true)
      }
    }
    for known in status.mappings where !configuration.mappings.contains(where: { $0.name == known.name }) {
      guard try await processor.forget(known.name) else { continue }
      logger.notice(
        "the configuration has a mapping no more; its checkpoints are kept until sluice mappings delete",
        metadata: ["mapping": "\(known.name)"])
    }
  }

  /// Ends all processes of handlers.
  func shutdown() async {
    for pool in pools.values { await pool.shutdown() }
    for pool in lingering { await pool.shutdown() }
    for task in retiring { await task.value }
  }

  // MARK: Applying

  /// Reads the file of the worker again and applies it. What is wrong with it is told in the log, and nothing changes.
  func reload(_ processor: StreamProcessor) async {
    guard let file else {
      logger.warning("there is no configuration file to read again: the worker was started without one")
      return
    }
    do {
      let read = try ConfigurationReader.read(fileAt: file, overrides: overrides).configuration
      let report = try await apply(read, consent: Consent(actor: "SIGHUP", isApplied: true), processor)
      guard report.failure == nil else { return }
      logger.notice("the configuration is applied", metadata: ["differences": "\(report.differences.count)"])
    } catch let refusal as OperatorRefusal {
      logger.error("the configuration is not applied", metadata: ["problems": "\(refusal.message)"])
    } catch {
      logger.error("the configuration is not applied", metadata: ["problems": "\(error)"])
    }
  }

  func apply(
    _ text: ConfigurationText, consent: Consent, _ processor: StreamProcessor
  ) async throws -> ChangeReport {
    let read: Configuration
    do {
      read = try ConfigurationReader.read(
        text.yaml, source: text.source, directory: text.directory, overrides: overrides
      ).configuration
    } catch {
      throw OperatorRefusal(.badInput, "\(error)")
    }
    return try await apply(read, consent: consent, processor)
  }

  private func apply(
    _ wanted: Configuration, consent: Consent, _ processor: StreamProcessor
  ) async throws -> ChangeReport {
    guard !isApplying else {
      throw OperatorRefusal(.tryAgain, "Another configuration is being applied. Say this again when that is done.")
    }
    isApplying = true
    defer { isApplying = false }
    let store = processor.store
    let status = try StoreOperator(store: store, poller: { processor.poller }, transitions: transitions).status()
    let difference = ConfigurationDifference(of: wanted, from: status, process: configuration)
    var report = ChangeReport(
      isApplied: consent.isApplied, worker: WorkerReport(processID: getpid(), address: nil),
      differences: difference.settings)
    guard consent.isApplied else { return report }
    guard difference.refused.isEmpty else {
      let lines = difference.refused.map {
        "\($0.path): runs with \($0.runs ?? "nothing"), the file says \($0.file ?? "nothing"): it is fixed when the "
          + "mapping is made. Keep it, or give the mapping another name"
      }
      throw OperatorRefusal(.badInput, lines.joined(separator: "\n"))
    }
    try refuseNewFactors(difference.settings, status)
    guard processor.poller != nil else {
      throw OperatorRefusal(.tryAgain, "The lanes are being opened. Say this again.")
    }
    let unpacked = try wanted.functions.map { function in
      do {
        return try function.unpacked(inStore: configuration.store.path)
      } catch {
        throw OperatorRefusal(.badInput, "functions.\(function.name).code: \(error)")
      }
    }
    try await createStreams(wanted, in: store)
    if let retention = difference.settings.first(where: { $0.path == ConfigurationDifference.failureRetentionPath }) {
      try await setFailureRetention(wanted, in: store)
      try await audit([retention], of: retention.path, consent, store)
    }
    let replaced = replacePools(with: wanted, unpacked)
    let names = difference.steps.map(\.mapping)
    for (place, (name, step)) in difference.steps.enumerated() where report.failure == nil {
      do {
        try await carryOut(step, name, wanted, status, processor)
        try await audit(difference.settings.filter { $0.concerns(name) }, of: name, consent, store)
      } catch {
        report.failure = ChangeFailure(
          mapping: name, message: "\(error)", isRunning: processor.poller?.look(at: name) != nil,
          applied: Array(names[..<place]), notApplied: Array(names[(place + 1)...]))
        logger.error("a configuration is applied in part", metadata: ["why": "\(report.failure?.sentence ?? "")"])
      }
    }
    lingering += replaced
    if report.failure == nil {
      retire(lingering, after: processor)
      lingering.removeAll()
    }
    // What only a start can change stays what it is, so that the next comparison shows it again.
    var running = wanted
    (running.store, running.listen, running.log) = (configuration.store, configuration.listen, configuration.log)
    configuration = running
    return report
  }

  /// Runs `body` while no configuration is applied.
  func alone<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
    guard !isApplying else {
      throw OperatorRefusal(.tryAgain, "A configuration is being applied. Say this again when that is done.")
    }
    isApplying = true
    defer { isApplying = false }
    return try await body()
  }

  /// Parked keys belong to lanes, and lanes to a factor: looked at before anything is closed.
  private func refuseNewFactors(_ settings: [SettingDifference], _ status: StatusReport) throws {
    for mapping in status.mappings {
      let path = "mappings.\(mapping.name).\(MappingParameter.parallelizationFactor.rawValue)"
      let parked = mapping.lanes.reduce(0) { $0 + $1.parkedKeyCount }
      guard parked > 0, let setting = settings.first(where: { $0.path == path }) else { continue }
      throw OperatorRefusal(
        .tryAgain,
        "\(path): runs with \(setting.runs ?? "nothing"), the file says \(setting.file ?? "nothing"): it cannot change "
          + "while partition keys are parked, and \(parked) \(parked == 1 ? "is" : "are"). See sluice explain "
          + "\(mapping.name); they go when they succeed, expire or are skipped with sluice skip \(mapping.name) --key KEY"
      )
    }
  }

  private func carryOut(
    _ step: ConfigurationDifference.MappingStep, _ name: String, _ wanted: Configuration, _ status: StatusReport,
    _ processor: StreamProcessor
  ) async throws {
    logger.notice("applying", metadata: ["mapping": "\(name)", "step": "\(step)"])
    guard let mapping = wanted.mappings.first(where: { $0.name == name }) else {
      try await transitions.during(.disabling, of: name) {
        await processor.close(name)
        try await processor.forget(name)
      }
      running[name] = nil
      return
    }
    let former = status.mappings.first { $0.name == name }
    let (parts, handler) = parts(of: mapping, in: wanted, former: former)
    let known = running[name]
    switch step {
    case .add:
      try await transitions.during(former == nil ? .creating : .enabling, of: name) {
        if mapping.isEnabled {
          try await processor.add(parts, to: handler)
        } else {
          try await processor.note(parts, isConfigured: true)
        }
      }
      if mapping.isEnabled { running[name] = (parts, handler) }
    case .change:
      try await transitions.during(.updating, of: name) { try await processor.change(parts, to: handler) }
      running[name] = (parts, handler)
    case .reopen:
      try await transitions.during(.updating, of: name) {
        await processor.close(name)
        do {
          try await processor.add(parts, to: handler)
        } catch {
          // As it was: parked keys, for one, can be settled only by a mapping that runs.
          if let (mapping, handler) = known { try await processor.add(mapping, to: handler) }
          throw error
        }
      }
      running[name] = (parts, handler)
    case .enable:
      try await transitions.during(.enabling, of: name) { try await processor.add(parts, to: handler) }
      running[name] = (parts, handler)
    case .disable:
      try await transitions.during(.disabling, of: name) {
        await processor.close(name)
        try await processor.note(parts, isConfigured: true)
      }
      running[name] = nil
    case .note:
      try await transitions.during(.updating, of: name) { try await processor.note(parts, isConfigured: true) }
    case .remove:
      preconditionFailure("a mapping that the file has is not removed")
    }
  }

  private func audit(
    _ settings: [SettingDifference], of mapping: String, _ consent: Consent, _ store: StreamStore
  ) async throws {
    let prefix = "mappings.\(mapping)."
    let detail = settings.map {
      let name = $0.path.hasPrefix(prefix) ? String($0.path.dropFirst(prefix.count)) + " " : ""
      return "\(name)\($0.runs ?? "nothing") → \($0.file ?? "nothing")"
    }.joined(separator: ", ")
    _ = try await store.perform(
      .appendAudit(
        AuditEntry(
          time: WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)), actor: consent.actor,
          action: "apply", subject: mapping, detail: detail)))
  }

  // MARK: Functions

  /// In the order of the file; those that read JSON lines are not counted.
  var functionReports: [FunctionReport] {
    configuration.functions.compactMap { FunctionReport(pools[$0.name]) }
  }

  // MARK: Parts

  /// A mapping as the library runs it, and its handler. What is fixed is told as it was when the mapping was made.
  private func parts(
    of mapping: MappingConfiguration, in configuration: Configuration, former: MappingReport?
  ) -> (EventSourceMapping, any BatchHandler) {
    guard let function = configuration.function(named: mapping.function), let pool = pools[mapping.function] else {
      preconditionFailure("the configuration was checked: mapping \(mapping.name) names a function that exists")
    }
    var wanted = EventSourceMapping(mapping, function)
    wanted.parameters = mapping.texts(with: function)
    if let former, !former.settings.isEmpty {
      for parameter in [MappingParameter.startingPosition, .startingPositionTimestamp] {
        wanted.parameters[parameter.rawValue] = former.settings[parameter.rawValue]
      }
    }
    return (wanted, pool.handler(of: mapping, namesEveryFailure: mapping.namesEveryFailure, logger: logger))
  }

  /// What a function's invocations came to goes on with its new processes.
  private func makePool(_ function: FunctionConfiguration) -> FunctionProcesses {
    FunctionProcesses(
      function, after: pools[function.name],
      logger: logger.forFunction(function.name, inStore: configuration.store.path))
  }

  /// New pools for functions whose processes would be others; gives those that nobody needs afterwards.
  private func replacePools(
    with wanted: Configuration, _ unpacked: [FunctionConfiguration]
  ) -> [FunctionProcesses] {
    var replaced: [FunctionProcesses] = []
    for (function, unpacked) in zip(wanted.functions, unpacked) {
      if let former = configuration.function(named: function.name), pools[function.name] != nil,
        former.makesSameProcesses(as: function)
      {
        continue
      }
      if let former = pools.updateValue(makePool(unpacked), forKey: function.name) { replaced.append(former) }
    }
    for name in pools.keys where wanted.function(named: name) == nil {
      if let former = pools.removeValue(forKey: name) { replaced.append(former) }
    }
    return replaced
  }

  /// Calls that run end first.
  private func retire(_ replaced: [FunctionProcesses], after processor: StreamProcessor) {
    for pool in replaced { retiring.append(Task { await pool.retire() }) }
  }

  /// How long failure entries are kept of which the mapping does not say it.
  private func setFailureRetention(_ configuration: Configuration, in store: StreamStore) async throws {
    let wanted = configuration.failures.keepFor?.wholeMilliseconds
    guard try store.catalog().failureRetentionMilliseconds != wanted else { return }
    try await store.perform(.setFailureRetention(milliseconds: wanted))
    logger.notice(
      "failure entries are kept for another time",
      metadata: ["failures.keepFor": "\(FailureRetention(configuration.failures.keepFor).text)"])
  }

  private func createStreams(_ configuration: Configuration, in store: StreamStore) async throws {
    for stream in configuration.streams {
      guard let known = try store.catalog().stream(named: stream.name) else {
        let new = NewStream(
          name: stream.name, shardCount: stream.shards, retentionMilliseconds: stream.retention.wholeMilliseconds,
          recordByteLimit: Int(stream.recordLimit), kind: stream.kind)
        _ = try await store.createStream(new)
        logger.notice("stream created", metadata: ["stream": "\(stream.name)", "shards": "\(stream.shards)"])
        continue
      }
      guard known.kind == stream.kind else {
        throw OperatorRefusal(
          .badInput,
          "streams.\(stream.name).kind: the stream is one of \(known.kind.rawValue), the file says "
            + "\(stream.kind.rawValue): it is fixed when the stream is made. Keep it, or give the stream another name")
      }
      if known.retentionMilliseconds != stream.retention.wholeMilliseconds {
        try await store.perform(.setRetention(known.number, milliseconds: stream.retention.wholeMilliseconds))
      }
      let open = try store.routing(of: known.number).shards.count
      if open != stream.shards {
        logger.warning(
          "the stream has another number of open shards than the configuration; split or merge them",
          metadata: ["stream": "\(stream.name)", "open": "\(open)", "configured": "\(stream.shards)"])
      }
    }
  }
}

extension SettingDifference {
  fileprivate func concerns(_ mapping: String) -> Bool {
    path == "mappings.\(mapping)" || path.hasPrefix("mappings.\(mapping).")
  }
}

/// Operator requests of a worker: those about its configuration, and all that the store answers.
struct WorkerOperator: Writing {
  let store: StoreOperator
  let processor: StreamProcessor
  let configuration: WorkerConfiguration
  /// Of the configuration that the worker was started with: `listen` does not change while it runs.
  let thresholds: ReadyThresholds

  func perform(_ request: OperatorRequest) async -> OperatorAnswer {
    if case .listFunctions = request { return .functions(await configuration.functionReports) }
    if case .status = request {
      let answer = await store.perform(request)
      guard case .status(var report) = answer else { return answer }
      report.passedThresholds = thresholds.passed(report)
      return .status(report)
    }
    do {
      // A seek closes and opens a mapping, as applying a configuration does.
      if case .seek(_, let consent) = request, consent.isApplied {
        return try await configuration.alone { await store.perform(request) }
      }
      guard case .apply(let text, let consent) = request else { return await store.perform(request) }
      return .changes(try await configuration.apply(text, consent: consent, processor))
    } catch let refusal as OperatorRefusal {
      return .refused(refusal)
    } catch let error as StoreError {
      return .refused(OperatorRefusal(error))
    } catch {
      return .refused(OperatorRefusal(.failed, "\(error)"))
    }
  }

  func put(_ packed: [UInt8], into stream: String, lineage: Lineage) async -> PutAnswer {
    await store.put(packed, into: stream, lineage: lineage)
  }
}
