internal import CXXHash
internal import LMDB

/// A table of small values: all of the store but the blocks, which have checksums in their heads.
///
/// LMDB has none, so behind each value stands one: XXH3 over the value, seeded with its table and key. What was changed,
/// cut short or put in another's place is found when it is read.
struct SmallTable: Hashable, Sendable {
  let kind: Kind
  let database: Database

  static let checksumByteCount = 8

  /// The raw values are part of the format: they seed the checksums.
  enum Kind: UInt64, CaseIterable {
    case meta = 1
    case streams
    case shards
    case lanes
    case mappings
    case failures
    case failurePayloads
    case failureKeys
    case audit
    case outbox
    case parked
    case parkedLog
    case failureTimes
  }

  fileprivate func checksum(of value: UnsafeRawBufferPointer, at key: Key) -> UInt64 {
    let seed = unsafe key.withBytes { unsafe sluice_xxh3($0.baseAddress, $0.count, kind.rawValue) }
    return unsafe sluice_xxh3(value.baseAddress, value.count, seed)
  }
}

extension SmallTable.Kind {
  var name: String { "\(self)" }

  /// The numbers of a key, in its order; none for a table whose keys are names.
  private var keyFields: [(name: String, byteCount: Int)] {
    switch self {
    case .meta: []
    case .streams: [("stream", 4)]
    case .shards: [("stream", 4), ("shard", 4)]
    case .lanes: [("mapping", 4), ("stream", 4), ("shard", 4), ("lane", 1)]
    case .mappings: [("mapping", 4)]
    case .failures, .failurePayloads: [("failure entry", 8)]
    case .failureKeys: [("mapping", 4), ("stream", 4), ("shard", 4), ("first record", 8), ("last record", 8)]
    case .failureTimes: [("mapping", 4), ("time", 8), ("failure entry", 8)]
    case .outbox: [("mapping", 4), ("failure entry", 8)]
    case .audit: [("audit entry", 8)]
    case .parked:
      [("mapping", 4), ("stream", 4), ("shard", 4), ("lane", 1), ("key", 8), ("first record", 8)]
    case .parkedLog:
      [("mapping", 4), ("stream", 4), ("shard", 4), ("lane", 1), ("row", 8)]
    }
  }

  /// The place of an entry in words: `table lanes, mapping 1, stream 1, shard 3`.
  func describe(_ key: Key) -> String {
    var words = ["table \(name)"]
    var position = 0
    for field in keyFields where position + field.byteCount <= key.count {
      let number: UInt64 =
        switch field.byteCount {
        case 1: UInt64(key.number(at: position, as: UInt8.self))
        case 4: UInt64(key.number(at: position, as: UInt32.self))
        default: key.number(at: position)
        }
      words.append("\(field.name) \(number)")
      position += field.byteCount
    }
    if keyFields.isEmpty {
      let name = (0..<key.count).map { key.number(at: $0, as: UInt8.self) }
      words.append(String(decoding: name, as: UTF8.self))
    }
    return words.joined(separator: ", ")
  }
}

extension ByteReader {
  /// Reads a value that stands in the table, once its checksum is verified.
  init(verifying stored: RawSpan, at key: Key, in table: SmallTable) throws(LMDBError) {
    let bytes = unsafe stored.withUnsafeBytes { stored -> [UInt8]? in
      let end = stored.count - SmallTable.checksumByteCount
      guard end >= 0 else { return nil }
      let checksum = unsafe UInt64(littleEndian: stored.loadUnaligned(fromByteOffset: end, as: UInt64.self))
      let value = unsafe UnsafeRawBufferPointer(rebasing: stored[..<end])
      return unsafe table.checksum(of: value, at: key) == checksum ? Array(value) : nil
    }
    guard let bytes else { throw .corrupted("\(table.kind.describe(key)): its checksum does not match") }
    self.init(bytes, at: key, in: table.kind)
  }
}

extension ReadTransaction {
  /// The value of `key`, verified; `nil` if there is none.
  func value(_ key: Key, in table: SmallTable) throws(LMDBError) -> ByteReader? {
    guard let stored = try value(key, in: table.database) else { return nil }
    return try ByteReader(verifying: stored, at: key, in: table)
  }

  @_lifetime(borrow self)
  func cursor(in table: SmallTable) throws(LMDBError) -> Cursor { try cursor(in: table.database) }
}

extension WriteTransaction {
  /// The value of `key`, verified; `nil` if there is none.
  func value(_ key: Key, in table: SmallTable) throws(LMDBError) -> ByteReader? {
    guard let stored = try value(key, in: table.database) else { return nil }
    return try ByteReader(verifying: stored, at: key, in: table)
  }

  @_lifetime(&self)
  mutating func cursor(in table: SmallTable) throws(LMDBError) -> Cursor { try cursor(in: table.database) }

  /// Stores `bytes` under `key`, with their checksum behind them.
  @_lifetime(self: copy self)
  mutating func put(_ key: Key, _ bytes: [UInt8], in table: SmallTable) throws(LMDBError) {
    try unsafe put(key, byteCount: bytes.count + SmallTable.checksumByteCount, in: table.database) { memory in
      unsafe bytes.withUnsafeBytes { value in
        unsafe memory.copyMemory(from: value)
        let checksum = unsafe table.checksum(of: value, at: key)
        unsafe memory.storeBytes(of: checksum.littleEndian, toByteOffset: value.count, as: UInt64.self)
      }
    }
  }

  /// Removes `key`; whether it was there.
  @discardableResult
  @_lifetime(self: copy self)
  mutating func delete(_ key: Key, in table: SmallTable) throws(LMDBError) -> Bool {
    try delete(key, in: table.database)
  }
}

extension Cursor {
  /// The value that the cursor stands on, verified.
  func reader(in table: SmallTable) throws(LMDBError) -> ByteReader {
    try ByteReader(verifying: value, at: key, in: table)
  }
}
