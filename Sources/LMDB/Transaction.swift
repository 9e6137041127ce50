internal import CLMDB

/// A named table of an environment.
public struct Database: Hashable, Sendable {
  let handle: MDB_dbi
}

/// What ``WriteTransaction/put(_:_:in:mode:)`` does about keys that are there.
public enum PutMode: Sendable {
  /// Replaces the value.
  case replace
  /// The key lies behind every other key of the table; fails otherwise. Saves the search and fills pages to the end.
  case append
}

/// How large a table is.
public struct TableStatistics: Hashable, Sendable {
  public var entryCount: Int
  /// Pages of branches, leaves and large values.
  public var pageCount: Int
  public var pageBytes: Int
}

/// A consistent view of the environment, valid inside the closure of ``Environment/read(_:)``.
@safe
public struct ReadTransaction: ~Copyable, ~Escapable {
  let handle: OpaquePointer

  @_lifetime(borrow environment)
  init(handle: OpaquePointer, environment: borrowing Environment) {
    unsafe self.handle = handle
  }

  /// The value of `key`, or `nil`. A view of the file, without a copy.
  @_lifetime(borrow self)
  public func value(_ key: Key, in table: Database) throws(LMDBError) -> RawSpan? {
    var value = unsafe MDB_val()
    let transaction = unsafe handle
    let code = unsafe key.withBytes { bytes in
      var keyValue = unsafe MDB_val(bytes)
      return unsafe mdb_get(transaction, table.handle, &keyValue, &value)
    }
    guard try found(code) else { return nil }
    let span = unsafe RawSpan(_unsafeBytes: value.bytes)
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// The value of a key of any length up to 511 bytes, or `nil`.
  @_lifetime(borrow self)
  public func value(atBytes key: [UInt8], in table: Database) throws(LMDBError) -> RawSpan? {
    var value = unsafe MDB_val()
    let transaction = unsafe handle
    let code = unsafe key.withUnsafeBytes { bytes in
      var keyValue = unsafe MDB_val(bytes)
      return unsafe mdb_get(transaction, table.handle, &keyValue, &value)
    }
    guard try found(code) else { return nil }
    let span = unsafe RawSpan(_unsafeBytes: value.bytes)
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// A cursor that stands nowhere yet.
  @_lifetime(borrow self)
  public func cursor(in table: Database) throws(LMDBError) -> Cursor {
    var pointer: OpaquePointer?
    try unsafe check(mdb_cursor_open(handle, table.handle, &pointer))
    let cursor = unsafe Cursor(handle: pointer.unsafelyUnwrapped)
    return unsafe _overrideLifetime(cursor, borrowing: self)
  }

  public func statistics(of table: Database) throws(LMDBError) -> TableStatistics {
    try unsafe TableStatistics(transaction: handle, table: table)
  }
}

/// The one transaction that may change the environment, valid inside the closure of ``Environment/write(_:)``.
@safe
public struct WriteTransaction: ~Copyable, ~Escapable {
  let handle: OpaquePointer

  @_lifetime(borrow environment)
  init(handle: OpaquePointer, environment: borrowing Environment) {
    unsafe self.handle = handle
  }

  /// The value of `key`, or `nil`. It cannot be used any more after the next change: LMDB's own rule.
  @_lifetime(borrow self)
  public func value(_ key: Key, in table: Database) throws(LMDBError) -> RawSpan? {
    var value = unsafe MDB_val()
    let transaction = unsafe handle
    let code = unsafe key.withBytes { bytes in
      var keyValue = unsafe MDB_val(bytes)
      return unsafe mdb_get(transaction, table.handle, &keyValue, &value)
    }
    guard try found(code) else { return nil }
    let span = unsafe RawSpan(_unsafeBytes: value.bytes)
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// A cursor that stands nowhere yet. While it lives, only it can change the transaction.
  @_lifetime(&self)
  public mutating func cursor(in table: Database) throws(LMDBError) -> Cursor {
    var pointer: OpaquePointer?
    try unsafe check(mdb_cursor_open(handle, table.handle, &pointer))
    let cursor = unsafe Cursor(handle: pointer.unsafelyUnwrapped)
    return unsafe _overrideLifetime(cursor, mutating: &self)
  }

  /// Stores a copy of `bytes` under `key`.
  @_lifetime(self: copy self)
  public mutating func put(
    _ key: Key, _ bytes: RawSpan, in table: Database, mode: PutMode = .replace
  ) throws(LMDBError) {
    let transaction = unsafe handle
    let code = unsafe bytes.withUnsafeBytes { valueBytes in
      unsafe key.withBytes { keyBytes in
        var keyValue = unsafe MDB_val(keyBytes)
        var value = unsafe MDB_val(valueBytes)
        return unsafe mdb_put(transaction, table.handle, &keyValue, &value, mode.flags)
      }
    }
    try check(code)
  }

  /// Stores a copy of `bytes` under `key`.
  @_lifetime(self: copy self)
  public mutating func put(
    _ key: Key, _ bytes: [UInt8], in table: Database, mode: PutMode = .replace
  ) throws(LMDBError) {
    try unsafe put(key, bytes.span.bytes, in: table, mode: mode)
  }

  /// Makes room for `byteCount` bytes under `key` and lets `fill` write them where they will stand. `fill` gets memory
  /// with undefined contents and must write all of it.
  @_lifetime(self: copy self)
  public mutating func put(
    _ key: Key, byteCount: Int, in table: Database, mode: PutMode = .replace,
    fill: (UnsafeMutableRawBufferPointer) -> Void
  ) throws(LMDBError) {
    let transaction = unsafe handle
    var value = unsafe MDB_val(mv_size: byteCount, mv_data: nil)
    let code = unsafe key.withBytes { keyBytes in
      var keyValue = unsafe MDB_val(keyBytes)
      return unsafe mdb_put(transaction, table.handle, &keyValue, &value, mode.flags | UInt32(MDB_RESERVE))
    }
    try check(code)
    unsafe fill(UnsafeMutableRawBufferPointer(start: value.mv_data, count: value.mv_size))
  }

  /// Makes room for `byteCount` bytes under a key of any length up to 511 bytes; see the function above.
  @_lifetime(self: copy self)
  public mutating func put(
    atBytes key: [UInt8], byteCount: Int, in table: Database, fill: (UnsafeMutableRawBufferPointer) -> Void
  ) throws(LMDBError) {
    let transaction = unsafe handle
    var value = unsafe MDB_val(mv_size: byteCount, mv_data: nil)
    let code = unsafe key.withUnsafeBytes { keyBytes in
      var keyValue = unsafe MDB_val(keyBytes)
      return unsafe mdb_put(transaction, table.handle, &keyValue, &value, UInt32(MDB_RESERVE))
    }
    try check(code)
    unsafe fill(UnsafeMutableRawBufferPointer(start: value.mv_data, count: value.mv_size))
  }

  /// Removes a key of any length up to 511 bytes; whether it was there.
  @discardableResult
  @_lifetime(self: copy self)
  public mutating func delete(atBytes key: [UInt8], in table: Database) throws(LMDBError) -> Bool {
    let transaction = unsafe handle
    let code = unsafe key.withUnsafeBytes { bytes in
      var keyValue = unsafe MDB_val(bytes)
      return unsafe mdb_del(transaction, table.handle, &keyValue, nil)
    }
    return try found(code)
  }

  /// Removes `key`; whether it was there.
  @discardableResult
  @_lifetime(self: copy self)
  public mutating func delete(_ key: Key, in table: Database) throws(LMDBError) -> Bool {
    let transaction = unsafe handle
    let code = unsafe key.withBytes { bytes in
      var keyValue = unsafe MDB_val(bytes)
      return unsafe mdb_del(transaction, table.handle, &keyValue, nil)
    }
    return try found(code)
  }

  /// Removes every entry of the table, which stays. Frees its pages without a look at what stands on them.
  @_lifetime(self: copy self)
  public mutating func removeAll(in table: Database) throws(LMDBError) {
    try unsafe check(mdb_drop(handle, table.handle, 0))
  }

  public func statistics(of table: Database) throws(LMDBError) -> TableStatistics {
    try unsafe TableStatistics(transaction: handle, table: table)
  }
}

extension PutMode {
  var flags: UInt32 {
    switch self {
    case .replace: 0
    case .append: UInt32(MDB_APPEND)
    }
  }
}

extension TableStatistics {
  init(transaction: OpaquePointer, table: Database) throws(LMDBError) {
    var statistics = MDB_stat()
    try unsafe check(mdb_stat(transaction, table.handle, &statistics))
    self.init(
      entryCount: Int(statistics.ms_entries),
      pageCount: Int(statistics.ms_branch_pages + statistics.ms_leaf_pages + statistics.ms_overflow_pages),
      pageBytes: Int(statistics.ms_psize))
  }
}

extension MDB_val {
  init(_ bytes: UnsafeRawBufferPointer) {
    unsafe self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
  }

  var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
}
