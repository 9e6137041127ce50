import EventPattern
import Foundation
import LambdaRuntime
import Sluice
import StreamModel
import StreamRuntime
import Yams

/// Reads a configuration and remembers where each value comes from.
public struct ConfigurationReader {
  private let findings: ConfigurationFindings
  private let directory: String?
  private var configuration = Configuration()

  /// A configuration and where its values come from.
  public struct Result: Hashable, Sendable {
    public var configuration: Configuration
    /// In the order of the documentation.
    public var settings: [Setting]

    /// One setting a line: `store.path = ./sluice-data  (default)`.
    public func describe() -> String {
      let width = settings.map { $0.path.count + $0.value.count }.max() ?? 0
      return settings.map {
        let padding = String(repeating: " ", count: width - $0.path.count - $0.value.count + 2)
        return "\($0.path) = \($0.value)\(padding)(\($0.origin))\n"
      }.joined()
    }
  }

  /// Reads the file at `path`, or only the overrides if there is none.
  ///
  /// Throws ``ConfigurationError`` with everything that is wrong. The directories of functions are relative to the file.
  public static func read(fileAt path: String?, overrides: ConfigurationOverrides) throws -> Result {
    guard let path else { return try read("", source: "defaults", overrides: overrides) }
    let text: String
    do {
      text = try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      let reason = FileManager.default.fileExists(atPath: path) ? "cannot be read as UTF-8" : "there is no such file"
      throw ConfigurationError(problems: [ConfigurationProblem(source: path, path: "", rule: reason)])
    }
    let directory = (path as NSString).deletingLastPathComponent
    return try read(text, source: path, directory: directory.isEmpty ? nil : directory, overrides: overrides)
  }

  /// Reads YAML. `source` names it in messages; relative directories of functions are relative to `directory`.
  public static func read(
    _ yaml: String, source: String, directory: String? = nil,
    overrides: ConfigurationOverrides = ConfigurationOverrides()
  ) throws(ConfigurationError) -> Result {
    let findings = ConfigurationFindings(source: source)
    var reader = ConfigurationReader(findings: findings, directory: directory)
    let root: Node?
    do {
      root = try compose(yaml: yaml)
    } catch {
      throw ConfigurationError(problems: [syntaxProblem(error, source: source)])
    }
    reader.readRoot(root)
    reader.apply(overrides)
    reader.checkReferences()
    guard findings.problems.isEmpty else {
      let order = findings.problems.enumerated().sorted {
        ($0.element.line ?? .max, $0.element.column ?? 0, $0.offset)
          < ($1.element.line ?? .max, $1.element.column ?? 0, $1.offset)
      }
      throw ConfigurationError(problems: order.map(\.element))
    }
    return Result(configuration: reader.configuration, settings: findings.settings)
  }

  private init(findings: ConfigurationFindings, directory: String?) {
    self.findings = findings
    self.directory = directory
  }

  // MARK: The parts of the file

  private mutating func readRoot(_ node: Node?) {
    var root = ConfigurationSection(node, path: "", findings: findings)
    readStore(root.section("store"))
    readListen(root.section("listen"))
    var log = root.section("log")
    configuration.log.level = log.choice("level", default: configuration.log.level)
    configuration.log.format = log.choice("format", default: configuration.log.format)
    log.finish()
    var failures = root.section("failures")
    if case .milliseconds(let milliseconds) = failures.keepFor(default: .forever) {
      configuration.failures.keepFor = .milliseconds(milliseconds)
    }
    failures.finish()
    for item in root.items("streams") {
      readStream(ConfigurationSection(item.node, path: item.path, findings: findings))
    }
    for item in root.items("functions") {
      readFunction(ConfigurationSection(item.node, path: item.path, findings: findings))
    }
    for item in root.items("mappings") {
      readMapping(ConfigurationSection(item.node, path: item.path, findings: findings))
    }
    root.finish()
    for function in configuration.functions { addAsyncInvocation(of: function) }
  }

