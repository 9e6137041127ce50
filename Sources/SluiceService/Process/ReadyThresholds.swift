package import Sluice

/// The thresholds of `listen.ready…`: how long a lane may be blocked, and how many failure entries of one mapping there may be
/// and how old. `/ready` and `sluice status` ask the same question.
package struct ReadyThresholds: Hashable, Sendable {
  let blockedAfter: Duration
  /// Zero: however many there are.
  let failureEntries: Int
  /// Zero: however old they are.
  let failureAge: Duration

  package init(_ listen: ListenConfiguration) {
    blockedAfter = listen.readyBlockedAfter
    failureEntries = listen.readyFailureEntries
    failureAge = listen.readyFailureAge
  }

  /// What has passed its threshold: mapping by mapping, first what is blocked.
  package func passed(_ report: StatusReport) -> [PassedThreshold] {
    report.mappings.flatMap { blocked($0, now: report.generatedAt) + failures($0, now: report.generatedAt) }
  }

  private func blocked(_ mapping: MappingReport, now: Int64) -> [PassedThreshold] {
    mapping.lanes.compactMap { lane in
      guard let since = lane.blockedSince, now - since > blockedAfter.wholeMilliseconds else { return nil }
      return PassedThreshold(
        mapping: mapping.name, setting: "listen.readyBlockedAfter",
        reason: "\(lane.subject) is blocked for longer than listen.readyBlockedAfter (\(Quantity.text(blockedAfter))): "
          + lane.summary)
    }
  }

  private func failures(_ mapping: MappingReport, now: Int64) -> [PassedThreshold] {
    var passed: [PassedThreshold] = []
    if failureEntries > 0, mapping.failureEntries > failureEntries {
      passed.append(
        PassedThreshold(
          mapping: mapping.name, setting: "listen.readyFailureEntries",
          reason: "\(mapping.name) has \(mapping.failureEntries) failure entries, more than "
            + "listen.readyFailureEntries: \(failureEntries)"))
    }
    if failureAge > .zero, let oldest = mapping.oldestFailureAt, now - oldest > failureAge.wholeMilliseconds {
      passed.append(
        PassedThreshold(
          mapping: mapping.name, setting: "listen.readyFailureAge",
          reason: "\(mapping.name) has a failure entry that is older than listen.readyFailureAge: "
            + Quantity.text(failureAge)))
    }
    return passed
  }
}
