internal import CXXHash
internal import LMDB
public import StreamModel

/// The tables that transactional handlers write, all in one table of the store: keyed by the mapping's number and the
/// bytes of a ``TableEntryKey``.
///
/// Behind each value stands its checksum, XXH3 seeded with the key, as behind those of a ``SmallTable``; keys are longer
/// here.
enum StoredTables {
  static let checksumByteCount = 8
  /// What an entry takes besides key and value, about: the mapping, the checksum, LMDB's head.
  static let overheadByteCount = 24
  /// Seeds the checksums, beside the numbers of ``SmallTable/Kind``.
  private static let seed: UInt64 = 0x7461_626c_6573

  static func key(_ mapping: MappingNumber, _ entry: [UInt8]) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(4 + entry.count)
    for shift: UInt32 in [24, 16, 8, 0] { key.append(UInt8(truncatingIfNeeded: mapping.rawValue >> shift)) }
    key.append(contentsOf: entry)
    return key
  }

  /// The mapping that a key of the store's table belongs to.
  static func mapping(of key: [UInt8]) -> MappingNumber {
    MappingNumber(key.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
  }

  static func checksum(of value: UnsafeRawBufferPointer, at key: [UInt8]) -> UInt64 {
    let seed = unsafe key.withUnsafeBytes { unsafe sluice_xxh3($0.baseAddress, $0.count, Self.seed) }
    return unsafe sluice_xxh3(value.baseAddress, value.count, seed)
  }

  /// The value without its checksum, which must match.
  static func value(verifying stored: RawSpan, at key: [UInt8]) throws(LMDBError) -> [UInt8] {
    let bytes = unsafe stored.withUnsafeBytes { stored -> [UInt8]? in
      let end = stored.count - checksumByteCount
      guard end >= 0 else { return nil }
      let found = unsafe UInt64(littleEndian: stored.loadUnaligned(fromByteOffset: end, as: UInt64.self))
      let value = unsafe UnsafeRawBufferPointer(rebasing: stored[..<end])
      return unsafe checksum(of: value, at: key) == found ? Array(value) : nil
    }
    guard let bytes else { throw .corrupted(describe(key) + ": its checksum does not match") }
    return bytes
  }

  private static func describe(_ key: [UInt8]) -> String {
    let table = TableEntryKey(bytes: Array(key.dropFirst(4))).parts?.table
    return "table \(table ?? "without a name") of mapping \(mapping(of: key).rawValue)"
  }
}

extension WriteTransaction {
  /// Puts and deletes entries of one mapping.
  @_lifetime(self: copy self)
  mutating func apply(_ writes: TableWrites, of mapping: MappingNumber, in table: Database) throws(LMDBError) {
    for (entry, value) in writes {
      let key = StoredTables.key(mapping, entry.bytes)
      guard let value else {
        try delete(atBytes: key, in: table)
        continue
      }
      try unsafe put(atBytes: key, byteCount: value.count + StoredTables.checksumByteCount, in: table) { memory in
        unsafe value.withUnsafeBytes { value in
          unsafe memory.copyMemory(from: value)
          let checksum = unsafe StoredTables.checksum(of: value, at: key)
          unsafe memory.storeBytes(of: checksum.littleEndian, toByteOffset: value.count, as: UInt64.self)
        }
      }
    }
  }
}

extension ReadTransaction {
  /// Calls `body` with the verified entries of a mapping from this key on, in order, as long as it returns `true`.
  func forEachEntry(
    of mapping: MappingNumber, from entry: [UInt8], in table: Database,
    _ body: (TableEntryKey, [UInt8]) -> Bool
  ) throws(LMDBError) {
    var cursor = try cursor(in: table)
    var isThere = try cursor.seek(atOrAfterBytes: StoredTables.key(mapping, entry))
    while isThere {
      let key = cursor.keyBytes
      guard StoredTables.mapping(of: key) == mapping else { return }
      let value = try StoredTables.value(verifying: cursor.value, at: key)
      guard body(TableEntryKey(bytes: Array(key.dropFirst(4))), value) else { return }
      isThere = try cursor.next()
    }
  }
}

