public import ShardCore
public import StreamModel

/// Which failures of a mapping's deliveries, and what they lead to. Of several rules the first one that fits holds; a
/// failure that none fits leads to what the other settings say.
///
/// ```swift
/// orders.retry.rules = [
///   RetryRule("bad input", errorTypes: ["ValidationError"], then: .giveUp),
///   RetryRule("busy", kinds: [.throttled], then: .retry(usesAttempt: false, .system)),
/// ]
/// ```
public struct RetryRule: Hashable, Sendable {
  /// How `explain`, the failures and the log call it.
  public var name: String
  /// The failure is of one of these kinds. Empty: of any.
  public var kinds: Set<FailureKind>
  /// The error's type is one of these, in which each `*` stands for any characters or none. Empty: any.
  public var errorTypes: [String]
  /// The error's message is one of these, likewise. Empty: any.
  public var messages: [String]
  public var action: RetryAction

  public init(
    _ name: String, kinds: Set<FailureKind> = [], errorTypes: [String] = [], messages: [String] = [],
    then action: RetryAction
  ) {
    self.name = name
    self.kinds = kinds
    self.errorTypes = errorTypes
    self.messages = messages
    self.action = action
  }

  /// Rules of one mapping at most.
  public static let limit = RetryRules.limit

  /// What is wrong with the rule, as field, value and rule.
  public var problems: [String] {
    guard case .retry(_, let backoff?) = action else { return [] }
    var problems: [String] = []
    if backoff.firstMilliseconds < 1 { problems.append("waits \(backoff.firstMilliseconds) ms: allowed is 1 or more") }
    if backoff.capMilliseconds < backoff.firstMilliseconds {
      problems.append("waits \(backoff.capMilliseconds) ms at most, which is less than the first wait")
    }
    if !(0...100).contains(backoff.jitterPercent) {
      problems.append("has a jitter of \(backoff.jitterPercent) %: allowed are 0 to 100")
    }
    if !(100...1_000).contains(backoff.growthPercent) {
      problems.append("has waits that grow to \(backoff.growthPercent) % of the last: allowed are 100 to 1,000")
    }
    return problems.map { "retry rule \(name) \($0)" }
  }
}

/// The retry rules of a mapping, ready to be tried on failures. Nothing of it is looked at while deliveries succeed.
public struct RetryRuleMatcher: Hashable, Sendable {
  public let rules: [RetryRule]
  private let texts: [Texts]

  private struct Texts: Hashable {
    var types: [TextPattern]
    var messages: [TextPattern]
  }

  /// `nil` if there are no rules. Of more than ``RetryRule/limit`` only so many count.
  public init?(_ rules: [RetryRule]) {
    guard !rules.isEmpty else { return nil }
    self.rules = Array(rules.prefix(RetryRule.limit))
    texts = self.rules.map { rule in
      Texts(types: rule.errorTypes.map(TextPattern.init), messages: rule.messages.map(TextPattern.init))
    }
  }

  /// The first rule that fits the failure.
  public func rule(for failure: HandlerFailure) -> RetryRuleID? {
    let (type, message) = (Array(failure.type.utf8), Array(failure.message.utf8))
    let place = rules.indices.first { place in
      let (kinds, texts) = (rules[place].kinds, texts[place])
      return (kinds.isEmpty || kinds.contains(failure.kind))
        && (texts.types.isEmpty || texts.types.contains { $0.matches(type) })
        && (texts.messages.isEmpty || texts.messages.contains { $0.matches(message) })
    }
    return place.map { RetryRuleID(UInt8($0)) }
  }

  /// What the core has to know of the rules. It finds some failures by itself; these are called as a handler's are.
  public var forCore: RetryRules {
    RetryRules(rules.map(\.action)) { kind in
      rule(for: HandlerFailure(kind: kind, type: kind.typeByItself, message: ""))
    }
  }
}

extension FailureKind {
  /// The error's type where nobody else has named one.
  var typeByItself: String {
    switch self {
    case .timedOut: "Sandbox.Timedout"
    case .payloadTooLarge: "PayloadTooLarge"
    case .reportedNoProgress: "BatchItemFailure"
    case .invalidResponse: "UnknownSequenceNumber"
    case .error, .exited, .throttled, .unavailable: ""
    }
  }
}

/// A text in which each `*` stands for any characters, or none.
struct TextPattern: Hashable, Sendable {
  /// What stands between the stars; may be empty.
  private let pieces: [[UInt8]]

  init(_ text: String) {
    pieces = text.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map { Array($0) }
  }

  /// The first and the last piece stand at the ends, the others follow one another, each as early as it can.
  func matches(_ text: [UInt8]) -> Bool {
    guard let first = pieces.first, let last = pieces.last, pieces.count > 1 else { return text == pieces.first }
    guard text.count >= first.count + last.count, text.starts(with: first), text.suffix(last.count) == last[...]
    else { return false }
    var rest = text[first.count..<text.count - last.count]
    for piece in pieces.dropFirst().dropLast() {
      while rest.count >= piece.count, !rest.starts(with: piece) { rest.removeFirst() }
      guard rest.count >= piece.count else { return false }
      rest.removeFirst(piece.count)
    }
    return true
  }
}
