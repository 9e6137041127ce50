public import StreamModel

/// A retry rule of a mapping: its place in `RetryRules.actions`.
public struct RetryRuleID: Hashable, Sendable {
  public var rawValue: UInt8

  public init(_ rawValue: UInt8) {
    self.rawValue = rawValue
  }
}

/// What failures that fall under one rule lead to. Which failures these are is decided where their words are known.
public enum RetryAction: Hashable, Sendable {
  /// Deliver the batch again. What is `nil` stays as it is without a rule: whether the delivery uses up an attempt, and
  /// the wait.
  case retry(usesAttempt: Bool?, Backoff?)
  /// It will never succeed: it leaves at once as a failure entry. A batch of several records is first bisected, if the
  /// mapping bisects; where the handler named the record that failed, that record leaves alone.
  case giveUp
}

/// The retry rules of a mapping. A mapping without rules has none of these.
public struct RetryRules: Hashable, Sendable {
  /// In order of precedence, 1 ... `limit` of them.
  public let actions: [RetryAction]
  /// By `FailureKind.rawValue`: the rule for failures that the core finds itself, such as a record that is too large.
  private let ofKind: [RetryRuleID?]

  public static let limit = 32

  /// `ofKind` says which rule holds for a failure of which nothing but its kind is known.
  public init(_ actions: [RetryAction], ofKind: (FailureKind) -> RetryRuleID?) {
    precondition((1...Self.limit).contains(actions.count), "a mapping has from one to \(Self.limit) retry rules")
    self.actions = actions
    self.ofKind = FailureKind.allCases.map(ofKind)
  }

  private init(_ actions: [RetryAction], ofKind: [RetryRuleID?]) {
    self.actions = actions
    self.ofKind = ofKind
  }

  /// The same failures with other consequences.
  public func mapActions(_ change: (RetryAction) -> RetryAction) -> RetryRules {
    RetryRules(actions.map(change), ofKind: ofKind)
  }

  /// `nil` for a rule that is not there.
  public subscript(id: RetryRuleID?) -> RetryAction? {
    guard let id, actions.indices.contains(Int(id.rawValue)) else { return nil }
    return actions[Int(id.rawValue)]
  }

  /// The rule for a failure of which nothing but its kind is known.
  public func rule(ofKind kind: FailureKind) -> RetryRuleID? {
    ofKind[Int(kind.rawValue)]
  }

  /// The longest cap of a wait.
  var longestCapMilliseconds: Int64 {
    actions.reduce(0) { longest, action in
      if case .retry(_, let backoff?) = action { max(longest, backoff.capMilliseconds) } else { longest }
    }
  }
}

/// What a failed delivery leads to, by its kind and the rule that it falls under.
public struct RetryDecision: Hashable, Sendable {
  /// Nothing will help.
  public let givesUp: Bool
  /// The delivery counts against `MaximumRetryAttempts`.
  public let usesAttempt: Bool
  /// Something in the batch made the handler fail, so that its halves may do better.
  public let splits: Bool
  /// What the wait for the next delivery is drawn from.
  public let backoff: Backoff

  public init(_ kind: FailureKind, _ id: RetryRuleID?, _ policy: LanePolicy) {
    guard let action = policy.retryRules?[id] else {
      self.init(kind, usesAttempt: kind.usesAttempt, backoff: nil, policy)
      return
    }
    switch action {
    case .retry(let usesAttempt, let backoff):
      self.init(kind, usesAttempt: usesAttempt ?? kind.usesAttempt, backoff: backoff, policy)
    case .giveUp:
      self.init(kind, givesUp: true, usesAttempt: true, backoff: nil, policy)
    }
  }

  private init(
    _ kind: FailureKind, givesUp: Bool = false, usesAttempt: Bool, backoff: Backoff?, _ policy: LanePolicy
  ) {
    self.givesUp = givesUp
    self.usesAttempt = usesAttempt
    // Where the handler was not called, or its trouble is not the batch's, halves fare no better.
    splits = kind.usesAttempt && usesAttempt
    self.backoff = backoff ?? (usesAttempt ? policy.retryBackoff : policy.systemBackoff)
  }
}

extension LanePolicy {
  /// The longest wait after which a batch that failed is delivered again.
  var longestBackoffMilliseconds: Int64 {
    max(retryBackoff.capMilliseconds, systemBackoff.capMilliseconds, retryRules?.longestCapMilliseconds ?? 0)
  }
}
