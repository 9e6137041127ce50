import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// Mappings that do not run.
extension StoreOperator {
  func deleteMapping(_ name: String, _ consent: Consent) async throws -> ActionReport {
    let mapping = try mapping(named: name)
    guard poller()?.look(at: name) == nil, transitions?.state(of: name) == nil else {
      throw OperatorRefusal(
        .badInput, "Mapping \(name) runs. Take it out of the configuration and apply that, then say this again.")
    }
    let lanes = try store.lanes(of: mapping.number).count
    var report = ActionReport(
      isApplied: consent.isApplied,
      effects: [
        "mapping \(name) is deleted with the checkpoints of its \(lanes) lane\(lanes == 1 ? "" : "s"); its failures stay"
      ], records: 0)
    if MappingSettings(decoding: mapping.settings)?.isConfigured ?? false {
      report.effects.append(
        "the configuration that ran last has it: the next worker makes it anew, from StartingPosition")
    }
    guard consent.isApplied else { return report }
    try await audit(consent, "delete mapping", name, "\(lanes) lanes")
    if let transitions {
      try await transitions.during(.deleting, of: name) { _ = try await store.perform(.deleteMapping(mapping.number)) }
    } else {
      _ = try await store.perform(.deleteMapping(mapping.number))
    }
    return report
  }
}
