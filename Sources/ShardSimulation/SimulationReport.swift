/// The promises of the design, each with a checker.
public enum Promise: String, Hashable, Sendable, CaseIterable {
  case order, completeness, blocking, expiry, checkpoint, family, exclusivity, liveness, bounds, repeats, fairness,
    settings, exactlyOnce, windows, delivery, idempotency, redeliveries, recursion, durability, bound
}

/// A promise that was broken.
public struct Violation: Hashable, Sendable, CustomStringConvertible {
  public var promise: Promise
  public var sentence: String
  public var seed: UInt64
  /// The step of the poller, counted from the start of the run.
  public var step: UInt64
  public var lane: Int

  public var description: String {
    "\(promise.rawValue): \(sentence) (seed \(seed), step \(step), lane \(lane))"
  }
}

/// What a run of the simulator found.
public struct SimulationReport: Hashable, Sendable {
  public var seed: UInt64
  /// Steps of the poller.
  public var steps: UInt64
  /// The first ones, at most 16; a run ends with the episode that broke a promise.
  public var violations: [Violation]
  public var coverage: Coverage
  /// A digest of all orders in order: the same seed gives the same number.
  public var digest: UInt64
  /// The last events and orders in words, oldest first, if the run was traced.
  public var trace: [String]
}
