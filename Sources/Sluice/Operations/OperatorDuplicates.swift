import StreamModel
import StreamRuntime
import StreamStore

/// What was delivered again.
extension StoreOperator {
  func duplicates(_ name: String, _ shard: String?, _ limit: Int) throws -> DuplicateReport {
    let mapping = try mapping(named: name)
    let wanted = try shard.map { try shardNumber($0) }
    let stream = try stream(of: mapping)
    let catalog = try store.catalog()
    let sums = try RedeliveryLog.sums(of: mapping.number, in: store)
    let kept = try RedeliveryLog.entries(of: mapping.number, in: store)
    let shown = kept.lazy.filter { wanted == nil || $0.shard == wanted }.prefix(max(0, limit))
    return DuplicateReport(
      mapping: name, records: Dictionary(uniqueKeysWithValues: sums.records.map { ($0.key.name, $0.value) }),
      deliveries: sums.deliveries, kept: kept.count, keptAtMost: RedeliveryLog.limit,
      redeliveries: shown.map { entry in
        let info = stream.flatMap { catalog.shard(ShardAddress(stream: $0.number, shard: entry.shard)) }
        return RedeliveryReport(entry, in: info)
      })
  }
}
