import ShardCore
import StreamModel

/// Retry rules as they stand in a mapping's stored settings: their count, then of each its name, a bit for each kind, its
/// error types, its messages, and what it leads to.
extension ByteWriter {
  mutating func write(_ rules: [RetryRule]) {
    write(UInt8(rules.count))
    for rule in rules {
      write(rule.name)
      write(rule.kinds.reduce(UInt16(0)) { $0 | 1 << UInt16($1.rawValue) })
      for texts in [rule.errorTypes, rule.messages] {
        write(UInt32(texts.count))
        for text in texts { write(text) }
      }
      switch rule.action {
      case .giveUp: write(ActionByte.giveUp)
      case .retry(let usesAttempt, let backoff):
        var byte = ActionByte.retry
        if let usesAttempt { byte |= usesAttempt ? ActionByte.counts : ActionByte.countsNot }
        if backoff != nil { byte |= ActionByte.waits }
        write(byte)
        guard let backoff else { continue }
        write(backoff.firstMilliseconds)
        write(backoff.capMilliseconds)
        write(Int64(backoff.jitterPercent))
        write(Int64(backoff.growthPercent))
      }
    }
  }
}

extension ByteReader {
  mutating func readRetryRules() throws(LaneRecordError) -> [RetryRule] {
    let count: UInt8 = try read()
    guard count <= RetryRule.limit else { throw .malformed }
    var rules: [RetryRule] = []
    for _ in 0..<count {
      let name = try readString()
      let bits: UInt16 = try read()
      let kinds = FailureKind.allCases.filter { bits & 1 << UInt16($0.rawValue) != 0 }
      let types = try readTexts()
      let messages = try readTexts()
      let rule = RetryRule(name, kinds: Set(kinds), errorTypes: types, messages: messages, then: try readAction())
      guard rule.problems.isEmpty else { throw .malformed }
      rules.append(rule)
    }
    return rules
  }

  private mutating func readTexts() throws(LaneRecordError) -> [String] {
    let count: UInt32 = try read()
    var texts: [String] = []
    for _ in 0..<count { texts.append(try readString()) }
    return texts
  }

  private mutating func readAction() throws(LaneRecordError) -> RetryAction {
    let byte: UInt8 = try read()
    if byte == ActionByte.giveUp { return .giveUp }
    guard byte & ActionByte.retry != 0, byte & ~ActionByte.all == 0,
      byte & ActionByte.counts == 0 || byte & ActionByte.countsNot == 0
    else { throw .malformed }
    let usesAttempt: Bool? =
      byte & ActionByte.counts != 0 ? true : byte & ActionByte.countsNot != 0 ? false : nil
    guard byte & ActionByte.waits != 0 else { return .retry(usesAttempt: usesAttempt, nil) }
    let first: Int64 = try read()
    let cap: Int64 = try read()
    let jitter: Int64 = try read()
    let growth: Int64 = try read()
    return .retry(
      usesAttempt: usesAttempt,
      Backoff(
        firstMilliseconds: first, capMilliseconds: cap, jitterPercent: Int(clamping: jitter),
        growthPercent: Int(clamping: growth)))
  }
}

private enum ActionByte {
  static let giveUp: UInt8 = 0
  static let retry: UInt8 = 1
  static let counts: UInt8 = 2
  static let countsNot: UInt8 = 4
  static let waits: UInt8 = 8
  static let all = retry | counts | countsNot | waits
}
