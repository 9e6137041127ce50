public import ShardCore
public import StreamModel
import StreamStore

/// Which lane of a mapping: its shard, and which share of the shard's records.
public struct LanePlace: Hashable, Sendable {
  public var shard: ShardAddress
  /// 0 ..< sharing.factor.
  public var slot: Int
  public var sharing: LaneSharing

  public init(shard: ShardAddress, slot: Int = 0, sharing: LaneSharing = .whole) {
    self.shard = shard
    self.slot = slot
    self.sharing = sharing
  }

  /// How people tell the lane from the others of its shard.
  var description: String { sharing.factor == 1 ? "\(shard.shard)" : "\(shard.shard) lane \(slot)" }

  /// Which records the lane takes, of those that the mapping's filter lets through; `nil`: all of the shard.
  func selection(_ makeFilter: (@Sendable () -> any RecordSelecting)?) -> (any RecordSelecting)? {
    sharing.isWhole ? makeFilter?() : ShareSelection(sharing: sharing, slot: slot, filter: makeFilter?())
  }
}

/// Takes the records of a lane's own partition keys, if the filter does.
struct ShareSelection: RecordSelecting {
  let sharing: LaneSharing
  let slot: Int
  var filter: (any RecordSelecting)?

  var keyShare: KeyShare? { KeyShare(sharing: sharing, slot: slot, isWhole: filter == nil) }

  mutating func verdict(on record: borrowing RecordView) -> SelectionVerdict {
    guard sharing.takes(record.sequenceNumber.index, keyHash: record.partitionKeyHash, slot: slot) else {
      return .anotherLane
    }
    return filter?.verdict(on: record) ?? .taken
  }
}
