public import Sluice

extension ChangeReport {
  /// How a configuration differs from what the store remembers of the mappings that ran last.
  public static func comparing(_ configuration: Configuration, with status: StatusReport) -> ChangeReport {
    let difference = ConfigurationDifference(of: configuration, from: status, process: nil)
    return ChangeReport(isApplied: false, worker: status.worker, differences: difference.settings)
  }
}
