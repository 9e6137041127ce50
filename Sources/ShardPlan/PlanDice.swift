import ShardCore

/// How the jitter of the waits falls.
enum PlanDice: RandomNumberGenerator {
  /// As short as jitter makes them.
  case shortest
  /// As long; the number is -1 in every spread there is.
  case longest(UInt64)

  mutating func next() -> UInt64 {
    switch self {
    case .shortest: 0
    case .longest(let number): number
    }
  }

  /// The dice for the longest waits of a policy. With more than a handful of different jitters, whose spreads have no
  /// common multiple in 64 bits, the last of them fall where they may.
  static func longest(_ policy: LanePolicy) -> PlanDice {
    var multiple: UInt64 = 1
    for backoff in policy.backoffs {
      let spread = UInt64(2 * backoff.jitterPercent + 1)
      let (product, overflow) = multiple.multipliedReportingOverflow(by: spread)
      if overflow { break }
      if multiple % spread != 0 { multiple = product }
    }
    return .longest(multiple - 1)
  }
}

extension LanePolicy {
  /// Every backoff that a failure may lead to.
  fileprivate var backoffs: [Backoff] {
    [retryBackoff, systemBackoff]
      + (retryRules?.actions ?? []).compactMap { if case .retry(_, let backoff) = $0 { backoff } else { nil } }
  }

  /// The same without jitter.
  var withoutJitter: LanePolicy {
    func calm(_ backoff: Backoff) -> Backoff {
      var backoff = backoff
      backoff.jitterPercent = 0
      return backoff
    }
    var policy = self
    policy.retryBackoff = calm(retryBackoff)
    policy.systemBackoff = calm(systemBackoff)
    policy.retryRules = retryRules?.mapActions { action in
      if case .retry(let usesAttempt, let backoff?) = action {
        .retry(usesAttempt: usesAttempt, calm(backoff))
      } else {
        action
      }
    }
    return policy
  }
}
