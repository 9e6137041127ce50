internal import LMDB
internal import StreamModel

/// The log of a lane's parked records: what joined the records of parked keys with one progress is one row, whatever the
/// keys. A row for each key would be a page for each key, in every commit.
///
/// Rows are numbered from 0. When there are many, what they say joins the rows of its keys, and they leave: see
/// ``StoreWriter/log(_:of:in:)``. Until then they may name records that are settled since, and keys that are parked no
/// more. What is known of a key says where its records begin that are not settled, and a key that is parked again begins
/// behind all that it ever had: so what is settled is told from what is not without another look at the log. The last key
/// takes the log along, and so does a lane that is moved to another place.
struct ParkedLogRow {
  /// The entries of the log up to the end of this row.
  var total: UInt64
  var entries: [Entry]

  /// Neighbours in the shard, of one key.
  struct Entry {
    var key: PartitionKeyHash
    var range: RecordRange
  }

  static func encoded(_ records: [ParkedRecord], behind total: UInt64) -> (bytes: [UInt8], total: UInt64) {
    var entryCount: UInt32 = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: headByteCount + records.count * entryByteCount) {
      memory, byteCount in
      let memory = UnsafeMutableRawBufferPointer(memory)
      var end = headByteCount
      var start = 0
      while start < records.count {
        let first = records[start]
        var next = start + 1
        while next < records.count, records[next].key == first.key,
          records[next].index == first.index.advanced(by: next - start)
        { next += 1 }
        unsafe memory.storeBytes(of: first.key.rawValue.littleEndian, toByteOffset: end, as: UInt64.self)
        unsafe memory.storeBytes(of: first.index.rawValue.littleEndian, toByteOffset: end + 8, as: UInt64.self)
        unsafe memory.storeBytes(of: UInt32(next - start).littleEndian, toByteOffset: end + 16, as: UInt32.self)
        end += entryByteCount
        entryCount += 1
        start = next
      }
      unsafe memory.storeBytes(of: (total &+ UInt64(entryCount)).littleEndian, as: UInt64.self)
      unsafe memory.storeBytes(of: entryCount.littleEndian, toByteOffset: 8, as: UInt32.self)
      byteCount = end
    }
    return (bytes, total &+ UInt64(entryCount))
  }

  init(decoding reader: ByteReader) throws(LMDBError) {
    var reader = reader
    total = try reader.read()
    let count = try reader.readCount()
    entries = []
    entries.reserveCapacity(count)
    for _ in 0..<count {
      let key = PartitionKeyHash(try reader.read())
      let first = try reader.readIndex()
      let size = try reader.read(UInt32.self)
      guard size > 0, first.rawValue <= SequenceNumber.greatestIndex else { throw reader.damaged }
      entries.append(Entry(key: key, range: RecordRange(first: first, count: UInt64(size))))
    }
    guard reader.isAtEnd else { throw reader.damaged }
  }

  private static var headByteCount: Int { 12 }
  private static var entryByteCount: Int { 20 }
}

/// What the rows of a lane's log say, by key.
struct ParkedLog {
  private(set) var ranges: [PartitionKeyHash: [RecordRange]] = [:]

  /// Rows come in their order.
  mutating func add(_ row: ParkedLogRow) {
    for entry in row.entries { ranges[entry.key, default: []].append(entry.range) }
  }

  /// Appends the records of a key to those that stand among its own.
  func append(to stored: inout [RecordRange], of key: PartitionKeyHash) {
    for range in ranges[key] ?? [] {
      guard let end = stored.last?.end, range.first <= end else {
        stored.append(range)
        continue
      }
      // Neighbours of the last ones, as long as nothing stands there twice.
      if range.end > end { stored[stored.count - 1].count += end.distance(to: range.end) }
    }
  }
}

extension StoreWriter {
  /// So many rows, or entries in them, and the log is emptied. That takes about as long for an entry as to write it, and
  /// most keys are settled before.
  static var logRowLimit: UInt64 { 1_024 }
  static var logEntryLimit: UInt64 { 262_144 }

  /// Appends a row to the log of the lane. Every so often the log is emptied, in the same transaction.
  @_lifetime(transaction: copy transaction)
  func log(
    _ records: [ParkedRecord], of lane: LaneKey, in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    guard let table = layout.parkedLog else { return }
    let last = try lastLogRow(of: lane, table, in: &transaction)
    let row = last.map { $0.number + 1 } ?? 0
    let total = last?.total ?? 0
    let new = ParkedLogRow.encoded(records, behind: total)
    var key = Key(parkedOf: lane)
    key.append(row)
    try transaction.put(key, new.bytes, in: table)
    let isLong = (row + 1).isMultiple(of: Self.logRowLimit)
    guard isLong || new.total / Self.logEntryLimit > total / Self.logEntryLimit else { return }
    do throws(LMDBError) {
      try emptyLog(of: lane, table, in: &transaction)
    } catch {
      // Whoever opens the lane is told of a damaged row. Until then the others of the transaction have nothing to do with
      // it, and the log grows.
      guard case .corrupted = error else { throw error }
    }
  }

  @_lifetime(transaction: copy transaction)
  private func lastLogRow(
    of lane: LaneKey, _ table: SmallTable, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> (number: UInt64, total: UInt64)? {
    let prefix = Key(parkedOf: lane)
    var end = prefix
    end.append(UInt64.max)
    var rows = try transaction.cursor(in: table)
    guard try rows.seek(atOrBefore: end), rows.key.begins(with: prefix) else { return nil }
    // Only when the log is emptied does more depend on it than that.
    let total = unsafe rows.value.withUnsafeBytes { bytes in
      unsafe bytes.count < 8 ? 0 : UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    }
    return (rows.key.number(at: 13), total)
  }

  /// What the log says joins the rows of its keys. Nothing is changed before all of it was read.
  @_lifetime(transaction: copy transaction)
  private func emptyLog(
    of lane: LaneKey, _ table: SmallTable, in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    guard let keys = layout.parked else { return }
    let prefix = Key(parkedOf: lane)
    let log = try readLog(prefix, table, in: &transaction)
    for hash in log.ranges.keys.sorted() {
      let key = Key(parkedOf: lane, hash)
      guard try transaction.value(key, in: keys.database) != nil else { continue }
      var ranges: [RecordRange] = []
      log.append(to: &ranges, of: hash)
      try put(ranges, ofParked: key, in: &transaction)
    }
    try removeRows(beginningWith: prefix, of: table, in: &transaction)
  }

  @_lifetime(transaction: copy transaction)
  private func readLog(
    _ prefix: Key, _ table: SmallTable, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> ParkedLog {
    var log = ParkedLog()
    var rows = try transaction.cursor(in: table)
    var isThere = try rows.seek(atOrAfter: prefix)
    while isThere, rows.key.begins(with: prefix) {
      log.add(try ParkedLogRow(decoding: try rows.reader(in: table)))
      isThere = try rows.next()
    }
    return log
  }
}
