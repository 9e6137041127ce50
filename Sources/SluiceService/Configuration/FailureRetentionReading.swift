import Sluice
import StreamRuntime

/// `keepFor`: how long failure entries are kept.
extension ConfigurationSection {
  /// A duration, or `forever`. `standard` is what is meant where it is missing.
  mutating func keepFor(default standard: FailureRetention) -> FailureRetention {
    let allowed = FailureRetention.allowed
    let bounds = "\(Quantity.text(allowed.lowerBound)) to \(Quantity.text(allowed.upperBound))"
    return read(
      "keepFor", default: standard,
      rule: "must be forever, or a duration with a unit (ms, s, m, h, d) from \(bounds)", show: \.text
    ) { text in
      if text == "forever" { return .forever }
      guard let duration = Quantity.duration(text), allowed.contains(duration) else { return nil }
      return .milliseconds(duration.wholeMilliseconds)
    }
  }
}

extension FailureRetention {
  /// `nil`: forever.
  init(_ duration: Duration?) {
    self = duration.map { .milliseconds($0.wholeMilliseconds) } ?? .forever
  }

  /// As it stands in a configuration; of the store, where to look.
  var text: String {
    switch self {
    case .ofStore: "as failures.keepFor"
    case .forever: "forever"
    case .milliseconds(let milliseconds): Quantity.text(.milliseconds(milliseconds))
    }
  }
}
