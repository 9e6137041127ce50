import ArgumentParser
import Foundation
import ShardCore
import ShardPlan
import Sluice
import SluiceService
import StreamModel
import StreamRuntime
import StreamStore

/// The options of `sluice plan` and the mapping that they are about, as a scenario.
struct PlanRequest {
  /// Of the mapping.
  let name: String
  let reportsItemFailures: Bool
  let retryRules: [RetryRule]
  /// The stream's retention, in milliseconds, if it is known.
  let retentionMilliseconds: Int64?
  private(set) var scenario: PlanScenario
  /// What one should know of the plan beforehand.
  private(set) var notes: [String] = []

  /// A plan from where a lane stands.
  init(
    name: String, settings: MappingSettings, retentionMilliseconds: Int64, scenario: PlanScenario, notes: [String]
  ) {
    self.name = name
    reportsItemFailures = Self.reportsItemFailures(settings)
    retryRules = settings.retryRules
    self.retentionMilliseconds = retentionMilliseconds
    self.scenario = scenario
    self.notes = notes
  }

  /// A mapping of a library says nothing of it: its handlers may name records.
  static func reportsItemFailures(_ settings: MappingSettings) -> Bool {
    settings.parameters[MappingParameter.functionResponseTypes.rawValue].map { $0.contains("ReportBatchItemFailures") }
      ?? true
  }

  init(_ options: PlanCommand, config: String) throws {
    let configuration = try ConfigurationOptions.read(
      file: config, ConfigurationOverrides(environment: ProcessInfo.processInfo.environment)
    ).configuration
    let mapping = try Self.mapping(options.mapping, of: configuration, config)
    name = mapping.name
    reportsItemFailures = mapping.reportsItemFailures
    retryRules = mapping.retryRules
    guard let function = configuration.function(named: mapping.function) else {
      preconditionFailure("a configuration that was read has the functions of its mappings")
    }
    retentionMilliseconds = configuration.stream(named: mapping.stream)?.retention.wholeMilliseconds
    var policy = EventSourceMapping(mapping, function, margin: false).policy
    if policy.tumblingWindowMilliseconds > 0 {
      notes.append(
        "TumblingWindowInSeconds: a window begins with the plan, and its final invocation succeeds.")
    }
    if policy.parking != nil {
      // The shard of a plan does not tell keys apart.
      policy.parking = nil
      notes.append("blocking by key is left out: in the plan a failing batch blocks its lane.")
    }
    var failures = PlannedFailures(policy: policy, rules: RetryRuleMatcher(mapping.retryRules))
    failures.reportsItemFailures = mapping.reportsItemFailures
    failures.standardTimes = try Self.times(options.until)
    for text in options.fail { try failures.add(text, standardManner: options.failAs) }
    let count = options.records ?? max(10, failures.greatest)
    guard failures.greatest <= count else {
      throw Problem(Exit.wrongUsage, "--fail \(failures.greatest): there are records 1 to \(count)")
    }
    if failures.ignoresReports {
      notes.append(
        "FunctionResponseTypes does not ask for ReportBatchItemFailures: what the handler reports counts as success.")
    }
    if !mapping.filters.isEmpty { notes.append("FilterCriteria: the records of the plan are those that match.") }
    if !mapping.isEnabled { notes.append("Enabled is false: nothing of this happens until it is true.") }
    var records = (1...count).map { PlannedRecord(failure: failures.byRecord[$0]) }
    for text in options.age { try Self.setAge(text, of: &records) }
    scenario = PlanScenario(policy: policy, records: records)
    scenario.namesEveryFailure = mapping.namesEveryFailure
    scenario.handlerMilliseconds = try Self.milliseconds(options.takes, "--takes")
    if mapping.parallelizationFactor > 1 {
      scenario.laneCount = mapping.parallelizationFactor
      let keys = options.keys?.split(separator: ",").map(String.init) ?? (1...count).map(String.init)
      let slots = Self.slots(of: keys, factor: mapping.parallelizationFactor)
      for place in records.indices { scenario.records[place].lane = slots[place % slots.count] }
    }
  }

  private static func mapping(
    _ name: String?, of configuration: Configuration, _ file: String
  ) throws -> MappingConfiguration {
    let names = configuration.mappings.map(\.name).joined(separator: ", ")
    guard let name else {
      // Those of asynchronous invocations are not in the file.
      let written = configuration.mappings.filter { $0.asyncInvocation == nil }
      guard let only = written.first else { throw Problem(Exit.badInput, "\(file) has no mappings") }
      guard written.count == 1 else {
        throw Problem(Exit.wrongUsage, "\(file) has several mappings: name one with --mapping (\(names))")
      }
      return only
    }
    guard let mapping = configuration.mappings.first(where: { $0.name == name }) else {
      throw Problem(Exit.badInput, "\(file) has no mapping \(name); there are: \(names)")
    }
    return mapping
  }

  /// `success-after 3`, as one word of the shell or two, `success-after=3`; `nil` if nothing is said.
  static func times(_ words: [String]) throws -> Int? {
    guard !words.isEmpty else { return nil }
    let parts = words.flatMap { $0.split { $0 == "=" || $0 == " " } }
    guard parts.count == 2, parts[0] == "success-after", let times = Int(parts[1]), times >= 1 else {
      throw Problem(
        Exit.wrongUsage, "--until \(words.joined(separator: " ")): must be success-after and a number from 1")
    }
    return times
  }

