import Foundation
import ShardCore
import StreamModel
import StreamStore
import Testing

@testable import StreamRuntime

@Suite("Retry rules", .timeLimit(.minutes(10)))
struct RetryRuleTests {
  private static func matcher(_ rules: RetryRule...) throws -> RetryRuleMatcher {
    try #require(RetryRuleMatcher(rules))
  }

  private static let failure = HandlerFailure(
    kind: .error, type: "ValidationError", message: "the field carrier was not found")

  @Test(
    "a star stands for any characters, and all else for itself",
    arguments: [
      ("ValidationError", "ValidationError", true), ("ValidationError", "ValidationErrors", false),
      ("Validation*", "ValidationError", true), ("Validation*", "Validation", true),
      ("*Error", "ValidationError", true),
      ("*not found*", "the field carrier was not found", true), ("*not found*", "found not", false),
      ("a*b*c", "a-b-b-c", true), ("a*b*c", "a-c", false), ("ab*ba", "aba", false), ("*", "", true), ("", "", true),
      ("", "a", false), ("**", "anything", true), ("é*", "école", true), ("A", "a", false),
    ])
  func patterns(pattern: String, text: String, matches: Bool) {
    #expect(TextPattern(pattern).matches(Array(text.utf8)) == matches)
  }

  @Test("a rule holds when its kind, its type and its message fit")
  func conditions() throws {
    let fits = [
      RetryRule("any", then: .giveUp), RetryRule("kind", kinds: [.timedOut, .error], then: .giveUp),
      RetryRule("type", errorTypes: ["KeyError", "Validation*"], then: .giveUp),
      RetryRule("message", messages: ["*not found"], then: .giveUp),
      RetryRule("all", kinds: [.error], errorTypes: ["*Error"], messages: ["the*"], then: .giveUp),
    ]
    for rule in fits { #expect(try Self.matcher(rule).rule(for: Self.failure) == RetryRuleID(0), "\(rule.name)") }
    let fails = [
      RetryRule("kind", kinds: [.timedOut], then: .giveUp), RetryRule("type", errorTypes: ["KeyError"], then: .giveUp),
      RetryRule("message", errorTypes: ["ValidationError"], messages: ["found"], then: .giveUp),
    ]
    for rule in fails { #expect(try Self.matcher(rule).rule(for: Self.failure) == nil, "\(rule.name)") }
  }

  @Test("the first rule that fits holds")
  func precedence() throws {
    let matcher = try Self.matcher(
      RetryRule("one", errorTypes: ["KeyError"], then: .giveUp), RetryRule("two", kinds: [.error], then: .giveUp),
      RetryRule("three", then: .retry(usesAttempt: nil, nil)))
    #expect(matcher.rule(for: Self.failure) == RetryRuleID(1))
    #expect(matcher.forCore.rule(ofKind: .payloadTooLarge) == RetryRuleID(2))
  }

  @Test("no rules, no matcher: the plain path asks nothing")
  func none() {
    #expect(RetryRuleMatcher([]) == nil)
  }

  private struct Invalid: Error, CustomStringConvertible {
    var description: String { "carrier is missing" }
  }

  @Test("a rule that gives up: one delivery, a failure entry with its name, and the next record")
  func givesUp() async throws {
    let stage = try Stage()
    try await stage.put(["bad"])
    let rule = RetryRule("bad input", errorTypes: ["Invalid"], messages: ["*missing*"], then: .giveUp)
    let poller = try await stage.poller(.patient, rules: [rule]) { delivered, _ in
      if delivered.data == ["bad"] { throw Invalid() }
      return .succeeded
    }
    #expect(await stage.next()?.data == ["bad"])
    try await stage.put(["good"])
    #expect(await stage.next()?.data == ["good"])
    await poller.end()
    let entry = try #require(try stage.store.failures(limit: 10).first)
    #expect(entry.condition == .givenUp)
    #expect(entry.attempts == 1)
    #expect(entry.history.map(\.rule) == ["bad input"])
    #expect(entry.history.map(\.type) == ["Invalid"])
  }

  @Test("a rule that does not count: no attempt is used, over a restart too, and the history says why")
  func uncounted() async throws {
    let stage = try Stage()
    try await stage.put(["busy"])
    let hour = Backoff(firstMilliseconds: 3_600_000, capMilliseconds: 3_600_000, jitterPercent: 0)
    let rule = RetryRule("downstream", errorTypes: ["Refused"], then: .retry(usesAttempt: false, hour))
    let policy = LanePolicy.quick.with { $0.maximumRetryAttempts = 0 }
    for life in 1...3 {
      let poller = try await stage.poller(policy, rules: [rule]) { _, _ in throw Refused() }
      if life > 1 { stage.clock.advance(milliseconds: 3_600_000) }
      #expect(await stage.next()?.attempt == 1)
      await poller.end()
      let stored = try #require(try stage.stored())
      #expect(stored.progress.failing?.attempts == 0)
      #expect(stored.progress.failing?.systemFailures == life)
      #expect(stored.history.attempts.map(\.rule) == Array(repeating: "downstream", count: life))
    }
    #expect(try stage.store.failures(limit: 10).isEmpty)
    let poller = try await stage.poller(policy) { _, _ in .succeeded }
    stage.clock.advance(milliseconds: 3_600_000)
    #expect(await stage.next()?.data == ["busy"])
    await poller.end()
    #expect(try stage.stored()?.progress.failing == nil)
  }
}
