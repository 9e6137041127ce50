import Foundation
import Sluice
import SluiceService
import Testing

/// `docs/conformance.md` is what is tested: each of its cases runs on the real store and poller with a handler in another
/// process.
@Suite("docs/conformance.md", .timeLimit(.minutes(10)))
struct ConformanceTests {
  static let document = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../docs/conformance.md").standardized

  static let examples: [Example] = {
    do {
      return try Example.all(in: String(contentsOf: document, encoding: .utf8))
    } catch {
      Issue.record("\(error)")
      return []
    }
  }()

  @Test("cases", arguments: examples)
  func example(_ example: Example) async throws {
    let trial: Trial
    do {
      trial = try Trial(example.settings, example.kind, shows: example.shown)
    } catch let error as ConfigurationError {
      let lines = error.problems.map { "refused \($0.aws.map { "\($0.type): \($0.message)" } ?? $0.rule)" }
      #expect(example.steps == lines.map { .expect($0) }, "line \(example.line), \(example.title)")
      return
    }
    do {
      try await run(example, on: trial)
    } catch {
      Issue.record("\(error)")
    }
    try await trial.end()
  }

  @Test("the document holds the cases it is known for")
  func document() {
    #expect(Self.examples.count >= 155)
    #expect(Self.examples.allSatisfy { $0.steps.contains { if case .expect = $0 { true } else { false } } })
  }

  private func run(_ example: Example, on trial: Trial) async throws {
    var expected: [String] = []
    for step in example.steps {
      switch step {
      case .expect(let line): expected.append(line)
      case .act(let action):
        if !expected.isEmpty { try await check(&expected, example, trial) }
        try await trial.act(action)
      }
    }
    try await check(&expected, example, trial)
  }

  private func check(_ expected: inout [String], _ example: Example, _ trial: Trial) async throws {
    let happened = try await trial.happenings()
    #expect(happened == expected, "line \(example.line), \(example.title)")
    expected = []
  }
}