  static func milliseconds(_ text: some StringProtocol, _ option: String) throws -> Int64 {
    guard let duration = Quantity.duration(String(text)) else {
      throw Problem(Exit.wrongUsage, "\(option) \(text): must be a duration with a unit (ms, s, m, h, d)")
    }
    return duration.wholeMilliseconds
  }

  private static func setAge(_ text: String, of records: inout [PlannedRecord]) throws {
    let parts = text.split(separator: ":")
    let milliseconds = try milliseconds(parts.last ?? "", "--age")
    let range = parts.count < 2 ? [1...records.count] : try PlannedFailures.ranges(parts[0], "--age")
    for number in range.joined() {
      guard number <= records.count else {
        throw Problem(Exit.wrongUsage, "--age \(text): there are records 1 to \(records.count)")
      }
      records[number - 1].ageMilliseconds = milliseconds
    }
  }

  /// The lanes to which partition keys belong.
  private static func slots(of keys: [String], factor: Int) -> [Int] {
    var builder = RecordRunBuilder(firstIndex: .zero)
    for var key in keys {
      var packed: [UInt8] = []
      key.withUTF8 { bytes in
        RecordLayout.append(
          partitionKey: UnsafeRawBufferPointer(bytes), data: UnsafeRawBufferPointer(start: nil, count: 0),
          explicitHashKey: nil, to: &packed)
      }
      let isWhole = packed.withUnsafeBytes { builder.append(packed: $0, recordCount: 1, firstArrival: .zero) }
      precondition(isWhole, "the record was packed just now")
    }
    let run = builder.finish()
    let origin = BatchOrigin(stream: "", shard: ShardNumber(0), shardCreatedAtSeconds: 0, attempt: 1)
    let batch = RecordBatch(origin: origin, run: run, range: 0..<run.count)
    let sharing = LaneSharing(factor: factor)
    return (0..<batch.count).map { sharing.slot(of: batch[$0].partitionKeyHash) }
  }
}

/// The records that fail, and how.
struct PlannedFailures {
  let policy: LanePolicy
  let rules: RetryRuleMatcher?
  var reportsItemFailures = false
  var standardTimes: Int?
  private(set) var byRecord: [Int: PlannedFailure] = [:]
  /// Somebody wanted a report of which nobody takes notice.
  private(set) var ignoresReports = false
  private(set) var greatest = 0

  init(policy: LanePolicy, rules: RetryRuleMatcher?) {
    self.policy = policy
    self.rules = rules
  }

  /// Takes `3,7` or `3-5:throttle:2`.
  mutating func add(_ text: String, standardManner: String) throws {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 3 else {
      throw Problem(Exit.wrongUsage, "--fail \(text): must be RECORDS, RECORDS:AS or RECORDS:AS:TIMES")
    }
    var times = standardTimes
    if parts.count == 3 {
      guard let number = Int(parts[2]), number >= 1 else {
        throw Problem(Exit.wrongUsage, "--fail \(text): TIMES must be a number from 1")
      }
      times = number
    }
    let failure = failure(as: parts.count > 1 ? String(parts[1]) : standardManner)
    let isReport = failure.kind == .reportedNoProgress
    if isReport, !reportsItemFailures { ignoresReports = true }
    for number in try Self.ranges(parts[0], "--fail").joined() {
      greatest = max(greatest, number)
      guard !isReport || reportsItemFailures else { continue }
      byRecord[number] = PlannedFailure(failure.kind, rule: rules?.rule(for: failure), times: times)
    }
  }

  /// What the runtime would know of it.
  private func failure(as manner: String) -> HandlerFailure {
    let limit = policy.handlerTimeoutMilliseconds
    switch manner {
    case "error": return HandlerFailure(kind: .error, type: "Error", message: "")
    case "report", FailureKind.reportedNoProgress.name:
      return HandlerFailure(
        kind: .reportedNoProgress, type: "BatchItemFailure",
        message: "The handler reported the first record of the batch as failed.")
    case FailureKind.timedOut.name:
      return HandlerFailure(
        kind: .timedOut, type: "Sandbox.Timedout", message: "The handler was not done in time (limit \(limit) ms).")
    case FailureKind.exited.name:
      return HandlerFailure(
        kind: .exited, type: "Runtime.ExitError", message: "the process ended with exit code 1")
    default:
      if let kind = FailureKind.allCases.first(where: { $0.name == manner }) {
        return HandlerFailure(kind: kind, type: "", message: "")
      }
      let parts = manner.split(separator: ":", maxSplits: 1)
      let message = parts.count > 1 ? parts[1].drop { $0 == " " } : ""
      return HandlerFailure(kind: .error, type: String(parts.first ?? ""), message: String(message))
    }
  }

  /// `3,7-9`.
  static func ranges(_ text: some StringProtocol, _ option: String) throws -> [ClosedRange<Int>] {
    try text.split(separator: ",").map { part in
      let ends = part.split(separator: "-").map { Int($0) }
      guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil, first >= 1, last >= first,
        last <= 10_000
      else {
        throw Problem(
          Exit.wrongUsage, "\(option) \(part): must be a record, counted from 1 to 10000, or a range such as 3-5")
      }
      return first...last
    }
  }
}