extension StreamStore {
  /// The durable value of an entry of a mapping's tables; `nil` if there is none.
  public func tableValue(of key: TableEntryKey, _ mapping: MappingNumber) throws(StoreError) -> [UInt8]? {
    guard let table = layout.tables else { return nil }
    let bytes = StoredTables.key(mapping, key.bytes)
    return try reading { transaction throws(LMDBError) in
      guard let stored = try transaction.value(atBytes: bytes, in: table) else { return nil }
      return try StoredTables.value(verifying: stored, at: bytes)
    }
  }

  /// Calls `body` with durable entries of a mapping's tables, from this place on and in the order of their keys, as long
  /// as it returns `true`. All of one moment; keep it short, for the sake of the file's size.
  public func forEachTableEntry(
    of mapping: MappingNumber, from key: [UInt8] = [], _ body: (TableEntryKey, [UInt8]) -> Bool
  ) throws(StoreError) {
    guard let table = layout.tables else { return }
    try reading { transaction throws(LMDBError) in
      try transaction.forEachEntry(of: mapping, from: key, in: table, body)
    }
  }

  /// The names of the tables of a mapping that have entries, in order. One search for each of them.
  public func tableNames(of mapping: MappingNumber) throws(StoreError) -> [String] {
    guard let table = layout.tables else { return [] }
    return try reading { transaction throws(LMDBError) in
      var names: [String] = []
      var cursor = try transaction.cursor(in: table)
      var isThere = try cursor.seek(atOrAfterBytes: StoredTables.key(mapping, []))
      while isThere {
        let key = cursor.keyBytes
        guard StoredTables.mapping(of: key) == mapping else { break }
        guard let name = TableEntryKey(bytes: Array(key.dropFirst(4))).parts?.table else {
          throw LMDBError.corrupted("a table of mapping \(mapping.rawValue) has a key that no handler can have written")
        }
        names.append(name)
        // Owners begin with 0 or 1.
        isThere = try cursor.seek(
          atOrAfterBytes: StoredTables.key(mapping, [UInt8(name.utf8.count)] + name.utf8 + [.max]))
      }
      return names.sorted()
    }
  }
}

extension StoreWriter {
  /// The mappings that have entries in this table and are not there any more.
  static func orphans(
    of table: Database, _ catalog: Catalog, in environment: Environment
  ) throws(LMDBError) -> [MappingNumber] {
    try environment.read { transaction throws(LMDBError) in
      var orphans: [MappingNumber] = []
      var cursor = try transaction.cursor(in: table)
      var isThere = try cursor.first()
      while isThere {
        let mapping = StoredTables.mapping(of: cursor.keyBytes)
        if catalog.mappings[mapping] == nil { orphans.append(mapping) }
        guard mapping.rawValue < .max else { break }
        isThere = try cursor.seek(atOrAfterBytes: StoredTables.key(MappingNumber(mapping.rawValue + 1), []))
      }
      return orphans
    }
  }

  /// Removes some entries of a mapping that was deleted, in a transaction of its own; whether all are gone.
  func removeSomeEntries(of mapping: MappingNumber, in table: Database) throws(LMDBError) -> Bool {
    try environment.write { transaction throws(LMDBError) in
      var cursor = try transaction.cursor(in: table)
      var isThere = try cursor.seek(atOrAfterBytes: StoredTables.key(mapping, []))
      var removed = 0
      while isThere, StoredTables.mapping(of: cursor.keyBytes) == mapping {
        guard removed < Self.entriesRemovedAtOnce else { return false }
        try cursor.delete()
        removed += 1
        isThere = try cursor.next()
      }
      return true
    }
  }

  private static var entriesRemovedAtOnce: Int { 256 }
}
