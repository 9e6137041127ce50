import Sluice

extension MappingConfiguration {
  /// Settings that say what becomes of failures, or hand something on: a shadow has neither.
  var settingsWithoutEffectOnShadow: [String] {
    var names: [MappingParameter] = []
    if maximumRetryAttempts != nil { names.append(.maximumRetryAttempts) }
    if maximumRecordAge != nil { names.append(.maximumRecordAge) }
    if bisectsBatchOnError { names.append(.bisectsBatch) }
    if tumblingWindow > .zero { names.append(.tumblingWindow) }
    if !retryRules.isEmpty { names.append(.retryRules) }
    if blocking != .shard { names.append(.blocking) }
    if onFailure.destination != .store { names.append(.destination) }
    return names.map(\.rawValue) + (idempotency == nil ? [] : ["idempotency"])
  }
}
