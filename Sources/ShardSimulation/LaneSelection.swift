import ShardCore
import StreamModel

/// Which records of a shard are a lane's: those of its share of the partition keys that the mapping's filter lets
/// through, and that former lanes have not settled.
struct LaneSelection: Hashable {
  var sharing = LaneSharing.whole
  /// 0 ..< sharing.factor: the share of the keys.
  var slot = 0
  /// A bit for each of eight kinds of records that the filter holds back.
  var rejected: UInt8 = 0
  /// Records that are done, of which the mapping remembers a key.
  var done = RecordSet()

  /// The same if nobody remembered anything.
  var withoutKeys: LaneSelection {
    var selection = self
    selection.done = RecordSet()
    return selection
  }

  /// The selection that takes every record.
  static let all = LaneSelection()

  /// `tag` is the record's kind in its low three bits and its key above.
  func selects(_ tag: UInt8, at index: Int) -> Bool {
    rejected >> (tag & 7) & 1 == 0 && !done.contains(index)
      && sharing.takes(RecordIndex(UInt64(index)), keyHash: UInt64(tag >> 3), slot: slot)
  }
}
