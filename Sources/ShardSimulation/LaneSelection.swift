/// Which records of a shard are a lane's: those of its share of the partition keys that the mapping's filter lets
/// through.
struct LaneSelection: Hashable {
  /// 0 ..< slotCount: the share of the keys.
  var slot = 0
  /// Lanes of the mapping that work on each shard.
  var slotCount = 1
  /// A bit for each of eight kinds of records that the filter holds back.
  var rejected: UInt8 = 0

  /// The selection that takes every record.
  static let all = LaneSelection()

  /// `tag` is the record's kind in its low three bits and its key above.
  func selects(_ tag: UInt8) -> Bool {
    rejected >> (tag & 7) & 1 == 0 && Int(tag >> 3) % slotCount == slot
  }
}
