/// How long an invocation may take, made from how long the ones before it took: three times what all but one in a hundred
/// need, between a floor and a ceiling. Until there are enough of them it is the ceiling.
///
/// What times out counts with the time that it had, so a function that slows down for good has a longer timeout once more
/// than one in a hundred does not make it.
public struct AdaptiveTimeout: Hashable, Sendable {
  public var floor: Duration
  public var ceiling: Duration

  public init(floor: Duration, ceiling: Duration) {
    precondition(floor <= ceiling, "a floor is not above its ceiling")
    self.floor = floor
    self.ceiling = ceiling
  }

  static let enoughInvocations = 100
  static let factor: Int64 = 3

  /// With the times of recent invocations.
  func timeout(after recent: DurationHistogram) -> Duration {
    guard recent.count >= Self.enoughInvocations, let p99 = recent.nanoseconds(at: 0.99) else { return ceiling }
    return min(max(.nanoseconds(p99 * Self.factor), floor), ceiling)
  }
}

/// The times of the last thousand or two invocations.
struct RecentDurations: Hashable, Sendable {
  static let generation = 1_000
  private var former = DurationHistogram()
  private var current = DurationHistogram()

  mutating func add(_ nanoseconds: Int64) {
    if current.count >= Self.generation {
      former = current
      current = DurationHistogram()
    }
    current.add(nanoseconds)
  }

  var all: DurationHistogram {
    var all = current
    all.add(former)
    return all
  }
}
