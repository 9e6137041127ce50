import ShardCore
import StreamModel

/// Completeness and at-least-once where other lanes share a shard: what was not settled durably has one lane to do it, and
/// what was has none.
struct SharingChecker {
  typealias Lane = (selection: LaneSelection, next: Int)
  var former: [Lane]
  var new: [Lane]

  /// How many of the lanes have the record still to do.
  private func count(_ lanes: [Lane], _ index: Int, in shard: ModelShard) -> Int {
    lanes.count { index >= $0.next && $0.selection.selects(shard.tags[index], at: index) }
  }

  func completeness(in shard: ModelShard) -> StaticString? {
    for index in 0..<shard.end where count(former, index, in: shard) == 1 && count(new, index, in: shard) != 1 {
      return "a record that was not settled has no lane, or two, when others share the shard"
    }
    return nil
  }

  func repeats(in shard: ModelShard) -> StaticString? {
    for index in 0..<shard.end where count(former, index, in: shard) == 0 && count(new, index, in: shard) > 0 {
      return "a record that was settled is to be done again when others share the shard"
    }
    return nil
  }
}
