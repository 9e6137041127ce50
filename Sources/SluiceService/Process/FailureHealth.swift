import Sluice

/// Why failure entries make the service not ready: too many of one mapping, or too old a one.
struct FailureHealth: Hashable, Sendable {
  /// Zero: however many there are.
  var entryLimit: Int
  /// Zero: however old they are.
  var ageLimit: Duration

  init(_ listen: ListenConfiguration) {
    entryLimit = listen.readyFailureEntries
    ageLimit = listen.readyFailureAge
  }

  var isAsked: Bool { entryLimit > 0 || ageLimit > .zero }

  func reasons(_ report: StatusReport) -> [String] {
    report.mappings.flatMap { mapping -> [String] in
      var reasons: [String] = []
      if entryLimit > 0, mapping.failureEntries > entryLimit {
        reasons.append(
          "\(mapping.name) has \(mapping.failureEntries) failure entries, more than listen.readyFailureEntries: "
            + "\(entryLimit)")
      }
      if ageLimit > .zero, let oldest = mapping.oldestFailureAt,
        report.generatedAt - oldest > ageLimit.wholeMilliseconds
      {
        reasons.append(
          "\(mapping.name) has a failure entry that is older than listen.readyFailureAge: \(Quantity.text(ageLimit))")
      }
      return reasons
    }
  }
}
