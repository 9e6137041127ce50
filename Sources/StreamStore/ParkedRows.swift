internal import LMDB
public import StreamModel

/// What became of a parked key, written in the transaction of its lane's progress.
public struct ParkedUpdate: Hashable, Sendable {
  public var key: PartitionKeyHash
  public var change: Change
  /// Records that were parked, behind all that are there.
  public var added: [RecordRange]

  public enum Change: Hashable, Sendable {
    /// The key is parked no more: everything of it goes.
    case removed
    /// Only records were added.
    case extended
    /// What is known of the key is another, and its records before this one are settled.
    case changed(payload: [UInt8], settledBefore: RecordIndex)
  }

  public init(key: PartitionKeyHash, change: Change, added: [RecordRange]) {
    self.key = key
    self.change = change
    self.added = added
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
      return keys
    }
  }
}

extension StoreWriter {
  /// Nothing of a key is read that does not change: what was parked is appended as a row of its own, and rows leave when
  /// all of theirs is settled.
  @_lifetime(transaction: copy transaction)
  func store(
    _ updates: [ParkedUpdate], of lane: LaneKey, in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    guard let table = layout.parked else { return }
    for update in updates {
      let key = Key(parkedOf: lane, update.key)
      switch update.change {
      case .removed:
        try removeRows(beginningWith: key, in: &transaction)
      case .extended:
        break
      case .changed(let payload, let settledBefore):
        var writer = ByteWriter()
        writer.write(payload)
        try transaction.put(key, writer.bytes, in: table)
        try removeRows(of: key, before: settledBefore, in: &transaction)
      }
      var start = 0
      while start < update.added.count {
        let end = min(start + Self.rangesOfRow, update.added.count)
        let ranges = Array(update.added[start..<end])
        var row = key
        row.append(ranges[0].first.rawValue)
        try transaction.put(row, ranges.encoded(), in: table)
        start = end
      }
    }
  }

  private static var rangesOfRow: Int { 4_096 }

  /// Rows of a parked key all of whose records are before `index`.
  @_lifetime(transaction: copy transaction)
  private func removeRows(
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

  /// Everything whose key begins so: a parked key, or all of a lane, of a mapping on a stream, of a mapping.
  @_lifetime(transaction: copy transaction)
  func removeRows(beginningWith prefix: Key, in transaction: inout WriteTransaction) throws(LMDBError) {
    guard let table = layout.parked else { return }
    var rows = try transaction.cursor(in: table)
    var isThere = try rows.seek(atOrAfter: prefix)
    while isThere, rows.key.begins(with: prefix) {
      try rows.delete()
      isThere = try rows.next()
    }
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

  fileprivate func begins(with prefix: Key) -> Bool {
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
