public import StreamModel
public import StreamStore

/// The tables that the handler of one mapping writes, as they are durable, for anyone who has the store open: the worker
/// itself or a looker beside it.
public struct MappingTables: Sendable {
  private let store: StreamStore
  private let mapping: MappingNumber

  /// `nil` if there is no such mapping.
  public init?(of mapping: String, in store: StreamStore) throws(StoreError) {
    guard let info = try store.catalog().mapping(named: mapping) else { return nil }
    self.store = store
    self.mapping = info.number
  }

  /// One entry.
  public struct Entry: Hashable, Sendable {
    public var owner: TableEntryKey.Owner
    public var key: [UInt8]
    public var value: [UInt8]
  }

  /// The names of the tables that have entries, in order.
  public func names() throws(StoreError) -> [String] {
    // The others are the mapping's own: its keys of what is done.
    try store.tableNames(of: mapping).filter { !$0.hasPrefix("#") }
  }

  /// The entries of a table, or those of one partition key in it: first those of lanes, then those of partition keys, each
  /// in the order of their keys; at most `limit`, 1 or more, behind `last`. All of one moment.
  public func entries(
    of table: String, partitionKey: String? = nil, after last: Entry? = nil, limit: Int
  ) throws -> [Entry] {
    var prefix = try TableEntryKey.prefix(table)
    if let partitionKey {
      let owner = TableOwner.partitionKey(HashKey(partitionKey: partitionKey))
      prefix = try TableEntryKey.prefix(table, owner, in: TableLane(shard: ShardNumber(0)))
    }
    // The next key after any is that key and a zero.
    let start = try last.map { try Self.place(of: $0, in: table).bytes + [0] } ?? prefix
    var entries: [Entry] = []
    try store.forEachTableEntry(of: mapping, from: start) { place, value in
      guard entries.count < max(1, limit), place.bytes.starts(with: prefix), let parts = place.parts else {
        return false
      }
      entries.append(Entry(owner: parts.owner, key: parts.key, value: value))
      return true
    }
    return entries
  }

  private static func place(of entry: Entry, in table: String) throws(TableError) -> TableEntryKey {
    let (owner, lane): (TableOwner, TableLane) =
      switch entry.owner {
      case .lane(let shard, let slot): (.lane, TableLane(shard: shard, slot: slot))
      case .partitionKey(let key): (.partitionKey(key), TableLane(shard: ShardNumber(0)))
      }
    return TableEntryKey(bytes: try TableEntryKey.prefix(table, owner, in: lane) + entry.key)
  }
}