  /// The stream and the mapping that a function's `async` stands for. Their names are not to be had otherwise.
  private mutating func addAsyncInvocation(of function: FunctionConfiguration) {
    guard let async = function.asyncInvocation else { return }
    let name = AsyncInvocation.name(for: function.name)
    let isTaken =
      configuration.streams.contains { $0.name == name } || configuration.mappings.contains { $0.name == name }
    guard Self.isName(name), !isTaken else {
      let rule = isTaken ? "is the name of something else in this file" : "is too long: \(Self.nameRule)"
      findings.report(nil, "functions.\(function.name).async", "makes a stream and a mapping \(name), which \(rule)")
      return
    }
    configuration.streams.append(async.stream(for: function))
    configuration.mappings.append(async.mapping(for: function))
  }

  private mutating func readStore(_ section: ConfigurationSection) {
    var section = section
    let standard = configuration.store
    configuration.store.path = section.read(
      "path", default: standard.path, rule: "must be a directory", show: \.self
    ) { $0.isEmpty ? nil : $0 }
    configuration.store.durability = section.choice("durability", default: standard.durability)
    configuration.store.interval = section.duration(
      "interval", default: standard.interval, in: .milliseconds(1)...(.seconds(60)))
    configuration.store.mapSize = section.size("mapSize", default: standard.mapSize, in: 1 << 20...1 << 46)
    section.finish()
  }

  private mutating func readListen(_ section: ConfigurationSection) {
    var section = section
    let address = section.read(
      "address", default: Self.text(configuration.listen), rule: Self.addressRule, show: \.self
    ) { Self.address($0) == nil ? nil : $0 }
    if let (host, port) = Self.address(address) {
      (configuration.listen.host, configuration.listen.port) = (host, port)
    }
    configuration.listen.readyBlockedAfter = section.duration(
      "readyBlockedAfter", default: configuration.listen.readyBlockedAfter, in: .seconds(1)...(.seconds(7 * 86_400)))
    configuration.listen.readyFailureEntries = section.integer(
      "readyFailureEntries", default: configuration.listen.readyFailureEntries, in: 0...1_000_000_000, unit: "entries")
    configuration.listen.readyFailureAge = section.duration(
      "readyFailureAge", default: configuration.listen.readyFailureAge, in: .zero...(.seconds(365 * 86_400)))
    section.finish()
  }

  private mutating func readStream(_ section: ConfigurationSection) {
    var section = section
    let name = section.requiredText("name", rule: Self.nameRule, isValid: Self.isName)
    var stream = StreamConfiguration(name: name ?? "")
    stream.shards = section.integer("shards", default: stream.shards, in: 1...1_024, unit: "shards")
    stream.kind = section.choice("kind", default: stream.kind)
    stream.retention = section.duration(
      "retention", default: stream.retention, in: .seconds(86_400)...(.seconds(8_760 * 3_600)))
    stream.recordLimit = section.size("recordLimit", default: stream.recordLimit, in: 1 << 20...10 << 20)
    section.finish()
    guard name != nil else { return }
    reportDuplicate(of: stream.name, in: configuration.streams.map(\.name), section, "stream")
    configuration.streams.append(stream)
  }

  private mutating func readFunction(_ section: ConfigurationSection) {
    var section = section
    let name = section.requiredText("name", rule: Self.nameRule, isValid: Self.isName)
    let function = FunctionReader(findings: findings, directory: directory, resolve: resolved)
      .read(&section, name: name ?? "")
    section.finish()
    guard name != nil else { return }
    reportDuplicate(of: function.name, in: configuration.functions.map(\.name), section, "function")
    configuration.functions.append(function)
  }

