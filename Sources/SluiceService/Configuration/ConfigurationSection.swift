import Foundation
import Sluice
import Yams

/// What reading a file has found so far. One per file; the sections share it.
final class ConfigurationFindings {
  let source: String
  var problems: [ConfigurationProblem] = []
  var settings: [Setting] = []

  init(source: String) { self.source = source }

  func report(_ node: Node?, _ path: String, value: String? = nil, _ rule: String, aws: AWSAnswer? = nil) {
    problems.append(
      ConfigurationProblem(
        source: source, line: node?.mark?.line, column: node?.mark?.column, path: path, value: value, rule: rule,
        aws: aws))
  }
}

/// One mapping of the file while it is being read. Every key that is asked for is known; ``finish()`` reports the rest.
///
/// A value that breaks its rule is reported and replaced by its default, so that reading goes on to the next problem.
struct ConfigurationSection {
  let path: String
  let findings: ConfigurationFindings
  let node: Node?
  private let entries: [(key: String, keyNode: Node, value: Node)]
  private var known: Set<String> = []

  /// The mapping at `node`; `nil` stands for one that is not there.
  init(_ node: Node?, path: String, findings: ConfigurationFindings) {
    self.path = path
    self.findings = findings
    self.node = node
    if let mapping = node?.mapping {
      entries = mapping.map { ($0.key.scalar?.string ?? "", $0.key, $0.value) }
    } else {
      entries = []
      if let node, !node.isEmptyValue {
        findings.report(node, path, value: node.shortText, "a mapping of keys to values")
      }
    }
  }

  func path(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// The value of a key, which is known from now on; `nil` when it is missing or empty.
  mutating func value(_ key: String) -> Node? {
    known.insert(key)
    guard let value = entries.first(where: { $0.key == key })?.value, !value.isEmptyValue else { return nil }
    return value
  }

  /// Reads a scalar with `parse`, which gives `nil` for what breaks the rule.
  mutating func read<Value>(
    _ key: String, default standard: Value, rule: String, show: (Value) -> String, parse: (String) -> Value?
  ) -> Value {
    guard let node = value(key) else {
      findings.settings.append(Setting(path: path(key), value: show(standard), origin: .standard))
      return standard
    }
    guard let text = node.scalar?.string, let value = parse(text) else {
      findings.report(node, path(key), value: node.shortText, rule)
      return standard
    }
    findings.settings.append(
      Setting(path: path(key), value: show(value), origin: .file(line: node.mark?.line ?? 0)))
    return value
  }

  mutating func integer(_ key: String, default standard: Int, in range: ClosedRange<Int>, unit: String) -> Int {
    read(
      key, default: standard,
      rule: "must be a whole number of \(unit) from \(range.lowerBound) to \(range.upperBound)", show: { "\($0)" }
    ) { Int($0).flatMap { range.contains($0) ? $0 : nil } }
  }

  mutating func boolean(_ key: String, default standard: Bool) -> Bool {
    read(key, default: standard, rule: "must be true or false", show: { "\($0)" }) { Bool($0.lowercased()) }
  }

  mutating func duration(_ key: String, default standard: Duration, in range: ClosedRange<Duration>) -> Duration {
    let bounds = "\(Quantity.text(range.lowerBound)) to \(Quantity.text(range.upperBound))"
    return read(
      key, default: standard, rule: "must be a duration with a unit (ms, s, m, h, d) from \(bounds)",
      show: Quantity.text
    ) { Quantity.duration($0).flatMap { range.contains($0) ? $0 : nil } }
  }

  mutating func size(_ key: String, default standard: Int64, in range: ClosedRange<Int64>) -> Int64 {
    let bounds = "\(Quantity.text(bytes: range.lowerBound)) to \(Quantity.text(bytes: range.upperBound))"
    return read(
      key, default: standard, rule: "must be a size with a unit (B, KiB, MiB, GiB, kB, MB, GB) from \(bounds)",
      show: { Quantity.text(bytes: $0) }
    ) { Quantity.size($0).flatMap { range.contains($0) ? $0 : nil } }
  }

  mutating func choice<Value: RawRepresentable & CaseIterable>(
    _ key: String, default standard: Value
  ) -> Value where Value.RawValue == String {
    let names = Value.allCases.map(\.rawValue).joined(separator: ", ")
    return read(key, default: standard, rule: "must be one of \(names)", show: \.rawValue) { Value(rawValue: $0) }
  }

  /// A text that must be there; `nil`, and a problem, if it is not. No valid text is empty.
  mutating func requiredText(_ key: String, rule: String, isValid: (String) -> Bool = { !$0.isEmpty }) -> String? {
    guard value(key) != nil else {
      findings.report(node, path(key), "is missing: \(rule)")
      return nil
    }
    let text = read(key, default: "", rule: rule, show: \.self) { isValid($0) ? $0 : nil }
    return text.isEmpty ? nil : text
  }

  /// The items of a list, each with its path. Nothing if the key is missing.
  mutating func items(_ key: String) -> [(node: Node, path: String)] {
    guard let node = value(key) else { return [] }
    guard let sequence = node.sequence else {
      findings.report(node, path(key), value: node.shortText, "must be a list")
      return []
    }
    return sequence.enumerated().map { ($1, "\(path(key))[\($0)]") }
  }

  /// A list of texts.
  mutating func texts(_ key: String) -> [String]? {
    guard value(key) != nil else { return nil }
    return items(key).compactMap { item in
      guard let text = item.node.scalar?.string else {
        findings.report(item.node, item.path, value: item.node.shortText, "must be a text")
        return nil
      }
      return text
    }
  }

  /// A mapping inside this one; one without keys if it is missing.
  mutating func section(_ key: String) -> ConfigurationSection {
    ConfigurationSection(value(key), path: path(key), findings: findings)
  }

  /// Reports the keys that nobody asked for.
  func finish() {
    for entry in entries where !known.contains(entry.key) {
      let nearest = known.map { ($0, distance(entry.key.lowercased(), $0.lowercased())) }.min {
        ($0.1, $0.0) < ($1.1, $1.0)
      }
      var rule = "unknown key"
      if let nearest, nearest.1 <= max(2, entry.key.count / 3) {
        rule += "; did you mean \(nearest.0)?"
      } else {
        rule += "; known are \(known.sorted().joined(separator: ", "))"
      }
      findings.report(entry.keyNode, path(entry.key), rule)
    }
  }
}

/// The edits, each of one character, that lead from one text to the other.
func distance(_ left: String, _ right: String) -> Int {
  let right = Array(right)
  var row = Array(0...right.count)
  for (line, character) in left.enumerated() {
    var diagonal = row[0]
    row[0] = line + 1
    for column in right.indices {
      let above = row[column + 1]
      row[column + 1] = min(diagonal + (character == right[column] ? 0 : 1), above + 1, row[column] + 1)
      diagonal = above
    }
  }
  return row[right.count]
}

extension Node {
  /// `key:` with nothing behind it, or `~` or `null`.
  var isEmptyValue: Bool {
    guard let scalar, scalar.style == .plain || scalar.style == .any else { return false }
    return ["", "~", "null"].contains(scalar.string)
  }

  /// The value for a message.
  var shortText: String {
    if let scalar { return scalar.string.count > 60 ? scalar.string.prefix(60) + "…" : "\"\(scalar.string)\"" }
    return sequence != nil ? "a list" : "a mapping"
  }
}
