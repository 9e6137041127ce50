/// A tumbling window: the moments from `start` up to, and not including, `end`.
///
/// Windows of one length follow one another without a gap, and stand at the multiples of that length on the wall clock:
/// a record belongs to exactly one, by its approximate arrival.
public struct TimeWindow: Hashable, Sendable {
  public var start: WallTime
  public var end: WallTime

  public init(start: WallTime, end: WallTime) {
    self.start = start
    self.end = end
  }

  /// The window of this length, 1 ms or more, that holds the moment.
  public init(holding moment: WallTime, lengthMilliseconds length: Int64) {
    precondition(length > 0, "a window is not empty")
    let rest = moment.milliseconds % length
    // Saturates where the multiple before is no longer a time.
    start = moment.adding(milliseconds: rest < 0 ? -rest - length : -rest)
    end = start.adding(milliseconds: length)
  }
}

/// Where a read ends because of a tumbling window.
public enum WindowCut: Hashable, Sendable {
  /// Nowhere.
  case none
  /// Before the first record that arrived at this moment or later; one record is given in any case.
  case at(WallTime)
  /// With the window of its first record, windows being so many milliseconds long.
  case every(milliseconds: Int64)

  /// The first arrival that is beyond the cut, for a read whose first record arrived at `first`.
  public func end(first: WallTime) -> WallTime {
    switch self {
    case .none: .distantFuture
    case .at(let end): end
    case .every(let length): TimeWindow(holding: first, lengthMilliseconds: length).end
    }
  }
}