  private mutating func readMapping(_ section: ConfigurationSection) {
    var section = section
    for foreign in ForeignParameter.all { section.foreign(foreign) }
    let stream = section.requiredText("stream", rule: "must name a stream of this configuration")
    let function = section.requiredText("function", rule: "must name a function of this configuration")
    var mapping = MappingConfiguration(stream: stream ?? "", function: function ?? "")
    mapping.name = section.read("name", default: mapping.name, rule: Self.nameRule, show: \.self) {
      Self.isName($0) ? $0 : nil
    }
    var combination = ParameterCombination()
    let kind = configuration.stream(named: mapping.stream)?.kind ?? .kinesis
    if kind == .dynamodb { combination.source = .dynamoDB(arn: arn(of: mapping.stream, kind)) }
    mapping.isEnabled = section.boolean(.enabled)
    mapping.startingPosition = readStartingPosition(&section, &combination)
    mapping.batchSize = section.integer(.batchSize)
    mapping.batchingWindow = .seconds(section.integer(.maximumBatchingWindow))
    let attempts = section.integer(.maximumRetryAttempts)
    mapping.maximumRetryAttempts = attempts < 0 ? nil : attempts
    let hops = section.integer(.recursiveLoopLimit)
    mapping.recursiveLoopLimit = hops < 0 ? nil : hops
    mapping.maximumRecordAge = readRecordAge(&section, &combination)
    mapping.reportsItemFailures = !section.choices(.functionResponseTypes).isEmpty
    mapping.parallelizationFactor = section.integer(.parallelizationFactor)
    combination.parallelizationFactor = mapping.parallelizationFactor
    mapping.bisectsBatchOnError = section.boolean(.bisectsBatch)
    combination.tumblingWindowSeconds = section.integer(.tumblingWindow)
    mapping.tumblingWindow = .seconds(combination.tumblingWindowSeconds)
    mapping.filters = readFilters(section.section("FilterCriteria"), of: kind)
    mapping.retryRules = RetryRuleReading(findings: findings).rules("retryRules", of: &section)
    mapping.blocking = readBlocking(&section)
    if mapping.tumblingWindow > .zero, mapping.blocking != .shard, let node = section.value("blocking") {
      findings.report(
        node, section.path("blocking"), value: node.shortText,
        "must be shard when TumblingWindowInSeconds is set: a window hands its state on through the shard")
    }
    if section.value("markRedeliveries") != nil {
      mapping.marksRedeliveries = section.choice("markRedeliveries", default: YesOrNo.no) == .yes
    }
    IdempotencyReading(findings: findings).read(&section, into: &mapping)
    let shadow = section.value("shadow")
    if shadow != nil { mapping.isShadow = section.choice("shadow", default: YesOrNo.no) == .yes }
    combination.filterCount = mapping.filters.count
    mapping.onFailure = DestinationReader(findings: findings, resolve: resolved).read(&section, &combination)
    // Here the counters are there unless they are not wanted: they cost nothing.
    var metrics = section.section(MappingParameter.metrics.rawValue)
    let chosen = metrics.choices(.metrics, key: "Metrics", standard: ["EventCount"])
    mapping.countsEvents = metrics.value("Metrics") == nil || !chosen.isEmpty
    metrics.finish()
    if mapping.isShadow, let shadow {
      for key in mapping.settingsWithoutEffectOnShadow {
        findings.report(
          section.value(key) ?? shadow, section.path(key),
          "must not stand beside shadow: true, whose outcome moves nothing")
      }
    }
    section.report(combination.problems)
    section.finish()
    guard stream != nil, function != nil else { return }
    reportDuplicate(of: mapping.name, in: configuration.mappings.map(\.name), section, "mapping")
    if let existing = configuration.mappings.first(where: { $0.stream == stream && $0.function == function }) {
      findings.report(
        section.node, section.path, "there is already a mapping of this stream to this function",
        aws: .mappingExists(
          source: arn(of: mapping.stream, kind), function: mapping.function, existing: existing.name))
    }
    configuration.mappings.append(mapping)
    references.append((section, mapping))
  }

  /// The stream's name on AWS. The label at the end of a table's is known once the stream is there.
  private func arn(of stream: String, _ kind: StreamKind) -> String {
    let identity = EventIdentity()
    return kind == .kinesis
      ? identity.streamARN(stream)
      : "arn:aws:dynamodb:\(identity.region):\(identity.account):table/\(stream)/stream"
  }

  /// The mappings, for when all streams and functions are known: a file may name them in any order.
  private var references: [(section: ConfigurationSection, mapping: MappingConfiguration)] = []

  private enum YesOrNo: String, CaseIterable {
    case yes = "true"
    case no = "false"
  }

