import ShardCore
import StreamModel
public import StreamStore

/// The stored lanes of a mapping on one shard.
public struct StoredShare {
  /// By slot; never empty.
  public private(set) var lanes: [StoredLane]

  /// `nil` if nothing is stored: the mapping has never worked on the shard.
  ///
  /// A lane without a row of its own has settled nothing yet.
  public init?(_ rows: [UInt8: LaneRecord], of shard: ShardInfo) throws(LaneRecordError) {
    guard !rows.isEmpty else { return nil }
    var known: [UInt8: StoredLane] = [:]
    for (slot, row) in rows { known[slot] = try StoredLane(decoding: row.payload) }
    let factors = Set(known.values.map(\.sharing.factor))
    guard let factor = factors.first, factors.count == 1, known.keys.allSatisfy({ $0 < factor }) else {
      throw .malformed
    }
    lanes = (0..<factor).map { slot in
      known[UInt8(slot)]
        ?? StoredLane(
          progress: LaneProgress(next: shard.firstAvailable), history: AttemptHistory(),
          sharing: LaneSharing(factor: factor))
    }
  }

  /// As many new lanes as `factor` says, each at its beginning.
  init(factor: Int, from first: RecordIndex, isFinished: Bool = false) {
    lanes = Array(
      repeating: StoredLane(
        progress: LaneProgress(next: first, isFinished: isFinished), history: AttemptHistory(),
        sharing: LaneSharing(factor: factor)),
      count: factor)
  }

  /// The rows to write, all at once, so that other lanes work on the shard; none if these do, or all of it is done.
  func changing(to factor: Int, of mapping: MappingNumber, _ shard: ShardAddress) -> [LaneUpdate] {
    guard factor != lanes.count, !lanes.allSatisfy(\.progress.isFinished) else { return [] }
    let changed = LaneSharing.changing(lanes.map { ($0.sharing, $0.progress) }, to: factor)
    let updates = changed.enumerated().map { slot, lane in
      StoredLane(progress: lane.progress, history: AttemptHistory(), sharing: lane.sharing)
        .update(of: mapping, shard, slot: slot)
    }
    let removed = (changed.count..<max(changed.count, lanes.count)).map { slot in
      LaneUpdate(key: LaneKey(mapping: mapping, address: shard, slot: UInt8(slot)), record: nil)
    }
    return updates + removed
  }

  /// The rows as they are.
  func updates(of mapping: MappingNumber, _ shard: ShardAddress) -> [LaneUpdate] {
    lanes.enumerated().map { slot, lane in lane.update(of: mapping, shard, slot: slot) }
  }
}
