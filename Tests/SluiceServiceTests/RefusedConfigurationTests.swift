import Foundation
import SluiceService
import Testing

@Suite("Configurations that are refused")
struct RefusedConfigurationTests: ConfigurationSuite {
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
}
