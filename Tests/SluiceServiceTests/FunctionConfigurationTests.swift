import Foundation
import LambdaRuntime
import SluiceService
import Testing

@Suite("Configuration: functions")
struct FunctionConfigurationTests {
  private func read(_ settings: String) throws(ConfigurationError) -> FunctionConfiguration? {
    try ConfigurationReader.read("functions: [{ name: f, \(settings) }]", source: "test.yaml").configuration.functions
      .first
  }

  @Test("an adaptive timeout has bounds, and its ceiling is what a call may take at most")
  func adaptive() throws {
    let standard = try #require(try read("command: [a], timeout: adaptive"))
    #expect((standard.timeoutFloor, standard.timeout) == (.seconds(1), .seconds(60)))
    let own = try #require(
      try read("command: [a], timeout: adaptive, timeoutFloor: 200ms, timeoutCeiling: 5m"))
    #expect((own.timeoutFloor, own.timeout) == (.milliseconds(200), .seconds(300)))
    #expect(try read("command: [a], timeout: 5s")?.timeoutFloor == nil)
  }

  @Test("a service has a URL, and what signs its requests comes from a file")
  func service() throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "sluice-\(UUID())")
    try Data("a secret of ours\n".utf8).write(to: file)
    defer {
      do {
        try FileManager.default.removeItem(at: file)
      } catch {
        Issue.record(error)
      }
    }
    let service = try #require(
      try read("protocol: http, url: 'https://example.org/e', secretFile: \(file.path), concurrency: 7"))
    #expect((service.url, service.timeout, service.concurrency) == ("https://example.org/e", .seconds(30), 7))
    #expect(service.signature == WebhookSignature(secret: "a secret of ours"))
    #expect(try read("protocol: http, url: 'http://localhost:8080'")?.signature == nil)
  }

  @Test(
    "what does not fit is refused with its place",
    arguments: [
      ("command: [a], timeoutFloor: 1s", "functions[0].timeoutFloor: \"1s\": needs timeout: adaptive"),
      (
        "command: [a], timeout: adaptive, timeoutFloor: 2m, timeoutCeiling: 1m",
        "functions[0].timeoutCeiling: \"1m\": must not be shorter than timeoutFloor"
      ),
      (
        "command: [a], protocol: lines, timeout: adaptive", "functions[0].timeout: \"adaptive\": needs protocol: lambda"
      ),
      ("command: [a], redact: [data]", "needs logEvent: true"),
      ("command: [a], url: 'http://a'", "functions[0].url: \"http://a\": needs protocol: http"),
      ("command: [a], code: /no/such.zip", "functions[0].code: \"/no/such.zip\": there is no such file"),
      ("command: [a], code: /no/such.zip, directory: /", "and directory are two places for the same code"),
      ("protocol: http", "functions[0].url"),
      ("protocol: http, url: 'ftp://a'", "functions[0].url: \"ftp://a\": must be a URL (http://… or https://…)"),
      ("protocol: http, url: 'http://u:p@a'", "must not hold a user or a password"),
      ("protocol: http, url: 'http://a', command: [a]", "is for a program; with protocol: http there is none"),
      (
        "protocol: http, url: 'http://a', secretFile: /no/such", "functions[0].secretFile: \"/no/such\": cannot be read"
      ),
    ])
  func refused(settings: String, problem: String) throws {
    do {
      _ = try read(settings)
      Issue.record("it was taken")
    } catch {
      #expect("\(error)".contains(problem), "\(error)")
    }
  }
}
