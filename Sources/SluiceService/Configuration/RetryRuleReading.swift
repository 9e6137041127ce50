import ShardCore
import StreamModel
import StreamRuntime
import Yams

/// Reads the `retryRules` of a mapping: a list of `{name, when: {class, errorType, message}, then, counts, backoff}`.
struct RetryRuleReading {
  let findings: ConfigurationFindings

  /// What failures are called in a configuration. The groups come last.
  static let classes: [(name: String, kinds: Set<FailureKind>)] =
    FailureKind.allCases.map { ($0.name, [$0]) } + [
      ("transient", [.timedOut, .exited, .throttled, .unavailable]),
      ("permanent", [.invalidResponse, .payloadTooLarge]),
      ("system", [.throttled, .unavailable]),
      ("any", Set(FailureKind.allCases)),
    ]

  func rules(_ key: String, of section: inout ConfigurationSection) -> [RetryRule] {
    let items = section.items(key)
    if items.count > RetryRule.limit {
      findings.report(
        items[RetryRule.limit].node, section.path(key), value: "\(items.count) rules",
        "must be \(RetryRule.limit) rules at most")
    }
    return items.prefix(RetryRule.limit).compactMap { item in
      rule(ConfigurationSection(item.node, path: item.path, findings: findings), standardName: item.path)
    }
  }

  private func rule(_ section: ConfigurationSection, standardName path: String) -> RetryRule? {
    var section = section
    // Of `mappings[0].retryRules[1]` the last part: the rest is where one is anyway.
    let standardName = path.split(separator: ".").last.map(String.init) ?? path
    let name = section.read(
      "name", default: standardName, rule: "must be a text of 1 to 128 characters", show: \.self
    ) { 1...128 ~= $0.count ? $0 : nil }
    var rule = RetryRule(name, then: .giveUp)
    let isAimed = readCondition(section.section("when"), of: section.node, into: &rule)
    let then = section.requiredText("then", rule: "must be retry or give-up") { ["retry", "give-up"].contains($0) }
    let counts = section.value("counts") == nil ? nil : section.boolean("counts", default: true)
    let backoff = readBackoff("backoff", of: &section)
    switch then {
    case "retry":
      rule.action = .retry(usesAttempt: counts, backoff)
    case "give-up":
      for key in ["counts", "backoff"] {
        guard let node = section.value(key) else { continue }
        findings.report(
          node, section.path(key), value: node.shortText, "says how to retry, and this rule gives up")
      }
    default:
      return nil
    }
    section.finish()
    return isAimed ? rule : nil
  }

  /// `false`, and a problem, if the rule does not say for which failures it is.
  private func readCondition(
    _ section: ConfigurationSection, of ruleNode: Node?, into rule: inout RetryRule
  ) -> Bool {
    var section = section
    rule.errorTypes = texts("errorType", of: &section).map(\.text)
    rule.messages = texts("message", of: &section).map(\.text)
    for (node, name) in texts("class", of: &section) {
      guard let known = Self.classes.first(where: { $0.name == name }) else {
        findings.report(
          node, section.path("class"), value: node.shortText,
          "must be one of \(Self.classes.map(\.name).joined(separator: ", "))")
        continue
      }
      rule.kinds.formUnion(known.kinds)
    }
    if section.value("class") == nil, rule.errorTypes.isEmpty, rule.messages.isEmpty {
      findings.report(
        section.node ?? ruleNode, section.path,
        section.node == nil
          ? "is missing: which failures the rule is for (class, errorType, message)"
          : "must name a class, an errorType or a message (class: any is every failure)")
      section.finish()
      return false
    }
    section.finish()
    return true
  }

  /// One text or a list of them.
  private func texts(_ key: String, of section: inout ConfigurationSection) -> [(node: Node, text: String)] {
    guard let node = section.value(key) else { return [] }
    let nodes = node.scalar == nil ? section.items(key).map(\.node) : [node]
    return nodes.compactMap { node in
      guard let text = node.scalar?.string, 1...1_024 ~= text.utf8.count else {
        findings.report(node, section.path(key), value: node.shortText, "must be a text of 1 to 1024 bytes")
        return nil
      }
      return (node, text)
    }
  }

  /// `5s`: always so long. `{initial, factor, maximum, jitter}`: longer each time. `nil` if it is not there.
  private func readBackoff(_ key: String, of section: inout ConfigurationSection) -> Backoff? {
    guard let node = section.value(key) else { return nil }
    let range = Duration.milliseconds(1) ... .seconds(86_400)
    if node.scalar != nil {
      let wait = section.duration(key, default: .seconds(1), in: range).wholeMilliseconds
      return Backoff(firstMilliseconds: wait, capMilliseconds: wait, jitterPercent: 0, growthPercent: 100)
    }
    var parts = section.section(key)
    let initial = parts.duration("initial", default: .seconds(1), in: range)
    let growth = parts.read(
      "factor", default: 200, rule: "must be a number from 1 to 10 with up to two decimals", show: Self.text(growth:)
    ) { Self.growth($0) }
    let maximum = parts.duration("maximum", default: max(.seconds(60), initial), in: range)
    let jitter = parts.read(
      "jitter", default: 20, rule: "must be a percentage from 0% to 100%", show: { "\($0)%" }
    ) { text in text.hasSuffix("%") ? Int(text.dropLast()).flatMap { 0...100 ~= $0 ? $0 : nil } : nil }
    if maximum < initial {
      findings.report(
        parts.value("maximum"), parts.path("maximum"), value: Quantity.text(maximum),
        "must not be less than initial, \(Quantity.text(initial))")
    }
    parts.finish()
    return Backoff(
      firstMilliseconds: initial.wholeMilliseconds, capMilliseconds: max(initial, maximum).wholeMilliseconds,
      jitterPercent: jitter, growthPercent: growth)
  }

  /// `2` and `1.5` as percent.
  private static func growth(_ text: String) -> Int? {
    guard let factor = Double(text), (1...10).contains(factor) else { return nil }
    let percent = (factor * 100).rounded()
    return abs(percent - factor * 100) < 0.000_1 ? Int(percent) : nil
  }

  private static func text(growth: Int) -> String {
    growth % 100 == 0 ? "\(growth / 100)" : "\(Double(growth) / 100)"
  }
}
