import ShardCore
import Sluice
import SluiceService
import StreamRuntime
import Testing

@Suite("Configuration: destinations")
struct DestinationConfigurationTests {
  private func read(_ lines: String) throws(ConfigurationError) -> OnFailure? {
    let yaml = """
      streams: [{ name: s }]
      functions: [{ name: f, command: ["true"] }]
      mappings:
        - stream: s
          function: f
          \(lines)
      """
    return try ConfigurationReader.read(yaml, source: "test.yaml", directory: "/etc/sluice").configuration.mappings
      .first?.onFailure
  }

  @Test(
    "a destination is a directory, a URL, or the store",
    arguments: [
      ("{}", .store), ("{ OnFailure: {} }", .store), ("{ OnFailure: { Destination: '' } }", .store),
      ("{ OnFailure: { Destination: store } }", .store),
      ("{ OnFailure: { Destination: /var/failures } }", .directory("/var/failures")),
      ("{ OnFailure: { Destination: 'file:///var/failures/' } }", .directory("/var/failures")),
      ("{ OnFailure: { Destination: ./failures } }", .directory("/etc/sluice/./failures")),
      (
        "{ OnFailure: { Destination: 'https://example.org:8443/dead?x=1' } }",
        .http("https://example.org:8443/dead?x=1")
      ),
      ("{ OnFailure: { Destination: 'http://[::1]:8080' } }", .http("http://[::1]:8080")),
    ] as [(String, OnFailure.Destination)])
  func destinations(text: String, expected: OnFailure.Destination) throws {
    #expect(try read("DestinationConfig: \(text)")?.destination == expected)
  }

  @Test("our settings beside it")
  func settings() throws {
    let settings = try read(
      """
      DestinationConfig: { OnFailure: { Destination: /var/failures } }
          onFailure: { payload: false, attempts: 3, firstWait: 20ms, longestWait: 1s, timeout: 5s, keepDelivered: false, keepFor: 90d }
      """)
    var expected = OnFailure.directory("/var/failures")
    expected.includesPayload = false
    expected.attempts = 3
    expected.backoff.firstMilliseconds = 20
    expected.backoff.capMilliseconds = 1_000
    expected.timeout = .seconds(5)
    expected.keepsDelivered = false
    expected.keepFor = .milliseconds(90 * 86_400_000)
    #expect(settings == expected)
  }

  @Test(
    "what is wrong is refused with its place, and with what to write instead",
    arguments: [
      (
        "DestinationConfig: { OnFailure: { Destination: 'arn:aws:sqs:us-east-1:000000000000:dead' } }",
        #"DestinationConfig.OnFailure.Destination: "arn:aws:sqs:us-east-1:000000000000:dead": is an ARN, "#
          + "and no service of AWS is reached from here: it must be a directory (/path, ./path or file:///path), "
          + "a URL (http://… or https://…), or store; without it failures stay in the store"
      ),
      (
        "DestinationConfig: { OnFailure: { Destination: failures } }",
        #"DestinationConfig.OnFailure.Destination: "failures": must be a directory (/path, ./path or file:///path), "#
          + "a URL (http://… or https://…), or store"
      ),
      (
        "DestinationConfig: { OnFailure: { Destination: 'file://failures' } }",
        #"DestinationConfig.OnFailure.Destination: "file://failures": "#
          + "must be file:/// and the path of a directory from the root on"
      ),
      (
        "DestinationConfig: { OnFailure: { Destination: 'http://' } }",
        #"DestinationConfig.OnFailure.Destination: "http://": is a URL without a host"#
      ),
      (
        "DestinationConfig: { OnFailure: { Destination: 'http://ada:secret@localhost/' } }",
        #"DestinationConfig.OnFailure.Destination: "http://ada:secret@localhost/": "#
          + "must not hold a user or a password: it is shown in logs and by sluice status"
      ),
      (
        "DestinationConfig: { OnSuccess: { Destination: /tmp/x } }",
        "DestinationConfig: a mapping: OnSuccess configuration is not supported for event source mappings. "
          + "(InvalidParameterValueException)"
      ),
      (
        "DestinationConfig: { OnFailure: { Destinaton: /tmp/x } }",
        "DestinationConfig.OnFailure.Destinaton: unknown key; did you mean Destination?"
      ),
      (
        "onFailure: { attempts: 0 }",
        #"onFailure.attempts: "0": must be a whole number of attempts from 1 to 1000"#
      ),
      (
        "onFailure: { keepFor: 59s }",
        #"onFailure.keepFor: "59s": must be forever, or a duration with a unit (ms, s, m, h, d) from 1m to 3650d"#
      ),
      (
        "onFailure: { firstWait: 10s, longestWait: 1s }",
        #"onFailure.longestWait: "1s": must not be shorter than firstWait"#
      ),
    ])
  func refused(lines: String, message: String) {
    let error = #expect(throws: ConfigurationError.self) { try read(lines) }
    #expect(error?.problems.count == 1)
    #expect(
      error?.problems.first?.description.hasSuffix(": mappings[0].\(message)") == true, "\(String(describing: error))")
    #expect(error?.problems.first?.line == 6 || error?.problems.first?.line == 5)
  }
}
