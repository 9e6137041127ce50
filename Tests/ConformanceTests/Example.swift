import Foundation
import StreamModel
import Testing

/// One case of `docs/conformance.md`: what is set up, and what must happen then, line by line.
struct Example: Sendable, CustomTestStringConvertible {
  var title: String
  var line: Int
  var settings: [String] = []
  /// What its stream is to the handler.
  var kind = StreamKind.kinesis
  /// What is told besides the invocations and what leaves.
  var shown: Set<Shown> = []
  var steps: [Step] = []

  var testDescription: String { "\(title) (line \(line))" }

  enum Shown: String, Sendable, CaseIterable {
    /// Letters for request ids, behind each invocation.
    case ids
    /// The name of the function that is called, behind each invocation.
    case functions
    /// `LastProcessingResult`
    case result
    /// So many records are settled, and none before them is not.
    case checkpoint
    /// What the failure document says of each batch that leaves.
    case documents
    /// The failure document of each batch that leaves, as a queue and as a bucket get it.
    case layouts
    /// How long each batching window is waited for.
    case windows
    /// The metrics that are not 0, with their values.
    case metrics
  }

  /// What is done, or what must have happened until the next thing is done.
  enum Step: Hashable, Sendable {
    case act(Action)
    case expect(String)
  }

  enum Action: Hashable, Sendable {
    /// What the handler does from now on.
    case handler(Misbehaviour)
    /// Records, in order: `text` or `key/text`.
    case put([String])
    /// Both clocks move on.
    case pass(milliseconds: Int64)
    /// Nothing is waited for beyond this many invocations in all.
    case until(invocations: Int)
    /// The worker ends and another one begins.
    case restart
    /// Shard 0 closes and has two children.
    case split
    /// Shards 1 and 2 close and have one child.
    case merge
    /// The worker begins only now: records may be put before.
    case start
    /// The configuration file gets this setting, and the worker is told.
    case change(String)
  }
}

/// What the handler in the other process does to batches with one of these words in them.
struct Misbehaviour: Hashable, Sendable, Codable {
  var verb: Verb
  var words: [String] = []
  /// So often; then all is well.
  var times = Int.max
  /// What it prints as its answer.
  var answer = ""

  enum Verb: String, Codable, Sendable, CaseIterable {
    case succeed
    /// Answers with an error.
    case raise
    /// Names the words' records in `batchItemFailures`, in the order of the words.
    case report
    /// Prints a line of its own.
    case answer
    /// Its process ends.
    case exit
    /// Does not answer.
    case hang
    /// Is not called: there is no room for it.
    case throttle
    /// Is not called: it cannot be started.
    case unavailable
    /// Succeeds, in a tumbling window, with a state of more than 1 MB.
    case grow

    var isWithoutProcess: Bool { self == .throttle || self == .unavailable }
  }
}

struct UnreadableExample: Error, CustomStringConvertible {
  var description: String
}

extension Example {
  /// Every case of the document, in its order.
  static func all(in text: String) throws -> [Example] {
    var examples: [Example] = []
    var title = ""
    var current: Example?
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if var example = current {
        if line == "```" {
          examples.append(example)
          current = nil
        } else {
          do { try example.add(line) } catch {
            throw UnreadableExample(description: "line \(number + 1): \(error): \(line)")
          }
          current = example
        }
      } else if line.hasPrefix("### ") {
        title = String(line.dropFirst(4))
      } else if line == "```conformance" {
        current = Example(title: title, line: number + 1)
      }
    }
    return examples
  }

  private mutating func add(_ line: Substring) throws {
    guard let gap = line.firstIndex(of: " ") else {
      switch line {
      case "restart": steps.append(.act(.restart))
      case "split": steps.append(.act(.split))
      case "merge": steps.append(.act(.merge))
      case "table": kind = .dynamodb
      case "start": steps.append(.act(.start))
      case "nothing": steps.append(.expect("nothing"))
      default: throw UnreadableExample(description: "what is this")
      }
      return
    }
    let rest = line[gap...].drop { $0 == " " }
    switch line[..<gap] {
    case "mapping": settings.append(String(rest))
    case "change": steps.append(.act(.change(String(rest))))
    case "show":
      guard let shown = Shown(rawValue: String(rest)) else {
        throw UnreadableExample(description: "shown are \(Shown.allCases.map(\.rawValue))")
      }
      self.shown.insert(shown)
    case "handler": steps.append(.act(.handler(try Misbehaviour(rest))))
    case "put": steps.append(.act(.put(rest.split(separator: " ").map(String.init))))
    case "pass": steps.append(.act(.pass(milliseconds: try Self.milliseconds(rest))))
    case "until":
      guard let count = rest.split(separator: " ").first.flatMap({ Int($0) }) else {
        throw UnreadableExample(description: "until how many invocations")
      }
      steps.append(.act(.until(invocations: count)))
    default: steps.append(.expect(line.split(separator: " ").joined(separator: " ")))
    }
  }

  private static func milliseconds(_ text: Substring) throws -> Int64 {
    let parts = text.split(separator: " ")
    guard parts.count == 2, let number = Int64(parts[0]), let unit = ["ms": 1, "s": Int64(1_000)][parts[1]] else {
      throw UnreadableExample(description: "a time is a number and ms or s")
    }
    return number * unit
  }
}

extension Misbehaviour {
  /// `raise bad`, `raise bad 2 times`, `report d b`, `answer {"a":1}`.
  init(_ text: Substring) throws {
    let parts = text.split(separator: " ", maxSplits: 1)
    guard let verb = Verb(rawValue: String(parts[0])) else {
      throw UnreadableExample(description: "handlers do \(Verb.allCases.map(\.rawValue))")
    }
    self.verb = verb
    guard parts.count == 2 else { return }
    if verb == .answer {
      answer = String(parts[1])
      words = ["bad"]
      return
    }
    words = parts[1].split(separator: " ").map(String.init)
    if words.last == "times", words.count >= 3, let times = Int(words[words.count - 2]) {
      self.times = times
      words.removeLast(2)
    }
  }
}
