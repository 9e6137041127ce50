public import StreamModel

/// The tumbling window that a lane is in: begun by its first invocation, over when its final one is settled.
///
/// An object that never changes, so that a lane without windows carries one word for it.
public final class OpenWindow: Hashable, Sendable {
  public let bounds: TimeWindow
  /// What the next invocation of the window is given: what the last one that succeeded has returned.
  public let state: WindowState
  /// No record of the window is to come: the next invocation is the final one.
  public let isEnding: Bool
  /// It ends because its state is too large, or because the mapping has no windows any more.
  public let isTerminatedEarly: Bool

  public init(
    _ bounds: TimeWindow, state: WindowState = .empty, isEnding: Bool = false, isTerminatedEarly: Bool = false
  ) {
    self.bounds = bounds
    self.state = state
    self.isEnding = isEnding
    self.isTerminatedEarly = isTerminatedEarly
  }

  func ending(early: Bool) -> OpenWindow {
    OpenWindow(bounds, state: state, isEnding: true, isTerminatedEarly: isTerminatedEarly || early)
  }

  public static func == (left: OpenWindow, right: OpenWindow) -> Bool {
    left === right
      || left.bounds == right.bounds && left.isEnding == right.isEnding
        && left.isTerminatedEarly == right.isTerminatedEarly && left.state == right.state
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(bounds)
    hasher.combine(state)
    hasher.combine(isEnding)
    hasher.combine(isTerminatedEarly)
  }
}
