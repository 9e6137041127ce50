import Foundation
import LambdaRuntime
import ShardCore
import Sluice
@testable import SluiceService
import StreamModel
import StreamRuntime
import Testing

@Suite("Configuration")
struct ConfigurationTests: ConfigurationSuite {
  @Test("the file of defaults says what the code says")
  func defaults() throws {
    let result = try ConfigurationReader.read(fileAt: file("default.yaml"), overrides: .init())
    #expect(result.configuration == Configuration())
    // It leaves nothing out.
    #expect(!result.settings.contains { $0.origin == .standard })
    #expect(try ConfigurationReader.read(fileAt: nil, overrides: .init()).configuration == Configuration())
  }

  @Test("an idempotency store: its key, its limits, and what it does not go with")
  func idempotency() throws {
    let reports = "FunctionResponseTypes: [ReportBatchItemFailures]"
    let configuration = try read(
      mapping("idempotency: { key: $.order.id, expiry: 2h, keyLimit: 10, itemFailures: every }\n    " + reports))
    let read = configuration.mappings[0]
    #expect(
      read.idempotency == Idempotency(key: .field(["order", "id"]), expiryMilliseconds: 7_200_000, keyLimit: 10))
    #expect(read.namesEveryFailure)
    #expect(try self.read(mapping("idempotency: { key: record }")).mappings[0].idempotency == Idempotency())
    #expect(try self.read(mapping("markRedeliveries: true")).mappings[0].marksRedeliveries == true)
    #expect(try self.read(mapping("idempotency: { key: record }")).mappings[0].marksRedeliveries == nil)
    for (line, place) in [
      ("idempotency: { expiry: 1h }", "idempotency.key: is missing"),
      ("idempotency: { key: order }", "idempotency.key"), ("idempotency: { key: $.a..b }", "idempotency.key"),
      ("idempotency: { key: record, expiry: 10ms }", "idempotency.expiry"),
      ("idempotency: { key: record, keyLimit: 0 }", "idempotency.keyLimit"),
      ("idempotency: { key: record, itemFailures: every }", "needs FunctionResponseTypes"),
      ("idempotency: { key: record }\n    blocking: key", "must not stand beside blocking: key"),
      ("idempotency: { key: record }\n    TumblingWindowInSeconds: 5", "must not stand beside TumblingWindowInSeconds"),
      ("markRedeliveries: maybe", "markRedeliveries"),
    ] {
      let found = problems(mapping(line))
      #expect(found.count == 1 && found.allSatisfy { $0.contains(place) }, "\(line): \(found)")
    }
  }

  @Test("a stream of changes: its filters are about changes, and it has no AT_TIMESTAMP")
  func changes() throws {
    func text(_ line: String) -> String {
      """
      mappings:
        - stream: orders
          function: book
          \(line)
      functions: [{ name: book, command: [python3] }]
      streams: [{ name: orders, kind: dynamodb }]
      """
    }
    let pattern = #"FilterCriteria: { Filters: [ { Pattern: '{"dynamodb":{"NewImage":{"s":{"S":["paid"]}}}}' } ] }"#
    let configuration = try read(text(pattern))
    #expect(configuration.stream(named: "orders")?.kind == .dynamodb)
    #expect(configuration.mappings[0].filters.count == 1)
    let plain = #"FilterCriteria: { Filters: [ { Pattern: '{"dynamodb":["plain"]}' } ] }"#
    #expect(problems(text(plain)).count == 1 && problems(mapping(plain)).isEmpty)
    #expect(
      problems(text("StartingPosition: AT_TIMESTAMP\n    StartingPositionTimestamp: 1")).contains {
        $0.contains(
          "Unsupported starting position for arn type: arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream")
      })
    #expect(problems("streams: [{ name: orders, kind: queue }]").count == 1)
  }

  @Test("the example is read as its author meant it")
  func example() throws {
    let configuration = try ConfigurationReader.read(fileAt: file("example.yaml"), overrides: .init()).configuration
    let function = try #require(configuration.function(named: "delays"))
    #expect(function.command == ["python3", "delays.py"])
    let directory = try #require(function.directory)
    #expect(FileManager.default.fileExists(atPath: directory + "/delays.py"))
    #expect(configuration.stream(named: "flights")?.shards == 4)
    let mapping = try #require(configuration.mappings.first)
    #expect(mapping.name == "flights-delays")
    #expect(mapping.reportsItemFailures)
    var expected = EventSourceMapping("flights-delays", stream: "flights", from: .trimHorizon)
    expected.retry.attempts = 7
    expected.function = "delays"
    expected.timeout = .seconds(30)
    expected.concurrency = 4
    expected.unstoredBatchLimit = EventSourceMapping.unstoredBatchLimitOfProcesses
    #expect(EventSourceMapping(mapping, function) == expected)
  }

  @Test("a function speaks the Runtime API unless it says otherwise, with the limits of Lambda")
  func functions() throws {
    let yaml = """
      functions:
        - { name: plain, command: [./bootstrap] }
        - name: orders
          Handler: orders.handler
          Runtime: python3.12
          directory: /srv/orders
          environment: { TABLE: orders, AWS_REGION: eu-west-3 }
          timeout: 30s
          memory: 512MiB
          concurrency: 8
          provisioned: 2
          idleTime: 5m
          logFormat: JSON
      """
    let functions = try read(yaml).functions
    #expect(functions[0] == FunctionConfiguration(name: "plain", command: ["./bootstrap"]))
    #expect(functions[0].handlerProtocol == .lambda)
    #expect(functions[0].timeout == .seconds(3))
    #expect(functions[0].memory == 128 << 20)
    var settings = FunctionSettings(
      name: "orders",
      command: HandlerCommand(
        ["python3", "-m", "awslambdaric", "orders.handler"], directory: "/srv/orders",
        environment: ["TABLE": "orders", "AWS_REGION": "eu-west-3"]))
    settings.handler = "orders.handler"
    settings.runtime = "python3.12"
    settings.timeout = .seconds(30)
    settings.memorySize = 512
    settings.concurrency = 8
    settings.provisioned = 2
    settings.idleTime = .seconds(300)
    settings.logFormat = .json
    #expect(functions[1].functionSettings == settings)
    // What watches the lane leaves the function its time, its turn and its start.
    let mapping = MappingConfiguration(stream: "s", function: "orders")
    #expect(EventSourceMapping(mapping, functions[1]).timeout > .seconds(30) + FunctionLimits().initTimeout)
    #expect(EventSourceMapping(mapping, functions[1], margin: false).timeout == .seconds(30))
  }

  @Test("a mapping that says nothing behaves as the library does by default, with the limits of one process")
  func policyDefaults() {
    let function = FunctionConfiguration(name: "f", command: ["true"], handlerProtocol: .lines)
    var expected = EventSourceMapping("s-f", stream: "s", from: .trimHorizon)
    expected.function = "f"
    expected.concurrency = 1
    expected.unstoredBatchLimit = EventSourceMapping.unstoredBatchLimitOfProcesses
    #expect(EventSourceMapping(MappingConfiguration(stream: "s", function: "f"), function) == expected)
  }

  @Test("every setting of a mapping arrives")
  func allSettings() throws {
    let yaml = mapping(
      """
      name: slow
          Enabled: false
          StartingPosition: AT_TIMESTAMP
          StartingPositionTimestamp: 2013-01-01T05:00:00Z
          BatchSize: 10000
          MaximumBatchingWindowInSeconds: 300
          MaximumRetryAttempts: 0
          maximumRecordAge: 8s
          FunctionResponseTypes: [ReportBatchItemFailures]
          ParallelizationFactor: 10
          BisectBatchOnFunctionError: true
          TumblingWindowInSeconds: 0
          FilterCriteria: { Filters: [{ Pattern: '{"data":{"carrier":["UA"]}}' }] }
          DestinationConfig: { OnFailure: {} }
      """)
    var expected = MappingConfiguration(name: "slow", stream: "flights", function: "delays")
    expected.isEnabled = false
    expected.startingPosition = .atTimestamp(WallTime(milliseconds: 1_357_016_400_000))
    expected.batchSize = 10_000
    expected.batchingWindow = .seconds(300)
    expected.maximumRetryAttempts = 0
    expected.maximumRecordAge = .seconds(8)
    expected.reportsItemFailures = true
    expected.parallelizationFactor = 10
    expected.bisectsBatchOnError = true
    expected.filters = [#"{"data":{"carrier":["UA"]}}"#]
    #expect(try read(yaml).mappings == [expected])
  }

  @Test("retry rules are read with their shorthands and defaults")
  func retryRules() throws {
    let rules = try read(
      mapping(
        """
        retryRules:
              - name: bad input
                when: { errorType: [ValidationError, "Schema*"], message: "*not found*" }
                then: give-up
              - { when: { class: [throttle, transient] }, then: retry, counts: false, backoff: 5s }
              - { when: { class: error }, then: retry, backoff: { initial: 2s, factor: 1.5, jitter: 0% } }
              - { when: { class: any }, then: retry, backoff: { initial: 2m } }
        """)
    ).mappings.first?.retryRules
    let fixed = Backoff(firstMilliseconds: 5_000, capMilliseconds: 5_000, jitterPercent: 0, growthPercent: 100)
    let slow = Backoff(firstMilliseconds: 2_000, capMilliseconds: 60_000, jitterPercent: 0, growthPercent: 150)
    let long = Backoff(firstMilliseconds: 120_000, capMilliseconds: 120_000, jitterPercent: 20)
    #expect(
      rules == [
        RetryRule(
          "bad input", errorTypes: ["ValidationError", "Schema*"], messages: ["*not found*"], then: .giveUp),
        RetryRule(
          "retryRules[1]", kinds: [.throttled, .timedOut, .exited, .unavailable],
          then: .retry(usesAttempt: false, fixed)),
        RetryRule("retryRules[2]", kinds: [.error], then: .retry(usesAttempt: nil, slow)),
        RetryRule("retryRules[3]", kinds: Set(FailureKind.allCases), then: .retry(usesAttempt: nil, long)),
      ])
  }

  @Test(
    "a retry rule that breaks a rule is refused with its place",
    arguments: [
      ("{ then: give-up }", "when: is missing: which failures the rule is for (class, errorType, message)"),
      (
        "{ when: {}, then: give-up }",
        "when: must name a class, an errorType or a message (class: any is every failure)"
      ),
      (
        "{ when: { class: slow }, then: give-up }",
        #"when.class: "slow": must be one of error, timeout, exit, invalid-response, payload-too-large, no-progress, throttle, unavailable, transient, permanent, system, any"#
      ),
      ("{ when: { class: any } }", "then: is missing: must be retry or give-up"),
      ("{ when: { class: any }, then: stop }", #"then: "stop": must be retry or give-up"#),
      (
        "{ when: { class: any }, then: give-up, counts: false }",
        #"counts: "false": says how to retry, and this rule gives up"#
      ),
      (
        "{ when: { class: any }, then: retry, backoff: 5 }",
        #"backoff: "5": must be a duration with a unit (ms, s, m, h, d) from 1ms to 24h"#
      ),
      (
        "{ when: { class: any }, then: retry, backoff: { factor: 0.5 } }",
        #"backoff.factor: "0.5": must be a number from 1 to 10 with up to two decimals"#
      ),
      (
        "{ when: { class: any }, then: retry, backoff: { jitter: 20 } }",
        #"backoff.jitter: "20": must be a percentage from 0% to 100%"#
      ),
      (
        "{ when: { class: any }, then: retry, backoff: { initial: 2m, maximum: 1m } }",
        "backoff.maximum: 1m: must not be less than initial, 2m"
      ),
      ("{ when: { clas: any, message: x }, then: retry }", "when.clas: unknown key; did you mean class?"),
      (
        "{ when: { class: any }, then: retry, wait: 5s }",
        "wait: unknown key; known are backoff, counts, name, then, when"
      ),
    ])
  func badRetryRule(rule: String, message: String) {
    let problems = problems(mapping("retryRules: [\(rule)]"))
    #expect(problems.count == 1, "\(problems)")
    #expect(problems.first?.hasSuffix(": mappings[0].retryRules[0].\(message)") == true, "\(problems)")
    #expect(problems.first?.hasPrefix("test.yaml:8:") == true)
  }

  @Test("-1 means without end")
  func forever() throws {
    let mappings = try read(mapping("MaximumRetryAttempts: -1\n    MaximumRecordAgeInSeconds: -1")).mappings
    #expect(mappings.first?.maximumRetryAttempts == nil)
    #expect(mappings.first?.maximumRecordAge == nil)
  }

  @Test("the table of parameters in the README is that of the rules")
  func documentedParameters() throws {
    #expect(try String(contentsOfFile: file("README.md"), encoding: .utf8).contains(ParameterTable.markdown))
  }

  @Test("a flag stands above the environment, the environment above the file, and each is named")
  func overrides() throws {
    let overrides = ConfigurationOverrides(
      environment: ["SLUICE_DATA": "/from/environment", "SLUICE_LISTEN": "0.0.0.0:1", "SLUICE_LOG_FORMAT": "json"],
      listen: "[::1]:99")
    let result = try ConfigurationReader.read(
      "store: { path: /from/file }\nlog: { level: debug }", source: "test.yaml", overrides: overrides)
    #expect(result.configuration.store.path == "/from/environment")
    #expect(result.configuration.listen.host == "::1")
    #expect(result.configuration.listen.port == 99)
    #expect(result.configuration.log.level == .debug)
    #expect(result.configuration.log.format == .json)
    let lines = result.describe().split(separator: "\n")
    func line(_ path: String) -> String? { lines.first { $0.hasPrefix(path + " ") }.map(String.init) }
    #expect(line("store.path")?.hasSuffix("(environment, SLUICE_DATA)") == true)
    #expect(line("listen.address")?.hasSuffix("(flag, --listen)") == true)
    #expect(line("log.level")?.hasSuffix("(file, line 2)") == true)
    #expect(line("store.mapSize")?.hasSuffix("(default)") == true)
  }

  @Test(
    "sizes and durations take each unit",
    arguments: [
      ("500ms", Duration.milliseconds(500)), ("30s", .seconds(30)), ("5m", .seconds(300)),
      ("24h", .seconds(86_400)), ("7d", .seconds(604_800)),
    ])
  func durations(text: String, duration: Duration) throws {
    if duration <= .seconds(60) {
      #expect(try read("store: { interval: \(text) }").store.interval == duration)
    }
    if duration >= .seconds(1) {
      #expect(try read("listen: { readyBlockedAfter: \(text) }").listen.readyBlockedAfter == duration)
    }
  }

  @Test(
    "sizes are binary or decimal by their unit",
    arguments: [("256MiB", 256 << 20), ("1GB", 1_000_000_000), ("2048KiB", 2 << 20), ("1TiB", 1 << 40)]
      as [(String, Int64)]
  )
  func sizes(text: String, bytes: Int64) throws {
    #expect(try read("store: { mapSize: \(text) }").store.mapSize == bytes)
  }
}
