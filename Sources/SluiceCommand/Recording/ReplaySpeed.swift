import ArgumentParser
import StreamRuntime

/// What `--speed` says of the time of a replay.
enum ReplaySpeed: Hashable {
  /// Records come when they came, and time goes from one moment at which something happens to the next.
  case virtual
  /// Everything is there from the beginning.
  case max
  /// Records come when they came, and so many seconds of their time go by in each real one.
  case factor(Double)

  init(_ text: String) throws {
    switch text {
    case "virtual": self = .virtual
    case "max": self = .max
    default:
      guard let factor = Double(text), ReplayPace.factors.contains(factor) else {
        throw ValidationError("--speed is \(text): \(Self.rule).")
      }
      self = .factor(factor)
    }
  }

  private static let rule = "allowed are virtual, max, and how many times as fast as it was, from 0.1 to 1000"

  /// As the run file has it.
  var text: String {
    switch self {
    case .virtual: "virtual"
    case .max: "max"
    case .factor(let factor): Int(exactly: factor).map(String.init) ?? "\(factor)"
    }
  }

  var pace: ReplayPace? {
    if case .factor(let factor) = self { ReplayPace(factor: factor) } else { nil }
  }
}
