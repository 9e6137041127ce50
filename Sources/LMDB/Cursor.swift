internal import CLMDB

/// A place in a table. It stands on an entry after a move that returned `true`, and nowhere otherwise.
@safe
public struct Cursor: ~Copyable, ~Escapable {
  private let handle: OpaquePointer
  private var keyValue = unsafe MDB_val()
  private var currentValue = unsafe MDB_val()

  @_lifetime(immortal)
  init(handle: OpaquePointer) {
    unsafe self.handle = handle
  }

  deinit {
    unsafe mdb_cursor_close(handle)
  }

  @_lifetime(self: copy self)
  public mutating func first() throws(LMDBError) -> Bool { try move(MDB_FIRST) }

  @_lifetime(self: copy self)
  public mutating func last() throws(LMDBError) -> Bool { try move(MDB_LAST) }

  /// To the entry behind, or to the first from nowhere. After ``delete()`` the entry behind is the one that followed.
  @_lifetime(self: copy self)
  public mutating func next() throws(LMDBError) -> Bool { try move(MDB_NEXT) }

  @_lifetime(self: copy self)
  public mutating func previous() throws(LMDBError) -> Bool { try move(MDB_PREV) }

  /// To the first entry whose key is not less than `key`.
  @_lifetime(self: copy self)
  public mutating func seek(atOrAfter key: Key) throws(LMDBError) -> Bool {
    let cursor = unsafe handle
    var moved = unsafe MDB_val()
    var value = unsafe MDB_val()
    let code = unsafe key.withBytes { bytes in
      unsafe moved = unsafe MDB_val(bytes)
      return unsafe mdb_cursor_get(cursor, &moved, &value, MDB_SET_RANGE)
    }
    unsafe keyValue = moved
    unsafe currentValue = value
    return try found(code)
  }

  /// To the first entry whose key is not less than `key`, of any length up to 511 bytes.
  @_lifetime(self: copy self)
  public mutating func seek(atOrAfterBytes key: [UInt8]) throws(LMDBError) -> Bool {
    let cursor = unsafe handle
    var moved = unsafe MDB_val()
    var value = unsafe MDB_val()
    let code = unsafe key.withUnsafeBytes { bytes in
      unsafe moved = unsafe MDB_val(bytes)
      return unsafe mdb_cursor_get(cursor, &moved, &value, MDB_SET_RANGE)
    }
    unsafe keyValue = moved
    unsafe currentValue = value
    return try found(code)
  }

  /// To the last entry whose key is not greater than `key`.
  @_lifetime(self: copy self)
  public mutating func seek(atOrBefore key: Key) throws(LMDBError) -> Bool {
    guard try seek(atOrAfter: key) else { return try last() }
    if self.key == key { return true }
    return try previous()
  }

  /// Removes the entry that the cursor stands on. Only in a write transaction.
  @_lifetime(self: copy self)
  public mutating func delete() throws(LMDBError) {
    try unsafe check(mdb_cursor_del(handle, 0))
  }

  /// A copy of the key that the cursor stands on.
  public var key: Key {
    unsafe Key(keyValue.bytes)
  }

  /// The bytes of the key that the cursor stands on. For tables whose keys may be longer than a ``Key``.
  public var keyBytes: [UInt8] {
    unsafe Array(keyValue.bytes)
  }

  /// The value that the cursor stands on: a view of the file that ends with the next move.
  public var value: RawSpan {
    @_lifetime(borrow self) get {
      let span = unsafe RawSpan(_unsafeBytes: currentValue.bytes)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  @_lifetime(self: copy self)
  private mutating func move(_ operation: MDB_cursor_op) throws(LMDBError) -> Bool {
    var key = unsafe keyValue
    var value = unsafe currentValue
    let code = unsafe mdb_cursor_get(handle, &key, &value, operation)
    unsafe keyValue = key
    unsafe currentValue = value
    return try found(code)
  }
}