  private func readBlocking(_ section: inout ConfigurationSection) -> EventSourceMapping.Blocking {
    guard section.choice(.blocking) == "key" else {
      for parameter in [MappingParameter.parkedKeyLimit, .parkedRecordLimit, .parkedDeliveryLimit] {
        let key = parameter.rawValue
        guard let node = section.value(key) else { continue }
        findings.report(node, section.path(key), value: node.shortText, "needs blocking: key beside it")
      }
      return .shard
    }
    return .key(
      keys: section.integer(.parkedKeyLimit), records: section.integer(.parkedRecordLimit),
      deliveries: section.integer(.parkedDeliveryLimit))
  }

  private func readStartingPosition(
    _ section: inout ConfigurationSection, _ combination: inout ParameterCombination
  ) -> StartingPosition {
    let name = section.choice(.startingPosition)
    combination.startingPosition = name
    let key = MappingParameter.startingPositionTimestamp
    combination.hasTimestamp = section.value(key.rawValue) != nil
    guard name == "AT_TIMESTAMP" else { return name == "LATEST" ? .latest : .trimHorizon }
    guard combination.hasTimestamp else { return .trimHorizon }
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    let milliseconds = section.read(key, default: 0, show: { "\(Double($0) / 1_000)" }) {
      text throws(ParameterProblem) in
      try key.moment(milliseconds: Self.milliseconds(text), now: now)
    }
    return .atTimestamp(WallTime(milliseconds: milliseconds))
  }

  /// `MaximumRecordAgeInSeconds` as on AWS, or our `maximumRecordAge`, which also takes less than a minute.
  private func readRecordAge(
    _ section: inout ConfigurationSection, _ combination: inout ParameterCombination
  ) -> Duration? {
    let seconds = section.integer(.maximumRecordAge)
    combination.hasMaximumRecordAge = section.value(MappingParameter.maximumRecordAge.rawValue) != nil
    combination.hasOwnMaximumRecordAge = section.value(MappingParameter.ownMaximumRecordAge.rawValue) != nil
    guard combination.hasOwnMaximumRecordAge else { return seconds < 0 ? nil : .seconds(seconds) }
    return section.duration(
      "maximumRecordAge", default: .seconds(604_800), in: .milliseconds(1)...(.seconds(604_800)))
  }

  /// `{Filters: [{Pattern: '…'}]}`. All patterns are compiled, to tell all that is wrong with them.
  private func readFilters(_ section: ConfigurationSection, of kind: StreamKind) -> [String] {
    var section = section
    var patterns: [String] = []
    var places: [(node: Node, path: String)] = []
    for item in section.items("Filters") {
      var filter = ConfigurationSection(item.node, path: item.path, findings: findings)
      if let pattern = filter.requiredText("Pattern", rule: "must be a filter pattern, a JSON text") {
        patterns.append(pattern)
        places.append(item)
      }
      filter.finish()
    }
    section.finish()
    do {
      _ = try EventFilter(patterns, source: kind == .dynamodb ? .dynamodb : .kinesis)
    } catch {
      for problem in error.problems {
        let place = problem.pattern.map { places[$0] }
        let position = problem.path.isEmpty ? "" : " at \(problem.path)"
        findings.report(
          place?.node ?? section.node, (place?.path).map { $0 + ".Pattern" } ?? section.path("Filters"),
          value: problem.value.isEmpty ? nil : problem.value, "\(problem.rule)\(position)",
          // What AWS says of too many is not known.
          aws: problem.pattern == nil ? nil : .invalidFilterPattern)
      }
    }
    return patterns
  }

  // MARK: Checks over several parts

  private func reportDuplicate(
    of name: String, in names: [String], _ section: ConfigurationSection, _ kind: String
  ) {
    guard names.contains(name) else { return }
    findings.report(
      section.node?.mapping?["name"] ?? section.node, section.path("name"), value: "\"\(name)\"",
      "there is already a \(kind) of this name")
  }

  private func checkReferences() {
    for (section, mapping) in references {
      let pairs = [
        (
          "stream", mapping.stream, configuration.streams.map(\.name),
          AWSAnswer.streamMissing(arn: arn(of: mapping.stream, .kinesis))
        ),
        ("function", mapping.function, configuration.functions.map(\.name), .functionMissing),
      ]
      for (key, name, known, answer) in pairs where !known.contains(name) {
        let names = known.isEmpty ? "there are none" : "known are \(known.joined(separator: ", "))"
        findings.report(
          section.node?.mapping?[key], section.path(key), value: "\"\(name)\"", "there is no such \(key); \(names)",
          aws: answer)
      }
    }
  }

