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
    let entries = try RedeliveryLog.entries(of: mapping.number, in: store)
      .filter { wanted == nil || $0.shard == wanted }.prefix(max(0, limit))
    let totals = try RedeliveryLog.totals(of: mapping.number, in: store).totals
    return DuplicateReport(
      mapping: name, records: Dictionary(uniqueKeysWithValues: totals.map { ($0.key.name, $0.value) }),
      redeliveries: entries.map { entry in
        let info = stream.flatMap { catalog.shard(ShardAddress(stream: $0.number, shard: entry.shard)) }
        return RedeliveryReport(entry, in: info)
      }, kept: RedeliveryLog.limit)
  }
}
