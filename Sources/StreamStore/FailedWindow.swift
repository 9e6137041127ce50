public import StreamModel

/// The tumbling window that failed records were in, or whose final delivery failed.
public struct FailedWindow: Hashable, Sendable {
  public var bounds: TimeWindow
  /// The final delivery failed: there are no records, and `state` is what was lost to the lane.
  public var isFinal: Bool
  public var isTerminatedEarly: Bool
  /// What the delivery that failed was given.
  public var state: [UInt8]

  public init(bounds: TimeWindow, isFinal: Bool, isTerminatedEarly: Bool, state: [UInt8]) {
    self.bounds = bounds
    self.isFinal = isFinal
    self.isTerminatedEarly = isTerminatedEarly
    self.state = state
  }
}
