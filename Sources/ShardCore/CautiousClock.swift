public import StreamModel

/// The wall clock for those who delete what is too old: one that was set ahead is not believed at once.
///
/// Between two looks both clocks should get on by the same. Where the wall clock got on by more than ``toleranceMilliseconds``
/// beyond that, somebody set it, or the machine slept. Then time goes on as it was for ``holdMilliseconds``, so that a wrong
/// clock can be noticed and set right before everything is old by it. A clock that was set back is believed: nothing
/// gets older by that. Where the first look finds the clock it is believed too, because there is nothing to compare with.
public struct CautiousClock: Hashable, Sendable {
  /// 1 minute.
  public static let toleranceMilliseconds: Int64 = 60_000
  /// 1 hour of monotonic time.
  public static let holdMilliseconds: Int64 = 3_600_000

  /// What the wall clock is ahead of the monotonic one, in milliseconds, as it is believed. `nil` before the first look.
  private var believed: Int64?
  /// What it is ahead since it was set, and when that was found.
  private var step: Step?

  private struct Step: Hashable {
    var offset: Int64
    var foundAt: MonotonicTime
  }

  /// The time to go by.
  public struct Reading: Hashable, Sendable {
    public var wall: WallTime
    /// How far ahead the wall clock was found to be set by this look, in milliseconds; `nil` if it was not.
    public var steppedAheadMilliseconds: Int64?

    public init(wall: WallTime, steppedAheadMilliseconds: Int64? = nil) {
      self.wall = wall
      self.steppedAheadMilliseconds = steppedAheadMilliseconds
    }
  }

  public init() {}

  /// Looks at the clocks; to be called at least every few seconds, as what passes between two calls counts as one step.
  public mutating func look(at now: Now) -> Reading {
    let monotonic = now.monotonic.nanoseconds / 1_000_000
    let offset = now.wall.milliseconds - monotonic
    guard let known = believed, offset - known > Self.toleranceMilliseconds else { return believe(offset, now) }
    if let step, offset - step.offset <= Self.toleranceMilliseconds {
      if step.foundAt.adding(milliseconds: Self.holdMilliseconds) <= now.monotonic { return believe(offset, now) }
      return Reading(wall: WallTime(milliseconds: monotonic + known))
    }
    step = Step(offset: offset, foundAt: now.monotonic)
    return Reading(wall: WallTime(milliseconds: monotonic + known), steppedAheadMilliseconds: offset - known)
  }

  private mutating func believe(_ offset: Int64, _ now: Now) -> Reading {
    believed = offset
    step = nil
    return Reading(wall: now.wall)
  }
}
