import Sluice
import StreamModel
package import StreamRuntime
import Yams

/// `idempotency: { key: record, expiry: 24h, itemFailures: every }`
struct IdempotencyReading {
  let findings: ConfigurationFindings

  private enum ItemFailures: String, CaseIterable {
    /// Only the records before the lowest are known to be done, as on AWS.
    case lowest
    /// All records are done that are not named.
    case every
  }

  /// Puts the settings into `mapping`, whose others are known.
  func read(_ section: inout ConfigurationSection, into mapping: inout MappingConfiguration) {
    guard let node = section.value("idempotency") else { return }
    var own = section.section("idempotency")
    var idempotency = Idempotency()
    idempotency.key = own.read(
      "key", default: Idempotency.Key.record, rule: "must be record, or a path as $.order.id to a value in the data",
      show: { "\($0)" }, parse: Self.key)
    if own.value("key") == nil {
      findings.report(own.node, own.path("key"), "is missing: what makes a record the same (record, or a path as $.id)")
    }
    let expiry = own.duration("expiry", default: .seconds(86_400), in: .seconds(1)...(.seconds(365 * 86_400)))
    idempotency.expiryMilliseconds = expiry.wholeMilliseconds
    idempotency.keyLimit = own.integer(
      "keyLimit", default: idempotency.keyLimit, in: Idempotency.keyLimits, unit: "keys")
    mapping.namesEveryFailure = own.choice("itemFailures", default: ItemFailures.lowest) == .every
    if mapping.namesEveryFailure, !mapping.reportsItemFailures {
      findings.report(
        own.value("itemFailures"), own.path("itemFailures"), value: "every",
        "needs FunctionResponseTypes: [ReportBatchItemFailures] beside it")
    }
    own.finish()
    if mapping.blocking != .shard {
      findings.report(node, section.path("idempotency"), "must not stand beside blocking: key")
    }
    if mapping.tumblingWindow > .zero {
      findings.report(
        node, section.path("idempotency"),
        "must not stand beside TumblingWindowInSeconds: a window's state is handed on with its records")
    }
    mapping.idempotency = idempotency
  }

  private static func key(_ text: String) -> Idempotency.Key? {
    if text == "record" { return .record }
    guard text.hasPrefix("$.") else { return nil }
    let path = text.dropFirst(2).split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    return path.contains("") || path.count > Idempotency.pathLimit ? nil : .field(path)
  }
}

extension Idempotency {
  /// The settings in words as ``text(namesEveryFailure:)`` writes them. `nil` if they are not.
  package static func reading(_ text: String) -> (settings: Idempotency, namesEveryFailure: Bool)? {
    guard let node = try? compose(yaml: "idempotency: \(text)") else { return nil }
    let findings = ConfigurationFindings(source: "the store")
    var section = ConfigurationSection(node, path: "", findings: findings)
    var mapping = MappingConfiguration(stream: "", function: "")
    mapping.reportsItemFailures = true
    IdempotencyReading(findings: findings).read(&section, into: &mapping)
    guard findings.problems.isEmpty, let settings = mapping.idempotency else { return nil }
    return (settings, mapping.namesEveryFailure)
  }

  /// All of it, as it is written in the file.
  func text(namesEveryFailure: Bool) -> String {
    let key =
      switch key {
      case .record: "record"
      case .field(let path): "$." + path.joined(separator: ".")
      }
    return "{key: \(key), expiry: \(Quantity.text(.milliseconds(expiryMilliseconds))), keyLimit: \(keyLimit), "
      + "itemFailures: \(namesEveryFailure ? "every" : "lowest")}"
  }
}
