@testable import Sluice
@testable import SluiceService
import Testing

@Suite("How a configuration differs from what runs")
struct ConfigurationDifferenceTests {
  typealias Step = ConfigurationDifference.MappingStep

  private func configuration(_ settings: String = "", function: String = "") throws -> Configuration {
    try ConfigurationReader.read(
      """
      streams: [{ name: s }]
      functions: [{ name: f, command: [a]\(function) }]
      mappings: [{ stream: s, function: f\(settings) }]
      """, source: "test"
    ).configuration
  }

  /// As a worker that runs this configuration reports it.
  private func status(of configuration: Configuration, isConfigured: Bool = true) throws -> StatusReport {
    let mapping = try #require(configuration.mappings.first)
    let function = try #require(configuration.functions.first)
    let report = MappingReport(
      name: mapping.name, stream: mapping.stream, isRunning: true, state: mapping.isEnabled ? .enabled : .disabled,
      lastProcessingResult: "OK", isConfigured: isConfigured, settings: mapping.texts(with: function), lanes: [],
      failureEntries: 0, pendingDeliveries: 0, undeliverableEntries: 0)
    return StatusReport(
      worker: nil,
      streams: [
        StreamReport(
          name: "s", retentionMilliseconds: 86_400_000, recordByteLimit: 1 << 20, createdAt: 0,
          shards: [
            ShardReport(shard: "0", isOpen: true, parents: [], firstHashKey: "0", lastHashKey: "1", records: 0)
          ])
      ], mappings: [report], generatedAt: 0)
  }

