import ShardCore
import Sluice
import StreamRuntime
import Yams

/// Reads `DestinationConfig`, which is AWS's, and `onFailure`, which is ours, of a mapping.
struct DestinationReader {
  let findings: ConfigurationFindings
  /// Makes a path that is relative to the file absolute, or relative to this process.
  let resolve: (String) -> String

  func read(_ mapping: inout ConfigurationSection, _ combination: inout ParameterCombination) -> OnFailure {
    let section = mapping.section(MappingParameter.destination.rawValue)
    var settings = OnFailure(readDestination(section, &combination))
    readSettings(mapping.section("onFailure"), into: &settings)
    return settings
  }

  /// `DestinationConfig` of asynchronous invocations, which has `OnSuccess` too, and `DeadLetterConfig`.
  func read(_ async: inout ConfigurationSection, into invocation: inout AsyncInvocation) {
    var section = async.section(MappingParameter.destination.rawValue)
    invocation.onSuccess = readDestination("OnSuccess", of: &section)
    invocation.onFailure = OnFailure(readDestination("OnFailure", of: &section))
    section.finish()
    invocation.onFailure.deadLetter = readDestination("DeadLetterConfig", key: "TargetArn", of: &async)
    readSettings(async.section("onFailure"), into: &invocation.onFailure)
  }

  /// `{OnFailure: {Destination: …}}`; `{OnFailure: {}}` is what AWS shows for none.
  private func readDestination(
    _ section: ConfigurationSection, _ combination: inout ParameterCombination
  ) -> OnFailure.Destination {
    var section = section
    combination.hasOnSuccess = section.value("OnSuccess").map { !($0.mapping?.isEmpty ?? false) } ?? false
    let destination = readDestination("OnFailure", of: &section)
    section.finish()
    return destination
  }

  private func readDestination(
    _ name: String, key: String = "Destination", of section: inout ConfigurationSection
  ) -> OnFailure.Destination {
    var onFailure = section.section(name)
    var destination = OnFailure.Destination.store
    if let node = onFailure.value(key), let text = node.scalar?.string {
      do {
        destination = try parse(text)
      } catch {
        findings.report(node, onFailure.path(key), value: node.shortText, error.rule)
      }
    } else if let node = onFailure.value(key) {
      findings.report(node, onFailure.path(key), value: node.shortText, Self.rule)
    }
    findings.settings.append(
      Setting(
        path: onFailure.path(key), value: "\(destination)",
        origin: onFailure.value(key).map { .file(line: $0.mark?.line ?? 0) } ?? .standard))
    onFailure.finish()
    return destination
  }

  private struct Refusal: Error {
    var rule: String
  }

  private static let rule =
    "must be a directory (/path, ./path or file:///path), a URL (http://… or https://…), or store"

  private func parse(_ text: String) throws(Refusal) -> OnFailure.Destination {
    if text.isEmpty || text == "store" { return .store }
    guard text.count <= 350 else { throw Refusal(rule: "must have at most 350 characters, as on AWS") }
    if text.hasPrefix("arn:") {
      throw Refusal(
        rule: "is an ARN, and no service of AWS is reached from here: "
          + "it \(Self.rule); without it failures stay in the store")
    }
    if HTTPAddress.isMeant(by: text) {
      if let rule = HTTPAddress.problem(text) { throw Refusal(rule: rule) }
      return .http(text)
    }
    if text.hasPrefix("file:") {
      guard text.hasPrefix("file:///"), text.utf8.count > "file:///".utf8.count else {
        throw Refusal(rule: "must be file:/// and the path of a directory from the root on")
      }
      guard !text.contains("%") else {
        throw Refusal(rule: "must be a plain path: % is not unescaped; give it without file://")
      }
      return .directory(String(text.dropFirst("file://".count)).withoutTrailingSlashes)
    }
    guard ["/", "./", "../"].contains(where: text.hasPrefix) else { throw Refusal(rule: Self.rule) }
    return .directory(resolve(text).withoutTrailingSlashes)
  }

  private func readSettings(_ section: ConfigurationSection, into settings: inout OnFailure) {
    var section = section
    settings.includesPayload = section.boolean("payload", default: settings.includesPayload)
    settings.attempts = section.integer("attempts", default: settings.attempts, in: 1...1_000, unit: "attempts")
    let range = Duration.milliseconds(1) ... .seconds(86_400)
    let first = section.duration(
      "firstWait", default: .milliseconds(settings.backoff.firstMilliseconds), in: range)
    let longest = section.duration(
      "longestWait", default: .milliseconds(max(settings.backoff.capMilliseconds, first.wholeMilliseconds)), in: range)
    if longest < first, let node = section.value("longestWait") {
      findings.report(
        node, section.path("longestWait"), value: node.shortText, "must not be shorter than firstWait")
    }
    settings.backoff.firstMilliseconds = first.wholeMilliseconds
    settings.backoff.capMilliseconds = max(first, longest).wholeMilliseconds
    settings.timeout = section.duration("timeout", default: settings.timeout, in: .milliseconds(1)...(.seconds(900)))
    settings.keepsDelivered = section.boolean("keepDelivered", default: settings.keepsDelivered)
    settings.keepFor = section.keepFor(default: settings.keepFor)
    section.finish()
  }
}

extension String {
  fileprivate var withoutTrailingSlashes: String {
    var text = self[...]
    while text.count > 1, text.hasSuffix("/") { text = text.dropLast() }
    return String(text)
  }
}
