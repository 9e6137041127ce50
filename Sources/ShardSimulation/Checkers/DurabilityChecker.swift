/// Durability: what was acknowledged is there when a process starts, as it was, until retention takes it.
///
/// The poller puts nothing, so this watches the store that a process finds. That the real one keeps what it acknowledges
/// is tested by killing real processes.
struct DurabilityChecker {
  /// By shard: how many records it had when the last put was acknowledged, and the last one's arrival, size and key.
  private var acknowledged: [Mark] = []

  private struct Mark: Hashable {
    var end = 0
    var arrival: Int64 = 0
    var payload = 0
    var tag: UInt8 = 0

    init() {}

    init(ofFirst count: Int, _ shard: ModelShard) {
      end = count
      guard count > 0 else { return }
      (arrival, payload, tag) = (shard.arrivals[count - 1], shard.payloads[count - 1], shard.tags[count - 1])
    }
  }

  /// A new store without records.
  mutating func reset() { acknowledged.removeAll(keepingCapacity: true) }

  /// Whoever put records into a shard was told that they are durable.
  mutating func noteAcknowledged(_ shard: Int, _ found: ModelShard) {
    while acknowledged.count <= shard { acknowledged.append(Mark()) }
    acknowledged[shard] = Mark(ofFirst: found.end, found)
  }

  /// A process has found the shard, but for the last `lost` of its records.
  func check(_ shard: Int, _ found: ModelShard, lost: Int = 0) -> StaticString? {
    guard shard < acknowledged.count else { return nil }
    let mark = acknowledged[shard]
    guard found.end - lost >= mark.end else { return "a record that was acknowledged is gone" }
    return Mark(ofFirst: mark.end, found) == mark ? nil : "a record is not as it was when it was acknowledged"
  }
}
