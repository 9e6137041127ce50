import Foundation
import LambdaRuntime
import ShardCore
import Sluice
@testable import SluiceService
import StreamModel
import StreamRuntime
import Testing

@Suite("Configuration")
struct ConfigurationTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private func file(_ name: String) -> String { Self.root.appending(path: "config/\(name)").path }

  private func read(_ yaml: String, _ overrides: ConfigurationOverrides = .init()) throws -> Configuration {
    try ConfigurationReader.read(yaml, source: "test.yaml", overrides: overrides).configuration
  }

  /// The problems of a configuration that must be refused.
  private func problems(_ yaml: String, _ overrides: ConfigurationOverrides = .init()) -> [String] {
    do {
      _ = try ConfigurationReader.read(yaml, source: "test.yaml", overrides: overrides)
      return []
    } catch {
      return error.problems.map(\.description)
    }
  }

  /// A mapping with `line` among its settings, and what it needs. The line is line 8 of the file.
  private func mapping(_ line: String) -> String {
    """
    streams:
      - name: flights
    functions:
      - { name: delays, command: [python3] }
    mappings:
      - stream: flights
        function: delays
        \(line)
    """
  }

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

  @Test(
    "a value outside of AWS's range is refused with its place and its rule",
    arguments: [
      ("BatchSize: 0", #"BatchSize: "0": must be a whole number of records from 1 to 10000"#),
      ("BatchSize: 10001", #"BatchSize: "10001": must be a whole number of records from 1 to 10000"#),
      ("BatchSize: many", #"BatchSize: "many": must be a whole number of records from 1 to 10000"#),
      (
        "MaximumBatchingWindowInSeconds: 301",
        #"MaximumBatchingWindowInSeconds: "301": must be a whole number of seconds from 0 to 300"#
      ),
      (
        "MaximumRetryAttempts: -2",
        #"MaximumRetryAttempts: "-2": must be -1 (without end) or a whole number of retries from 0 to 10000"#
      ),
      (
        "MaximumRecordAgeInSeconds: 59",
        #"MaximumRecordAgeInSeconds: "59": must be -1 (forever) or a whole number of seconds from 60 to 604800"#
      ),
      (
        "maximumRecordAge: 8", #"maximumRecordAge: "8": must be a duration with a unit (ms, s, m, h, d) from 1ms to 7d"#
      ),
      ("StartingPosition: NOW", #"StartingPosition: "NOW": must be one of TRIM_HORIZON, LATEST, AT_TIMESTAMP"#),
      (
        "StartingPosition: AT_TIMESTAMP",
        "StartingPositionTimestamp: is missing: StartingPosition AT_TIMESTAMP needs it"
      ),
      (
        "StartingPositionTimestamp: 17",
        #"StartingPositionTimestamp: "17": is only valid with StartingPosition AT_TIMESTAMP"#
      ),
      ("Enabled: maybe", #"Enabled: "maybe": must be true or false"#),
      ("FunctionResponseTypes: [Bad]", #"FunctionResponseTypes[0]: "Bad": must be ReportBatchItemFailures"#),
      ("BisectBatchOnFunctionError: maybe", #"BisectBatchOnFunctionError: "maybe": must be true or false"#),
      (
        #"FilterCriteria: { Filters: [{ Pattern: '{"data":{"a":1}}' }] }"#,
        #"FilterCriteria.Filters[0].Pattern: 1: "a" must be an object or an array at $.data.a"#
      ),
      (
        "ParallelizationFactor: 11",
        #"ParallelizationFactor: "11": must be a whole number of lanes from 1 to 10 (ValidationException: 1 validation "#
          + "error detected: Value '11' at 'parallelizationFactor' failed to satisfy constraint: "
          + "Member must have value less than or equal to 10)"
      ),
      ("MetricsConfig: { Metrics: [ErrorCount] }", #"MetricsConfig.Metrics[0]: "ErrorCount": must be EventCount"#),
      ("MetricsConfig: { Metric: [] }", "MetricsConfig.Metric: unknown key; did you mean Metrics?"),
      (
        "DestinationConfig: { OnSuccess: { Destination: arn } }",
        "DestinationConfig: a mapping: OnSuccess configuration is not supported for event source mappings. "
          + "(InvalidParameterValueException)"
      ),
      (
        "ScalingConfig: { MaximumConcurrency: 2 }",
        "ScalingConfig: a mapping: belongs to queues, not to streams (InvalidParameterValueException: "
          + "Unsupported ScalingConfig parameter for given event source mapping type.)"
      ),
      ("KMSKeyArn: arn", #"KMSKeyArn: "arn": is not used here: patterns are stored as they stand"#),
      (
        "StartingPosition: AT_TIMESTAMP\n    StartingPositionTimestamp: 99999999999",
        #"StartingPositionTimestamp: "99999999999": must be Unix seconds or a time like 2026-01-31T12:00:00Z, "#
          + "not in the future"
      ),
      ("Batchsize: 10", "Batchsize: unknown key; did you mean BatchSize?"),
      (
        "shadow: true\n    MaximumRetryAttempts: 3",
        #"MaximumRetryAttempts: must not stand beside shadow: true, whose outcome moves nothing"#
      ),
      (
        "shadow: true\n    idempotency: { key: record }",
        "idempotency: must not stand beside shadow: true, whose outcome moves nothing"
      ),
      ("shadow: maybe", #"shadow: "maybe": must be one of "#),
      (
        "EventSourceArn: arn", #"EventSourceArn: "arn": is not used here: name the stream with stream: NAME"#
      ),
    ])
  func badMapping(line: String, message: String) throws {
    let problems = problems(mapping(line))
    #expect(problems.count == 1)
    #expect(problems.first?.contains(": mappings[0].\(message)") == true, "\(problems)")
    #expect(problems.first?.hasPrefix("test.yaml:") == true)
  }

  @Test(
    "what is wrong elsewhere is refused too",
    arguments: [
      ("store: { durability: never }", #"1:22: store.durability: "never": must be one of commit, interval, system"#),
      ("listen: { address: 4567 }", #"1:20: listen.address: "4567": must be HOST:PORT with a port from 0 to 65535"#),
      ("streems: []", "1:1: streems: unknown key; did you mean streams?"),
      ("streams: {}", "1:10: streams: a mapping: must be a list"),
      ("- a", "1:1: a list: a mapping of keys to values"),
      (
        "streams: [{shards: 1}]",
        "1:11: streams[0].name: is missing: must be a name of 1 to 128 letters, digits, _ . or -"
      ),
      (
        "streams: [{name: a b}]", #"1:18: streams[0].name: "a b": must be a name of 1 to 128 letters, digits, _ . or -"#
      ),
      (
        "streams: [{name: a, retention: 1h}]",
        #"1:32: streams[0].retention: "1h": must be a duration with a unit (ms, s, m, h, d) from 24h to 365d"#
      ),
      (
        "streams: [{name: a, recordLimit: 1GB}]",
        #"1:34: streams[0].recordLimit: "1GB": must be a size with a unit (B, KiB, MiB, GiB, kB, MB, GB) from 1MiB to 10MiB"#
      ),
      ("streams: [{name: a}, {name: a}]", #"1:29: streams[1].name: "a": there is already a stream of this name"#),
      (
        "functions: [{name: f}]",
        "1:13: functions[0].command: must be a list: the program and its arguments, or give Handler and Runtime instead"
      ),
      (
        "functions: [{name: f, protocol: lines}]",
        "1:13: functions[0].command: must be a list: the program and its arguments"
      ),
      (
        "functions: [{name: f, command: [a], protocol: smtp}]",
        #"1:47: functions[0].protocol: "smtp": must be one of lambda, lines, http"#
      ),
      (
        "functions: [{name: f, command: [a], protocol: lines, memory: 1GiB}]",
        #"1:62: functions[0].memory: "1GiB": needs protocol: lambda"#
      ),
      (
        "functions: [{name: f, command: [a], memory: 1000000B}]",
        #"1:45: functions[0].memory: "1000000B": must be a size with a unit (B, KiB, MiB, GiB, kB, MB, GB) from 1MiB to 1TiB"#
      ),
      (
        "functions: [{name: f, command: [a], memory: 10000000B}]",
        #"1:45: functions[0].memory: "10000000B": must be a whole number of MiB"#
      ),
      (
        "functions: [{name: f, command: [a], concurrency: 2, provisioned: 3}]",
        #"1:66: functions[0].provisioned: "3": must be a whole number of processes from 0 to 2"#
      ),
      (
        "functions: [{name: f, command: [a], environment: {_HANDLER: x}}]",
        "1:51: functions[0].environment._HANDLER: is reserved: Lambda sets it, and so does Sluice"
      ),
      (
        "functions: [{name: f, Handler: a.b}]",
        "1:13: functions[0].Runtime: is missing: Handler without a command needs it"
      ),
      (
        "functions: [{name: f, Runtime: python3.12}]",
        "1:13: functions[0].Handler: is missing: Runtime without a command needs it"
      ),
      (
        "functions: [{name: f, Handler: a.b, Runtime: nodejs22.x}]",
        #"1:46: functions[0].Runtime: "nodejs22.x": must be python3.x where there is no command; for others give the command that starts their runtime"#
      ),
      ("a: [", "2:1: did not find expected node content"),
      ("store: {}\nstore: {}", "the same key twice: store"),
    ])
  func bad(yaml: String, message: String) {
    let problems = problems(yaml)
    #expect(problems.count == 1)
    #expect(problems.first?.hasSuffix(message) == true, "\(problems)")
  }

  @Test("all problems come at once, in the order of the file")
  func together() {
    let yaml = """
      mappings:
        - { stream: fligths, function: delay, BatchSize: 0 }
      store: { durability: never }
      streams: [{ name: flights }, { name: trains }]
      """
    #expect(
      problems(yaml) == [
        #"test.yaml:2:15: mappings[0].stream: "fligths": there is no such stream; known are flights, trains "#
          + "(InvalidParameterValueException: Stream not found: arn:aws:kinesis:us-east-1:000000000000:stream/fligths)",
        #"test.yaml:2:34: mappings[0].function: "delay": there is no such function; there are none "#
          + "(InvalidParameterValueException: Function does not exist)",
        #"test.yaml:2:52: mappings[0].BatchSize: "0": must be a whole number of records from 1 to 10000 "#
          + "(ValidationException: 1 validation error detected: Value '0' at 'batchSize' failed to satisfy constraint: "
          + "Member must have value greater than or equal to 1)",
        #"test.yaml:3:22: store.durability: "never": must be one of commit, interval, system"#,
      ])
  }

  @Test("blocking by key has limits, which mean nothing without it")
  func blocking() {
    #expect(problems(mapping("blocking: key")) == [])
    #expect(problems(mapping("blocking: lane")).first?.contains("must be one of shard, key") == true)
    #expect(problems(mapping("parkedKeyLimit: 5")).first?.contains("needs blocking: key beside it") == true)
  }

  @Test("the table of parameters in the README is that of the rules")
  func documentedParameters() throws {
    #expect(try String(contentsOfFile: file("README.md"), encoding: .utf8).contains(ParameterTable.markdown))
  }

  @Test("two mappings of one stream to one function are one too many")
  func duplicateMapping() {
    let yaml = mapping("name: a\n  - { stream: flights, function: delays, name: b }")
    #expect(
      problems(yaml) == [
        "test.yaml:9:5: mappings[1]: there is already a mapping of this stream to this function "
          + #"(ResourceConflictException: The event source arn (" arn:aws:kinesis:us-east-1:000000000000:stream/flights ") "#
          + #"and function (" delays ") provided mapping already exists. Please update or delete the existing mapping with "#
          + "UUID a)"
      ])
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

  @Test("an override that breaks a rule is named by its variable or flag")
  func badOverride() {
    let overrides = ConfigurationOverrides(environment: ["SLUICE_LOG_LEVEL": "loud"], listen: "nowhere")
    #expect(
      problems("", overrides) == [
        #"flag, --listen: listen.address: "nowhere": must be HOST:PORT with a port from 0 to 65535"#,
        #"environment, SLUICE_LOG_LEVEL: log.level: "loud": must be one of "#
          + "trace, debug, info, notice, warning, error, critical",
      ])
  }

  @Test("a file that is not there is a problem of its own")
  func missing() {
    #expect(throws: ConfigurationError.self) {
      try ConfigurationReader.read(fileAt: "/no/such/file.yaml", overrides: .init())
    }
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
