public import StreamModel

/// Moving the lanes of a mapping on one shard to another position, while nothing works on them.
///
/// All lanes of the shard go to the same position: everything from it on is delivered, and nothing before it. A lane that
/// stands there already stays as it is. What a lane is in the middle of is an obstacle where a move would lose it: records
/// of parked keys, a batch under retry or one that was split, a tumbling window. What comes again as a whole is none.
public struct ShardSeek: Hashable, Sendable {
  /// By slot.
  public var lanes: [Lane]
  /// The first record that is left, and the index behind the last one.
  public var firstAvailable: RecordIndex
  public var end: RecordIndex
  public var isClosed: Bool

  public struct Lane: Hashable, Sendable {
    /// With all its parked keys.
    public var progress: LaneProgress
    public var sharing: LaneSharing
    /// Of the tumbling window that has begun: the first record that arrived in it or later.
    public var windowBegin: RecordIndex?

    public init(progress: LaneProgress, sharing: LaneSharing = .whole, windowBegin: RecordIndex? = nil) {
      self.progress = progress
      self.sharing = sharing
      self.windowBegin = windowBegin
    }
  }

  public init(lanes: [Lane], firstAvailable: RecordIndex, end: RecordIndex, isClosed: Bool) {
    precondition(LaneSharing.factors.contains(lanes.count), "a shard has 1 to 10 lanes of a mapping")
    self.lanes = lanes
    self.firstAvailable = firstAvailable
    self.end = end
    self.isClosed = isClosed
  }

  /// What becomes of one lane.
  public struct Move: Hashable, Sendable {
    public var slot: Int
    public var from: RecordIndex
    public var to: RecordIndex
    /// What the lane has when it opens again.
    public var progress: LaneProgress
    public var sharing: LaneSharing
    /// Records that it had passed and that come again.
    public var again: RecordRange?
    /// Records that it had not come to and that it passes. They are no failure entries.
    public var skipped: RecordRange?
    /// What it is in the middle of, and nobody can put back.
    public var obstacles: [Obstacle]
    /// Keys that are parked no more. Their records come again, but for those that an obstacle names.
    public var unparkedKeys: Int
    /// Failed attempts of the batch at the head, which are forgotten: if it comes again it has all of them again.
    public var forgottenAttempts: Int
  }

  /// What a move of the lane would lose.
  public enum Obstacle: Hashable, Sendable {
    /// So many records of parked keys that do not come again from the new position on.
    case parkedKeys(Int, records: UInt64)
    /// So many records at the head under retry, or so many in batches that were cut from one.
    case failingBatch(records: Int, first: RecordIndex)
    case splitBatch(records: Int, first: RecordIndex)
    /// A window has begun; its state goes, and records that came to it are counted in no window.
    case openWindow(TimeWindow)
  }

  /// The moves to `position`, by slot; none for lanes that stay as they are. Beyond what is there it is its beginning, or
  /// its end.
  public func moves(to position: RecordIndex) -> [Move] {
    let position = min(max(position, firstAvailable), end)
    let isFinished = isClosed && position >= end
    return lanes.enumerated().compactMap { slot, lane in
      let from = lane.progress.next
      // What former lanes had settled behind the new position is to come again from all lanes of the shard, or a later
      // change of their number would take it for settled.
      let forgetsFormerLanes = lane.sharing.formerLanes.contains { $0.end > position }
      guard from != position || forgetsFormerLanes else { return nil }
      var progress = LaneProgress(
        next: position, isFinished: isFinished, isPaused: lane.progress.isPaused,
        lostToRetention: lane.progress.lostToRetention, lostToDamage: lane.progress.lostToDamage,
        parked: lane.progress.parked.map { ParkedKeyChange(key: $0.key, state: nil) })
      if from < firstAvailable { progress.lostToRetention += from.distance(to: firstAvailable) }
      let here = max(from, firstAvailable)
      return Move(
        slot: slot, from: from, to: position, progress: progress, sharing: LaneSharing(factor: lane.sharing.factor),
        again: range(position, here), skipped: range(here, position), obstacles: obstacles(of: lane, to: position),
        unparkedKeys: lane.parkedKeyCount, forgottenAttempts: lane.progress.failing?.attempts ?? 0)
    }
  }

  private func range(_ first: RecordIndex, _ end: RecordIndex) -> RecordRange? {
    first < end ? RecordRange(first: first, count: first.distance(to: end)) : nil
  }

  private func obstacles(of lane: Lane, to position: RecordIndex) -> [Obstacle] {
    var obstacles: [Obstacle] = []
    var (keys, records) = (0, UInt64(0))
    for key in lane.progress.parked {
      let lost = key.ranges.reduce(UInt64(0)) { sum, range in
        sum + (range.first < position ? range.first.distance(to: min(range.end, position)) : 0)
      }
      if lost > 0 { (keys, records) = (keys + 1, records + lost) }
    }
    if records > 0 { obstacles.append(.parkedKeys(keys, records: records)) }
    if position > lane.progress.next {
      if let failing = lane.progress.failing, !failing.extent.isEmpty {
        obstacles.append(.failingBatch(records: failing.extent.count, first: failing.extent.first))
      } else if !lane.progress.pieces.isEmpty {
        obstacles.append(.splitBatch(records: lane.progress.pieces.reduce(0, +), first: lane.progress.next))
      }
    }
    if let window = lane.progress.window, position > (lane.windowBegin ?? .zero) {
      obstacles.append(.openWindow(window.bounds))
    }
    return obstacles
  }
}

extension ShardSeek.Lane {
  fileprivate var parkedKeyCount: Int { progress.parked.count { !$0.ranges.isEmpty } }
}

/// Where a mapping begins that takes over the positions of another one on the same stream.
extension ShardSeek {
  /// By slot, what a lane of the copy begins with. It goes back to the first record that is parked: records behind
  /// it that are settled come to the copy too. A window begins anew with all its records. Attempts and pauses stay behind.
  public func copies() -> [Lane] {
    lanes.map { lane in
      let firstParked = lane.progress.parked.lazy.compactMap { $0.ranges.first?.first }.min()
      let begin = lane.progress.window == nil ? nil : lane.windowBegin
      let next = [lane.progress.next, firstParked, begin].lazy.compactMap(\.self).reduce(lane.progress.next, min)
      let progress = LaneProgress(
        next: next, isFinished: lane.progress.isFinished && next == lane.progress.next)
      return Lane(progress: progress, sharing: lane.sharing)
    }
  }
}
