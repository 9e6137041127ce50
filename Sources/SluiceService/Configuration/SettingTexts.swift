import LambdaRuntime
import Foundation
import ShardCore
import Sluice
import StreamModel
import StreamRuntime

/// The settings of a mapping in words, by the name that they have in the file: for status, and to compare a later file
/// with. Those of its function stand beside them, because a mapping runs with them.
extension MappingConfiguration {
  func texts(with function: FunctionConfiguration) -> [String: String] {
    var texts: [MappingParameter: String] = [
      .stream: stream, .function: self.function, .name: name, .enabled: "\(isEnabled)",
      .startingPosition: "TRIM_HORIZON", .batchSize: "\(batchSize)",
      .maximumBatchingWindow: "\(batchingWindow.components.seconds)",
      .parallelizationFactor: "\(parallelizationFactor)", .tumblingWindow: "\(tumblingWindow.components.seconds)",
      .maximumRetryAttempts: "\(maximumRetryAttempts ?? -1)", .bisectsBatch: "\(bisectsBatchOnError)",
      .functionResponseTypes: reportsItemFailures ? "[ReportBatchItemFailures]" : "[]",
    ]
    switch startingPosition {
    case .trimHorizon: break
    case .latest: texts[.startingPosition] = "LATEST"
    case .atTimestamp(let time):
      texts[.startingPosition] = "AT_TIMESTAMP"
      texts[.startingPositionTimestamp] = "\(Double(time.milliseconds) / 1_000)"
    }
    // Two keys set one thing: whole seconds are written as AWS does.
    if let age = maximumRecordAge {
      let (seconds, rest) = age.components
      if rest == 0, seconds >= 60 {
        texts[.maximumRecordAge] = "\(seconds)"
      } else {
        texts[.ownMaximumRecordAge] = Quantity.text(age)
      }
    } else {
      texts[.maximumRecordAge] = "-1"
    }
    texts[.filters] = filters.isEmpty ? "{}" : filters.joined(separator: " | ")
    texts[.metrics] = countsEvents ? "{Metrics: [EventCount]}" : "{Metrics: []}"
    texts[.destination] =
      onFailure.destination == .store ? "{OnFailure: {}}" : "{OnFailure: {Destination: \(onFailure.destination)}}"
    // Without them in the words that were stored, a mapping blocks by shard.
    if case .key(let keys, let records, let deliveries) = blocking {
      texts[.blocking] = "key"
      texts[.parkedKeyLimit] = "\(keys)"
      texts[.parkedRecordLimit] = "\(records)"
      texts[.parkedDeliveryLimit] = "\(deliveries)"
    }
    // Without it in the words that were stored, it is what it is by default.
    if recursiveLoopLimit != 16 { texts[.recursiveLoopLimit] = "\(recursiveLoopLimit ?? -1)" }
    texts[.retryRules] = "[\(retryRules.map(\.text).joined(separator: "; "))]"
    var all = Dictionary(uniqueKeysWithValues: texts.map { ($0.key.rawValue, $0.value) })
    // Left out where there is none, as in what was stored before there were any.
    if let marksRedeliveries { all["markRedeliveries"] = "\(marksRedeliveries)" }
    if isShadow { all["shadow"] = "true" }
    if let asyncInvocation {
      all["firstRetryWait"] = Quantity.text(asyncInvocation.firstRetryWait)
      all["OnSuccess"] = "\(asyncInvocation.onSuccess)"
    }
    if let idempotency { all["idempotency"] = idempotency.text(namesEveryFailure: namesEveryFailure) }
    for (key, text) in function.texts { all["function.\(key)"] = text }
    for (key, text) in onFailure.texts { all["onFailure.\(key)"] = text }
    return all
  }
}

extension OnFailure {
  /// Our settings beside the destination.
  var texts: [String: String] {
    var texts = [
      "payload": "\(includesPayload)", "attempts": "\(attempts)",
      "firstWait": Quantity.text(.milliseconds(backoff.firstMilliseconds)),
      "longestWait": Quantity.text(.milliseconds(backoff.capMilliseconds)), "timeout": Quantity.text(timeout),
      "keepDelivered": "\(keepsDelivered)",
    ]
    // Left out where there is none, as in what was stored before there were any.
    if deadLetter != .store { texts["deadLetter"] = "\(deadLetter)" }
    if keepFor != .ofStore { texts["keepFor"] = keepFor.text }
    return texts
  }
}

extension RetryRule {
  /// Everything of it, so that two rules with the same text are the same.
  fileprivate var text: String {
    let kinds = kinds.map { "\($0)" }.sorted().joined(separator: ",")
    let (types, messages) = (errorTypes.joined(separator: ","), messages.joined(separator: ","))
    return "\(name): class [\(kinds)], errorType [\(types)], message [\(messages)], then \(action)"
  }
}

extension FunctionConfiguration {
  /// What its processes are made from, and how long and how many.
  var texts: [String: String] {
    var texts = [
      "timeout": timeoutFloor.map { "adaptive, \(Quantity.text($0)) to \(Quantity.text(timeout))" }
        ?? Quantity.text(timeout),
      "concurrency": "\(concurrency)", "protocol": handlerProtocol.rawValue,
    ]
    if handlerProtocol == .http {
      texts["url"] = url
      texts["secretFile"] = signature.map { "#\($0.fingerprint)" } ?? "none"
      texts["logFormat"] = logFormat.rawValue
      return texts
    }
    texts["command"] = handlerCommand.arguments.joined(separator: " ")
    texts["environment"] = environmentText
    if let user { texts["user"] = user }
    if let code {
      texts["code"] = "\(URL(filePath: code.path).standardizedFileURL.path) #\(code.stamp)"
    } else {
      texts["directory"] = URL(filePath: directory ?? ".").standardizedFileURL.path
    }
    if handlerProtocol == .lambda {
      texts["memory"] = Quantity.text(bytes: memory)
      texts["provisioned"] = "\(provisioned)"
      texts["idleTime"] = Quantity.text(idleTime)
      texts["logFormat"] = logFormat.rawValue
      texts["logEvent"] = "\(logsEvents)"
      if !redactedMembers.isEmpty { texts["redact"] = "[\(redactedMembers.sorted().joined(separator: ", "))]" }
      if !handler.isEmpty { texts["Handler"] = handler }
      if !runtime.isEmpty { texts["Runtime"] = runtime }
    }
    return texts
  }

  /// The names of the variables. Their values may be secrets: a digest says only whether one has changed.
  private var environmentText: String {
    guard !environment.isEmpty else { return "{}" }
    let sorted = environment.sorted { $0.key < $1.key }
    let all = sorted.map { "\($0.key)=\($0.value)" }.joined(separator: "\0")
    let digest = String(HashKey(partitionKey: all).rawValue, radix: 16).prefix(8)
    return "{\(sorted.map(\.key).joined(separator: ", "))} #\(digest)"
  }
}

/// When a changed setting of a mapping takes effect, by its name in ``MappingConfiguration/texts(with:)``.
func changeMoment(ofSetting name: String) -> ChangeMoment {
  if let parameter = MappingParameter(rawValue: name) { return parameter.rule.change }
  if name == "onFailure.keepFor" { return .atOnce }
  // Who takes failures out of the store is made with the lanes.
  // What is done is remembered by what is made with the lanes.
  if name.hasPrefix("onFailure.") || name == "idempotency" || name == "markRedeliveries" || name == "shadow" {
    return .afterDraining
  }
  switch name {
  case "function.concurrency", "function.provisioned", "function.idleTime": return .atOnce
  default: return .nextDelivery
  }
}
