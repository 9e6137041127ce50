public import StreamModel

/// How the records of a shard are shared out among the lanes of one mapping: each partition key belongs to one of
/// `factor` slots, and each slot has a lane.
///
/// When the factor changes, keys move from lane to lane. What the former lanes had settled is then known only together:
/// the new lanes begin where the hindmost of the former ones stood and pass what those ahead of it had settled. No key
/// waits for another, no record is passed that was not settled, and none that was comes again.
public struct LaneSharing: Hashable, Sendable {
  /// `ParallelizationFactor`.
  public let factor: Int
  /// What lanes of former factors had settled, beyond where the lane that knows this began. At most one for each factor.
  public private(set) var formerLanes: [FormerLanes]

  public static let factors = 1...10

  /// Lanes that shared the shard before: those of all slots of one factor.
  public struct FormerLanes: Hashable, Sendable {
    /// By slot: every record of it before this one is settled.
    public let ends: [RecordIndex]
    /// The greatest of them: behind it these lanes had settled nothing.
    public let end: RecordIndex

    /// `ends` are those of 1 to 10 lanes.
    public init(ends: [RecordIndex]) {
      precondition(LaneSharing.factors.contains(ends.count), "a shard has 1 to 10 lanes of a mapping")
      self.ends = ends
      self.end = ends.reduce(.zero, max)
    }

    func hasSettled(_ index: RecordIndex, keyHash: UInt64) -> Bool {
      index < end && index < ends[LaneSharing.slot(of: keyHash, factor: ends.count)]
    }
  }

  /// One lane takes everything.
  public static let whole = LaneSharing(factor: 1)

  public init(factor: Int, formerLanes: [FormerLanes] = []) {
    precondition(Self.factors.contains(factor), "a shard has 1 to 10 lanes of a mapping")
    self.factor = factor
    self.formerLanes = formerLanes
  }

  /// Whether a lane takes every record of the shard.
  public var isWhole: Bool { factor == 1 && formerLanes.isEmpty }

  /// The slot of a partition key, 0 ..< factor. The hash must be the same in every process for ever.
  public func slot(of keyHash: UInt64) -> Int { Self.slot(of: keyHash, factor: factor) }

  static func slot(of keyHash: UInt64, factor: Int) -> Int { Int(keyHash % UInt64(factor)) }

  /// Whether the lane of `slot` has to do the record `index`.
  public func takes(_ index: RecordIndex, keyHash: UInt64, slot: Int) -> Bool {
    guard self.slot(of: keyHash) == slot else { return false }
    for former in formerLanes where former.hasSettled(index, keyHash: keyHash) { return false }
    return true
  }

  /// Without the former lanes that a lane at `next` is beyond.
  public func beyond(_ next: RecordIndex) -> LaneSharing {
    guard formerLanes.contains(where: { $0.end <= next }) else { return self }
    return LaneSharing(factor: factor, formerLanes: formerLanes.filter { $0.end > next })
  }

  /// What lanes of another factor begin with, by slot, given all lanes of the former one, by slot. The new lanes and what
  /// they know must become durable at once, and together with the end of the former ones.
  ///
  /// A batch under retry is formed anew and has all its attempts again. Where one lane was paused all are now: its keys
  /// may be in any of them.
  public static func changing(
    _ former: [(sharing: LaneSharing, progress: LaneProgress)], to factor: Int
  ) -> [(sharing: LaneSharing, progress: LaneProgress)] {
    precondition(factors.contains(former.count), "a shard has 1 to 10 lanes of a mapping")
    let ends = former.map(\.progress.next)
    let next = ends.dropFirst().reduce(ends[0], min)
    var settled = [FormerLanes(ends: ends)]
    for known in former.flatMap(\.sharing.formerLanes) {
      // What two generations of as many lanes had settled is settled by both.
      if let place = settled.firstIndex(where: { $0.ends.count == known.ends.count }) {
        settled[place] = FormerLanes(ends: zip(settled[place].ends, known.ends).map(max))
      } else {
        settled.append(known)
      }
    }
    let sharing = LaneSharing(factor: factor, formerLanes: settled).beyond(next)
    let progress = LaneProgress(
      next: next, isFinished: former.allSatisfy(\.progress.isFinished),
      isPaused: former.contains(where: \.progress.isPaused),
      lostToRetention: share(of: former.map(\.progress.lostToRetention)),
      lostToDamage: share(of: former.map(\.progress.lostToDamage)))
    var lanes = Array(repeating: (sharing: sharing, progress: progress), count: factor)
    // A tumbling window is ended by one of them.
    lanes[0].progress.window = former.lazy.compactMap(\.progress.window).first
    return lanes
  }

  /// Of records that are lost each lane counts all that were there, its own and those of others: what one of several
  /// lanes lost is taken to be its share of them, rounded up.
  public static func share(of counts: [UInt64]) -> UInt64 {
    let sum = counts.reduce(0) { $0 &+ $1 }
    return (sum &+ UInt64(counts.count) &- 1) / UInt64(counts.count)
  }
}