  @Test("every parameter is among what is compared, in words")
  func complete() throws {
    let mapping = try #require(
      try configuration(", maximumRecordAge: 5s, blocking: key, recursiveLoopLimit: 3").mappings.first)
    let other = try #require(
      try configuration(", StartingPosition: AT_TIMESTAMP, StartingPositionTimestamp: 1").mappings.first)
    let function = FunctionConfiguration(name: "f", command: ["a"])
    let known = Set(mapping.texts(with: function).keys).union(other.texts(with: function).keys)
    for parameter in MappingParameter.allCases {
      #expect(known.contains(parameter.rawValue), "\(parameter.rawValue)")
    }
    for key in function.texts.keys { #expect(known.contains("function.\(key)")) }
  }

  @Test("the same configuration differs in nothing")
  func same() throws {
    let configuration = try configuration()
    let difference = ConfigurationDifference(
      of: configuration, from: try status(of: configuration), process: configuration)
    #expect(difference.settings == [])
    #expect(difference.steps.isEmpty)
  }

  @Test("how long failure entries are kept changes at once, for all mappings and for one")
  func keepingFailures() throws {
    let former = try configuration()
    var all = former
    all.failures.keepFor = .seconds(14 * 86_400)
    let forAll = ConfigurationDifference(of: all, from: try status(of: former), process: former)
    let expected = SettingDifference(path: "failures.keepFor", runs: "forever", file: "14d", moment: .atOnce)
    #expect(forAll.settings == [expected])
    #expect(forAll.steps.isEmpty)
    let one = try configuration(", onFailure: { keepFor: 2h }")
    let forOne = ConfigurationDifference(of: one, from: try status(of: former), process: former)
    #expect(forOne.settings.map(\.path) == ["mappings.s-f.onFailure.keepFor"])
    #expect(forOne.settings.map(\.file) == ["2h"])
    #expect(forOne.steps.map(\.step) == [.change])
  }

  @Test("blocking by key comes with its limits, after draining; the limits alone change at once, but for the tracks")
  func blocking() throws {
    let (shard, key) = (try configuration(), try configuration(", blocking: key"))
    let turned = ConfigurationDifference(of: key, from: try status(of: shard), process: shard)
    #expect(
      turned.settings.map { $0.path.split(separator: ".").last } == [
        "blocking", "parkedKeyLimit", "parkedRecordLimit", "parkedDeliveryLimit",
      ])
    #expect(turned.settings.map(\.file) == ["key", "1000", "100000", "2"])
    #expect(turned.steps.map(\.step) == [.reopen])
    let back = ConfigurationDifference(of: shard, from: try status(of: key), process: key)
    #expect(back.settings.map(\.runs) == ["key", "1000", "100000", "2"])
    #expect(back.steps.map(\.step) == [.reopen])
    let wider = try configuration(", blocking: key, parkedKeyLimit: 5, parkedRecordLimit: 6")
    #expect(
      ConfigurationDifference(of: wider, from: try status(of: key), process: key).steps.map(\.step) == [.change])
    let faster = try configuration(", blocking: key, parkedDeliveryLimit: 5")
    #expect(
      ConfigurationDifference(of: faster, from: try status(of: key), process: key).steps.map(\.step) == [.reopen])
  }

  @Test("the limit of loops is compared where it is not the default, and changes at once")
  func loops() throws {
    let (standard, off) = (try configuration(), try configuration(", recursiveLoopLimit: -1"))
    #expect(off.mappings.first?.recursiveLoopLimit == nil && standard.mappings.first?.recursiveLoopLimit == 16)
    let difference = ConfigurationDifference(of: off, from: try status(of: standard), process: standard)
    #expect(difference.settings.map(\.path) == ["mappings.s-f.recursiveLoopLimit"])
    #expect(difference.settings.map(\.file) == ["-1"] && difference.steps.map(\.step) == [.change])
    let same = try configuration(", recursiveLoopLimit: 16")
    #expect(ConfigurationDifference(of: same, from: try status(of: standard), process: standard).settings == [])
  }

  @Test(
    "what one change takes",
    arguments: [
      (", BatchSize: 5", "BatchSize", "100", "5", .nextBatch, .change),
      (", MaximumBatchingWindowInSeconds: 5", "MaximumBatchingWindowInSeconds", "0", "5", .atOnce, .change),
      (", ParallelizationFactor: 5", "ParallelizationFactor", "1", "5", .afterDraining, .reopen),
      (", MaximumRecordAgeInSeconds: 60", "MaximumRecordAgeInSeconds", "-1", "60", .atOnce, .change),
      (", TumblingWindowInSeconds: 5", "TumblingWindowInSeconds", "0", "5", .afterDraining, .reopen),
      (", MaximumRetryAttempts: 0", "MaximumRetryAttempts", "-1", "0", .atOnce, .change),
      (", BisectBatchOnFunctionError: true", "BisectBatchOnFunctionError", "false", "true", .atOnce, .change),
      (
        ", FunctionResponseTypes: [ReportBatchItemFailures]", "FunctionResponseTypes", "[]",
        "[ReportBatchItemFailures]", .nextDelivery, .change
      ),
      (
        #", FilterCriteria: { Filters: [{ Pattern: '{"data":{"a":[1]}}' }] }"#, "FilterCriteria", "{}",
        #"{"data":{"a":[1]}}"#, .afterDraining, .reopen
      ),
      (
        ", DestinationConfig: { OnFailure: { Destination: /tmp/failures } }", "DestinationConfig", "{OnFailure: {}}",
        "{OnFailure: {Destination: file:///tmp/failures}}", .afterDraining, .reopen
      ),
      (
        ", MetricsConfig: { Metrics: [] }", "MetricsConfig", "{Metrics: [EventCount]}", "{Metrics: []}", .afterDraining,
        .reopen
      ),
      (", onFailure: { attempts: 3 }", "onFailure.attempts", "12", "3", .afterDraining, .reopen),
      (", Enabled: false", "Enabled", "true", "false", .afterDraining, .disable),
      (", StartingPosition: LATEST", "StartingPosition", "TRIM_HORIZON", "LATEST", .refused, .change),
    ] as [(String, String, String, String, ChangeMoment, Step)])
  func one(settings: String, name: String, runs: String, file: String, moment: ChangeMoment, step: Step) throws {
    let difference = ConfigurationDifference(
      of: try configuration(settings), from: try status(of: configuration()), process: nil)
    #expect(
      difference.settings == [SettingDifference(path: "mappings.s-f.\(name)", runs: runs, file: file, moment: moment)])
    #expect(difference.steps.map(\.step) == [step])
    #expect(difference.refused.isEmpty == (moment != .refused))
  }

  @Test(
    "what a change of the function takes",
    arguments: [
      (", timeout: 5s", "function.timeout", .nextDelivery), (", concurrency: 5", "function.concurrency", .atOnce),
      (", directory: /", "function.directory", .nextDelivery),
      (", environment: { A: b }", "function.environment", .nextDelivery),
    ] as [(String, String, ChangeMoment)])
  func function(settings: String, name: String, moment: ChangeMoment) throws {
    let difference = ConfigurationDifference(
      of: try configuration(function: settings), from: try status(of: configuration()), process: nil)
    #expect(difference.settings.map(\.path) == ["mappings.s-f.\(name)"])
    #expect(difference.settings.map(\.moment) == [moment])
    #expect(difference.steps.map(\.step) == [.change])
    #expect(!difference.settings.contains { $0.file?.contains("b\"") ?? false })
  }

  @Test("another value of a variable is a difference that does not show it")
  func environment() throws {
    let difference = ConfigurationDifference(
      of: try configuration(function: ", environment: { TOKEN: secret-two }"),
      from: try status(of: configuration(function: ", environment: { TOKEN: secret-one }")), process: nil)
    let found = try #require(difference.settings.first)
    #expect(found.runs != found.file)
    #expect(found.file?.hasPrefix("{TOKEN} #") == true && found.file?.contains("secret") == false)
  }

  @Test("a mapping comes, goes, comes back, and is changed while it is disabled")
  func whole() throws {
    let plain = try configuration()
    var empty = plain
    empty.mappings = []
    var none = try status(of: plain)
    none.mappings = []
    func steps(_ configuration: Configuration, _ status: StatusReport) -> [Step] {
      ConfigurationDifference(of: configuration, from: status, process: nil).steps.map(\.step)
    }
    #expect(steps(plain, none) == [.add])
    #expect(steps(empty, try status(of: plain)) == [.remove])
    #expect(steps(empty, try status(of: plain, isConfigured: false)) == [])
    #expect(steps(plain, try status(of: plain, isConfigured: false)) == [.add])
    let disabled = try configuration(", Enabled: false")
    #expect(steps(try configuration(", Enabled: false, BatchSize: 3"), try status(of: disabled)) == [.note])
    #expect(steps(try configuration(", BatchSize: 3"), try status(of: disabled)) == [.enable])
  }

  @Test("what only a restart changes, what streams take, and what they do not")
  func elsewhere() throws {
    let running = try configuration()
    var file = running
    file.listen.port = 1
    file.log.level = .debug
    file.streams[0].shards = 2
    file.streams[0].retention = .seconds(48 * 3_600)
    file.streams[0].recordLimit = 2 << 20
    file.streams.append(StreamConfiguration(name: "new"))
    let difference = ConfigurationDifference(of: file, from: try status(of: running), process: running)
    #expect(
      difference.settings.map { "\($0.path) \($0.moment)" } == [
        "listen.address restart", "log.level restart", "streams.s.retention atOnce", "streams.s.recordLimit notTaken",
        "streams.s.shards notTaken", "streams.new atOnce",
      ])
    #expect(difference.steps.isEmpty)
  }
}
