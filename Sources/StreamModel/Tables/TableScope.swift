/// The entries of one mapping as they are durable.
public protocol TableReading: Sendable {
  /// The value of an entry; `nil` if there is none.
  func value(of key: TableEntryKey) throws(TableError) -> [UInt8]?

  /// Calls `body` with the entries from this key on, in the order of their keys, as long as it returns `true`.
  func forEach(
    from key: TableEntryKey, _ body: (TableEntryKey, [UInt8]) -> Bool
  ) throws(TableError)
}

/// Tables without an entry. For trying a handler.
public struct NoTables: TableReading {
  public init() {}
  public func value(of key: TableEntryKey) -> [UInt8]? { nil }
  public func forEach(from key: TableEntryKey, _ body: (TableEntryKey, [UInt8]) -> Bool) {}
}

/// Entries to put and, where the value is `nil`, to delete.
public typealias TableWrites = [TableEntryKey: [UInt8]?]

/// The tables of a mapping as the handler of one batch sees and changes them.
///
/// A read gives what this handler has written, else what earlier batches of the lane have, else what is durable. No other
/// lane can write what this one can: see ``TableOwner``. Tables need no declaration, and no other mapping sees them.
public struct TableScope: Sendable {
  private let tables: any TableReading
  private let lane: TableLane
  /// What batches of the lane wrote that is not durable yet, the newest first.
  private let earlier: [TableWrites]
  private let recordCount: Int
  private var writes: TableWrites = [:]
  private var byteCount = 0
  /// What was overwritten since a record was first begun.
  private var overwritten: [(key: TableEntryKey, former: [UInt8]??)] = []
  /// The records that were begun, and how much was overwritten before.
  private var begun: [(position: Int, overwrittenCount: Int)] = []

  /// A scope for the handler of a batch of `recordCount` records.
  public init(
    tables: any TableReading = NoTables(), lane: TableLane = TableLane(shard: ShardNumber(0)),
    earlier: [TableWrites] = [], recordCount: Int
  ) {
    self.tables = tables
    self.lane = lane
    self.earlier = earlier
    self.recordCount = recordCount
  }

  // MARK: Reading and writing

  /// The value of `key`, 1 ... 256 bytes; `nil` if there is none.
  public func get(
    _ key: some Collection<UInt8>, from table: String, of owner: TableOwner = .lane
  ) throws(TableError) -> [UInt8]? {
    let key = try entryKey(key, table, owner)
    if let own = writes[key] { return own }
    for layer in earlier {
      if let value = layer[key] { return value }
    }
    return try tables.value(of: key)
  }

  /// Puts a value of at most 1 MiB under `key`, in the place of the former one. A batch may put and delete 65,536 entries
  /// of 4 MiB together.
  public mutating func put(
    _ key: some Collection<UInt8>, _ value: [UInt8], into table: String, of owner: TableOwner = .lane
  ) throws(TableError) {
    guard value.count <= TableLimits.valueByteCount else { throw .valueTooLarge(byteCount: value.count) }
    try write(value, at: try entryKey(key, table, owner))
  }

  /// Removes `key`, whether or not it is there.
  public mutating func delete(
    _ key: some Collection<UInt8>, from table: String, of owner: TableOwner = .lane
  ) throws(TableError) {
    try write(nil, at: try entryKey(key, table, owner))
  }

  /// Entries in the order of their keys' bytes, from `start` on and only those whose keys begin with `prefix`; at most
  /// `limit`, 1 ... 10,000. For more, scan again from behind the last one.
  public func scan(
    _ table: String, of owner: TableOwner = .lane, prefix: [UInt8] = [], from start: [UInt8] = [], limit: Int = 1_000
  ) throws(TableError) -> [(key: [UInt8], value: [UInt8])] {
    let base = try TableEntryKey.prefix(table, owner, in: lane)
    let wanted = base + prefix
    let first = TableEntryKey(bytes: base + (start.lexicographicallyPrecedes(prefix) ? prefix : start))
    let limit = max(1, min(limit, TableLimits.entriesOfScan))
    var merge = TableMerge(pending: pending(from: first, beginningWith: wanted), limit: limit)
    try tables.forEach(from: first) { key, value in
      guard key.bytes.starts(with: wanted) else { return false }
      return merge.take(key, value)
    }
    merge.takeRest()
    return merge.entries.map { (Array($0.0.bytes.dropFirst(base.count)), $0.1) }
  }

