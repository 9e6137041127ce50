import Sluice
import SluiceService
import StreamModel
import StreamRuntime
import Testing

@Suite("Configuration: asynchronous invocation")
struct AsyncInvocationConfigurationTests {
  private func read(_ yaml: String) throws(ConfigurationError) -> Configuration {
    try ConfigurationReader.read(yaml, source: "test.yaml").configuration
  }

  @Test("async: {} has AWS's defaults, and makes a stream and a mapping that hold up nothing but what fails")
  func defaults() throws {
    let configuration = try read("functions: [{ name: f, command: [a], concurrency: 25, async: {} }]")
    let stream = try #require(configuration.streams.first)
    #expect((stream.name, stream.shards) == ("async.f", 3))
    let mapping = try #require(configuration.mappings.first)
    #expect((mapping.name, mapping.stream, mapping.function) == ("async.f", "async.f", "f"))
    #expect((mapping.batchSize, mapping.parallelizationFactor, mapping.maximumRetryAttempts) == (1, 10, 2))
    #expect(mapping.maximumRecordAge == .seconds(21_600))
    #expect(mapping.blocking == .key(keys: 10_000, records: 1_000_000, deliveries: 16))
    #expect(mapping.retryRules.map(\.kinds) == [[.throttled, .unavailable]])
    #expect(mapping.asyncInvocation?.firstRetryWait == .seconds(60))
    #expect(try read("functions: [{ name: f, command: [a] }]").mappings.isEmpty)
  }

  @Test("its settings are taken")
  func settings() throws {
    let settings = """
      MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60, firstRetryWait: 50ms, onFailure: { attempts: 3 },
      DestinationConfig: { OnSuccess: { Destination: /done }, OnFailure: { Destination: 'http://b' } },
      DeadLetterConfig: { TargetArn: /dead }
      """
    let mapping = try #require(
      try read("functions: [{ name: f, protocol: http, url: 'http://a', async: { \(settings) } }]").mappings.first)
    #expect((mapping.maximumRetryAttempts, mapping.maximumRecordAge) == (0, .seconds(60)))
    #expect(mapping.asyncInvocation?.firstRetryWait == .milliseconds(50))
    #expect(mapping.asyncInvocation?.onSuccess == .directory("/done"))
    #expect((mapping.onFailure.destination, mapping.onFailure.attempts) == (.http("http://b"), 3))
    #expect(mapping.onFailure.deadLetter == .directory("/dead"))
  }

  @Test(
    "what does not fit is refused with its place",
    arguments: [
      ("async: { MaximumRetryAttempts: 3 }", "functions[0].async.MaximumRetryAttempts: \"3\": "),
      ("async: { MaximumEventAgeInSeconds: 59 }", "functions[0].async.MaximumEventAgeInSeconds: \"59\": "),
      ("async: { firstRetryWait: 2h }", "functions[0].async.firstRetryWait: \"2h\": "),
      (
        "async: { DeadLetterConfig: { TargetArn: 'arn:aws:sqs:us-east-1:1:dead' } }",
        "functions[0].async.DeadLetterConfig.TargetArn: \"arn:aws:sqs:us-east-1:1:dead\": is an ARN"
      ),
      ("async: { retries: 1 }", "functions[0].async.retries: unknown key"),
      ("async: yes", "functions[0].async: \"yes\": a mapping of keys to values"),
      ("protocol: lines, async: {}", "functions[0].async: a mapping: needs protocol: lambda or http"),
    ])
  func refused(settings: String, problem: String) {
    do throws(ConfigurationError) {
      _ = try read("functions: [{ name: f, command: [a], \(settings) }]")
      Issue.record("it was taken")
    } catch {
      #expect(error.problems.count == 1)
      #expect("\(error)".contains(problem), "\(error)")
    }
  }

  @Test("the names that it makes must be free")
  func taken() {
    do throws(ConfigurationError) {
      _ = try read(
        """
        streams: [{ name: async.f }]
        functions: [{ name: f, command: [a], async: {} }]
        """)
      Issue.record("it was taken")
    } catch {
      #expect("\(error)".contains("makes a stream and a mapping async.f, which is the name of something else"))
    }
  }
}
