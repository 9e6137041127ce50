internal import LMDB
public import StreamModel

/// What became of a parked key, written in the transaction of its lane's progress.
public struct ParkedUpdate: Hashable, Sendable {
  public var key: PartitionKeyHash
  public var change: Change

  public enum Change: Hashable, Sendable {
    /// The key is parked no more: everything of it goes.
    case removed
    /// What is known of the key is another, and its records before this one are settled.
    case changed(payload: [UInt8], settledBefore: RecordIndex)
  }

  public init(key: PartitionKeyHash, change: Change) {
    self.key = key
    self.change = change
  }
}

/// A parked key as it is stored.
public struct ParkedKeyRecord: Hashable, Sendable {
  public var key: PartitionKeyHash
  /// In a form that only the runtime reads.
  public var payload: [UInt8]
  /// Its records, in order. Some of the first may be settled: the payload says so.
  public var ranges: [RecordRange]
}

extension StreamStore {
  /// The parked keys of a lane, in the order of their hashes.
  public func parkedKeys(of lane: LaneKey) throws(StoreError) -> [ParkedKeyRecord] {
    guard let table = layout.parked else { return [] }
    return try reading { transaction throws(LMDBError) in
      var keys: [ParkedKeyRecord] = []
      let prefix = Key(parkedOf: lane)
      var rows = try transaction.cursor(in: table)
      var isThere = try rows.seek(atOrAfter: prefix)
      while isThere, rows.key.begins(with: prefix) {
        let row = rows.key
        let reader = try rows.reader(in: table)
        if row.isParkedKey {
          var reader = reader
          keys.append(ParkedKeyRecord(key: row.parkedKey, payload: try reader.readBytes(), ranges: []))
        } else if let last = keys.indices.last, keys[last].key == row.parkedKey {
          keys[last].ranges += try [RecordRange](decoding: reader)
        }
        isThere = try rows.next()
      }
      guard let log = layout.parkedLog else { return keys }
      var logged = ParkedLog()
      var logRows = try transaction.cursor(in: log)
      isThere = try logRows.seek(atOrAfter: prefix)
      while isThere, logRows.key.begins(with: prefix) {
        logged.add(try ParkedLogRow(decoding: try logRows.reader(in: log)))
        isThere = try logRows.next()
      }
      for place in keys.indices { logged.append(to: &keys[place].ranges, of: keys[place].key) }
      return keys
    }
  }
}

extension StoreWriter {
  /// Nothing of a key is read that does not change: rows leave when all of theirs is settled, and what was parked is
  /// appended to the lane's log.
  @_lifetime(transaction: copy transaction)
  func storeParked(_ update: LaneUpdate, in transaction: inout WriteTransaction) throws(LMDBError) {
    guard let table = layout.parked else { return }
    var isAnyRemoved = false
    for change in update.parked {
      let key = Key(parkedOf: update.key, change.key)
      switch change.change {
      case .removed:
        try removeRows(beginningWith: key, of: table, in: &transaction)
        isAnyRemoved = true
      case .changed(let payload, let settledBefore):
        var writer = ByteWriter()
        writer.write(payload)
        try transaction.put(key, writer.bytes, in: table)
        try removeRows(of: key, before: settledBefore, in: &transaction)
      }
    }
    let lane = Key(parkedOf: update.key)
    if isAnyRemoved, try !hasRows(beginningWith: lane, of: table, in: &transaction) {
      // What its log has is all settled.
      if let log = layout.parkedLog { try removeRows(beginningWith: lane, of: log, in: &transaction) }
    } else if !update.parkedRecords.isEmpty {
      try log(update.parkedRecords, of: update.key, in: &transaction)
    }
  }

  /// Stores records of a key behind those that it has.
  @_lifetime(transaction: copy transaction)
  func put(
    _ added: [RecordRange], ofParked key: Key, in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    guard let table = layout.parked else { return }
    var start = 0
    while start < added.count {
      let end = min(start + Self.rangesOfRow, added.count)
      let ranges = Array(added[start..<end])
      var row = key
      row.append(ranges[0].first.rawValue)
      try transaction.put(row, ranges.encoded(), in: table)
      start = end
    }
  }

  private static var rangesOfRow: Int { 4_096 }

  /// Rows of a parked key all of whose records are before `index`.
  @_lifetime(transaction: copy transaction)
  func removeRows(
    of key: Key, before index: RecordIndex, in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    guard let table = layout.parked else { return }
    var first = key
    first.append(UInt64(0))
    var rows = try transaction.cursor(in: table)
    var isThere = try rows.seek(atOrAfter: first)
    while isThere, rows.key.begins(with: key), rows.key.parkedFirst < index {
      guard let last = try [RecordRange](decoding: try rows.reader(in: table)).last, last.end <= index else { return }
      try rows.delete()
      isThere = try rows.next()
    }
  }

  /// All that is parked of a lane, of a mapping on a stream, of a mapping.
  @_lifetime(transaction: copy transaction)
  func removeParked(beginningWith prefix: Key, in transaction: inout WriteTransaction) throws(LMDBError) {
    for table in [layout.parked, layout.parkedLog] {
      if let table { try removeRows(beginningWith: prefix, of: table, in: &transaction) }
    }
  }

  /// Everything whose key begins so.
  @_lifetime(transaction: copy transaction)
  func removeRows(
    beginningWith prefix: Key, of table: SmallTable, in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    var rows = try transaction.cursor(in: table)
    var isThere = try rows.seek(atOrAfter: prefix)
    while isThere, rows.key.begins(with: prefix) {
      try rows.delete()
      isThere = try rows.next()
    }
  }

  @_lifetime(transaction: copy transaction)
  private func hasRows(
    beginningWith prefix: Key, of table: SmallTable, in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Bool {
    var rows = try transaction.cursor(in: table)
    return try rows.seek(atOrAfter: prefix) && rows.key.begins(with: prefix)
  }
}

extension Key {
  /// What is parked of a lane begins with this.
  init(parkedOf lane: LaneKey) {
    self.init(lane: lane.mapping, lane.address)
    append(lane.slot)
  }

  init(parkedOf lane: LaneKey, _ key: PartitionKeyHash) {
    self.init(parkedOf: lane)
    append(key.rawValue)
  }

  /// Whether this is the entry of the key itself; the others are of its records.
  var isParkedKey: Bool { count == 21 }
  fileprivate var parkedKey: PartitionKeyHash { PartitionKeyHash(number(at: 13)) }
  fileprivate var parkedFirst: RecordIndex { RecordIndex(number(at: 21)) }

  func begins(with prefix: Key) -> Bool {
    guard count >= prefix.count else { return false }
    for position in 0..<prefix.count
    where number(at: position, as: UInt8.self) != prefix.number(at: position, as: UInt8.self) { return false }
    return true
  }
}

extension [RecordRange] {
  fileprivate func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(UInt32(count))
    for range in self {
      writer.write(range.first)
      writer.write(range.count)
    }
    return writer.bytes
  }

  init(decoding reader: ByteReader) throws(LMDBError) {
    var reader = reader
    let count = try reader.readCount()
    var ranges: [RecordRange] = []
    for _ in 0..<count {
      let first = try reader.readIndex()
      let size = try reader.read(UInt64.self)
      let begin = ranges.last?.end ?? .zero
      guard first >= begin, size > 0, size <= SequenceNumber.greatestIndex,
        first.rawValue <= SequenceNumber.greatestIndex
      else { throw reader.damaged }
      ranges.append(RecordRange(first: first, count: size))
    }
    self = ranges
  }
}