  private mutating func apply(_ overrides: ConfigurationOverrides) {
    override(overrides.data, "store.path", rule: "must be a directory") { text, configuration in
      configuration.store.path = text
      return !text.isEmpty
    }
    override(overrides.listen, "listen.address", rule: Self.addressRule) { text, configuration in
      guard let (host, port) = Self.address(text) else { return false }
      (configuration.listen.host, configuration.listen.port) = (host, port)
      return true
    }
    let levels = LogLevel.allCases.map(\.rawValue).joined(separator: ", ")
    override(overrides.logLevel, "log.level", rule: "must be one of \(levels)") { text, configuration in
      guard let level = LogLevel(rawValue: text) else { return false }
      configuration.log.level = level
      return true
    }
    override(overrides.logFormat, "log.format", rule: "must be one of text, json") { text, configuration in
      guard let format = LogFormat(rawValue: text) else { return false }
      configuration.log.format = format
      return true
    }
  }

  private mutating func override(
    _ value: ConfigurationOverrides.Value?, _ path: String, rule: String,
    set: (String, inout Configuration) -> Bool
  ) {
    guard let value else { return }
    guard set(value.text, &configuration) else {
      findings.problems.append(
        ConfigurationProblem(source: "\(value.origin)", path: path, value: "\"\(value.text)\"", rule: rule))
      return
    }
    let setting = Setting(path: path, value: value.text, origin: value.origin)
    if let position = findings.settings.firstIndex(where: { $0.path == path }) {
      findings.settings[position] = setting
    } else {
      findings.settings.append(setting)
    }
  }

  // MARK: Values

  private static let nameRule = "must be a name of 1 to 128 letters, digits, _ . or -"

  private static func isName(_ text: String) -> Bool {
    let isAllowed = { (byte: UInt8) in
      switch byte {
      case 45, 46, 48...57, 65...90, 95, 97...122: true
      default: false
      }
    }
    return 1...128 ~= text.utf8.count && text.utf8.allSatisfy(isAllowed)
  }

  private static let addressRule = "must be HOST:PORT with a port from 0 to 65535"

  private static func address(_ text: String) -> (String, Int)? {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    let host = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
    return host.isEmpty ? nil : (host, Int(port))
  }

  private static func text(_ listen: ListenConfiguration) -> String {
    listen.host.contains(":") ? "[\(listen.host)]:\(listen.port)" : "\(listen.host):\(listen.port)"
  }

  /// A time as milliseconds since 1970. `nil` if it is none.
  private static func milliseconds(_ text: String) -> Int64? {
    let seconds = Double(text) ?? (try? Date.ISO8601FormatStyle().parse(text))?.timeIntervalSince1970
    guard let seconds, seconds.isFinite, abs(seconds) < 1e12 else { return nil }
    return Int64((seconds * 1_000).rounded())
  }

  private func resolved(_ path: String) -> String {
    guard let directory, !path.hasPrefix("/") else { return path }
    return (directory as NSString).appendingPathComponent(path)
  }

  private func line(_ node: Node?) -> Setting.Origin { .file(line: node?.mark?.line ?? 0) }

  private static func syntaxProblem(_ error: any Error, source: String) -> ConfigurationProblem {
    func problem(_ mark: Mark?, _ rule: String) -> ConfigurationProblem {
      ConfigurationProblem(source: source, line: mark?.line, column: mark?.column, path: "", rule: rule)
    }
    switch error as? YamlError {
    case .scanner(_, let text, let mark, _), .parser(_, let text, let mark, _), .composer(_, let text, let mark, _):
      return problem(mark, text)
    case .duplicatedKeysInMapping(let keys, let context):
      return problem(context.mark, "the same key twice: \(keys.joined(separator: ", "))")
    default:
      return problem(nil, "is not YAML: \(error)")
    }
  }
}