  private func pending(
    from first: TableEntryKey, beginningWith prefix: [UInt8]
  ) -> [(key: TableEntryKey, value: [UInt8]?)] {
    var found: TableWrites = [:]
    for layer in earlier.reversed() + [writes] {
      for (key, value) in layer where key >= first && key.bytes.starts(with: prefix) { found[key] = .some(value) }
    }
    return found.map { ($0.key, $0.value) }.sorted { $0.key < $1.key }
  }

  private func entryKey(
    _ key: some Collection<UInt8>, _ table: String, _ owner: TableOwner
  ) throws(TableError) -> TableEntryKey {
    let count = key.count
    guard (1...TableLimits.keyByteCount).contains(count) else { throw .invalidKey(byteCount: count) }
    var bytes = try TableEntryKey.prefix(table, owner, in: lane)
    bytes.append(contentsOf: key)
    return TableEntryKey(bytes: bytes)
  }

  private mutating func write(_ value: [UInt8]?, at key: TableEntryKey) throws(TableError) {
    let former = writes.updateValue(value, forKey: key)
    byteCount += Self.byteCount(key, value) - (former.map { Self.byteCount(key, $0) } ?? 0)
    if writes.count > TableLimits.entriesOfBatch || byteCount > TableLimits.bytesOfBatch {
      let problem = TableError.tooManyWrites(entries: writes.count, bytes: byteCount)
      restore(key, former)
      throw problem
    }
    if !begun.isEmpty { overwritten.append((key, former)) }
  }

  private mutating func restore(_ key: TableEntryKey, _ former: [UInt8]??) {
    if let current = writes[key] { byteCount -= Self.byteCount(key, current) }
    if let former {
      writes[key] = .some(former)
      byteCount += Self.byteCount(key, former)
    } else {
      writes.removeValue(forKey: key)
    }
  }

  private static func byteCount(_ key: TableEntryKey, _ value: [UInt8]?) -> Int {
    key.bytes.count + (value?.count ?? 0)
  }

  // MARK: A part of a batch

  /// What is written from here on belongs to the record at `position`, until another one begins. Only needed by a handler
  /// that answers ``HandlerOutcome/failed(at:)``: the writes from the record it names on are forgotten.
  public mutating func begin(at position: Int) throws(TableError) {
    let least = begun.last.map { $0.position + 1 } ?? 0
    guard position >= least, position < recordCount else {
      throw .invalidPosition(position, count: recordCount)
    }
    begun.append((position, overwritten.count))
  }

  /// What was written for all records, or for the `position` first ones. `nil` if nobody can tell what belongs to those:
  /// something was written, and the record at `position` was not begun.
  public mutating func takeWrites(ofFirst position: Int? = nil) -> TableWrites? {
    guard let position else { return writes }
    if writes.isEmpty { return [:] }
    guard let mark = begun.last(where: { $0.position == position }) else { return nil }
    while overwritten.count > mark.overwrittenCount {
      let last = overwritten.removeLast()
      restore(last.key, last.former)
    }
    return writes
  }
}

/// Durable entries and those on their way, in one order.
private struct TableMerge {
  let pending: [(key: TableEntryKey, value: [UInt8]?)]
  let limit: Int
  var next = 0
  var entries: [(TableEntryKey, [UInt8])] = []

  init(pending: [(key: TableEntryKey, value: [UInt8]?)], limit: Int) {
    self.pending = pending
    self.limit = limit
  }

  /// Whether there is room for more.
  mutating func take(_ key: TableEntryKey, _ value: [UInt8]) -> Bool {
    while next < pending.count, pending[next].key < key, entries.count < limit { takePending() }
    guard entries.count < limit else { return false }
    if next < pending.count, pending[next].key == key { takePending() } else { entries.append((key, value)) }
    return entries.count < limit
  }

  mutating func takeRest() {
    while next < pending.count, entries.count < limit { takePending() }
  }

  private mutating func takePending() {
    if let value = pending[next].value { entries.append((pending[next].key, value)) }
    next += 1
  }
}
