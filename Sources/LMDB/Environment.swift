internal import CLMDB
internal import Glibc
internal import Locks
internal import Synchronization

/// How an environment is opened.
public struct EnvironmentOptions: Hashable, Sendable {
  /// Address space to reserve, which is the most that the data file can ever grow to. It is not memory and not disk. It
  /// cannot change while the environment is open.
  public var mapBytes: Int
  /// Read transactions at the same time, over all processes.
  public var readerLimit: Int
  /// Named tables.
  public var tableLimit: Int
  /// Commits do not wait for the disk; see ``Environment/sync()``.
  public var skipsSync: Bool
  /// Only to look. The database must exist.
  public var isReadOnly: Bool
  /// Grow the data file ahead of its end.
  public var growsAhead: Bool

  public init(
    mapBytes: Int = 1 << 40, readerLimit: Int = 4096, tableLimit: Int = 32, skipsSync: Bool = false,
    isReadOnly: Bool = false, growsAhead: Bool = true
  ) {
    self.mapBytes = mapBytes
    self.readerLimit = readerLimit
    self.tableLimit = tableLimit
    self.skipsSync = skipsSync
    self.isReadOnly = isReadOnly
    self.growsAhead = growsAhead
  }
}

/// An open LMDB environment: a folder with `data.mdb` and `lock.mdb`.
///
/// Any thread may read. One thread at a time writes; ``write(_:)`` begins and ends its transaction on the thread that
/// calls it, because LMDB's writer lock belongs to a thread and a commit from another one blocks every later writer for
/// ever.
@safe
public final class Environment: Sendable {
  // The pointer is set once, and LMDB locks what it leads to.
  private nonisolated(unsafe) let handle: OpaquePointer
  private let claim: FolderClaim
  private let options: EnvironmentOptions
  private let idleReaders = Monitor(IdleReaders())
  /// The thread inside ``write(_:)``, or 0.
  private let writingThread = Atomic<UInt>(0)
  private let growth: Monitor<FileGrowth>

  /// Read transactions that were reset: beginning again with one costs neither a lock nor an allocation.
  @safe
  private struct IdleReaders: @unchecked Sendable {
    // Unchecked because of the pointers: each belongs to whoever took it out of the list.
    var handles: [OpaquePointer] = unsafe []
    static let limit = 64
  }

  /// Opens the folder `path`, which must exist. Stale readers of dead processes are cleared.
  public init(path: String, options: EnvironmentOptions) throws(LMDBError) {
    MallocSettings.apply
    if !options.isReadOnly {
      // Reaching a limit on file size is an error for the writer to report, not the end of the process.
      signal(SIGXFSZ, SIG_IGN)
    }
    claim = try FolderClaim(path: path)
    unsafe self.handle = try unsafe Self.open(path: path, options: options)
    self.options = options
    unsafe self.growth = Monitor(
      FileGrowth(fileBytes: Self.fileBytes(of: self.handle), usedBytes: Self.usedBytes(of: self.handle)))
  }

  deinit {
    idleReaders.withLock { idle in
      while let reader = unsafe idle.handles.popLast() { unsafe mdb_txn_abort(reader) }
    }
    unsafe mdb_env_close(handle)
  }

  /// Opens the tables `names`, in this order, and creates those that do not exist unless the environment is read-only.
  /// `nil` for a table that does not exist. Call this once, before anything else.
  public func openTables(_ names: [String]) throws(LMDBError) -> [Database?] {
    var transaction: OpaquePointer?
    try unsafe check(mdb_txn_begin(handle, nil, options.isReadOnly ? UInt32(MDB_RDONLY) : 0, &transaction))
    var tables: [Database?] = []
    for name in names {
      var table: MDB_dbi = 0
      let code = unsafe mdb_dbi_open(transaction, name, options.isReadOnly ? 0 : UInt32(MDB_CREATE), &table)
      if code == MDB_NOTFOUND {
        tables.append(nil)
      } else if code == MDB_SUCCESS {
        tables.append(Database(handle: table))
      } else {
        unsafe mdb_txn_abort(transaction)
        throw LMDBError(code: code)
      }
    }
    // Committing is what makes the handles of a read transaction outlive it.
    try unsafe check(mdb_txn_commit(transaction))
    makeRoom(for: 0)
    return tables
  }

  /// Runs `body` on a consistent view. Keep it short: pages that a reader may see are not used again, and the file
  /// grows instead.
  public func read<Result>(
    _ body: (borrowing ReadTransaction) throws(LMDBError) -> Result
  ) throws(LMDBError) -> Result {
    let reader = try unsafe beginReading()
    defer { unsafe endReading(reader) }
    let transaction = unsafe ReadTransaction(handle: reader, environment: self)
    return try body(transaction)
  }

  /// Runs `body` in a write transaction and commits it. If `body` throws, nothing of it remains.
  ///
  /// Waits for a writer in another thread or process. Must not be called inside itself.
  public func write<Result>(
    _ body: (inout WriteTransaction) throws(LMDBError) -> Result
  ) throws(LMDBError) -> Result {
    let thread = UInt(pthread_self())
    precondition(writingThread.load(ordering: .relaxed) != thread, "a write transaction inside another one")
    var pointer: OpaquePointer?
    try unsafe check(mdb_txn_begin(handle, nil, 0, &pointer))
    writingThread.store(thread, ordering: .relaxed)
    fillAhead()
    defer { writingThread.store(0, ordering: .relaxed) }
    let result: Result
    do throws(LMDBError) {
      var transaction = unsafe WriteTransaction(handle: pointer.unsafelyUnwrapped, environment: self)
      result = try body(&transaction)
    } catch {
      unsafe mdb_txn_abort(pointer)
      throw error
    }
    precondition(UInt(pthread_self()) == thread, "a write transaction ends on the thread that began it")
    let code = unsafe mdb_txn_commit(pointer)
    if code != MDB_SUCCESS {
      // LMDB reports a write that was cut short, which is how a full disk begins, as an I/O error.
      if code == EIO && growth.withLock({ $0.isOutOfRoom }) { throw .diskFull }
      throw LMDBError(code: code)
    }
    makeRoom(for: 0)
    return result
  }

  /// Makes all commits so far durable. Only of use with `skipsSync`.
  public func sync() throws(LMDBError) {
    try unsafe check(mdb_env_sync(handle, 1))
  }

  /// Clears the slots of readers whose process died; how many there were.
  @discardableResult
  public func clearStaleReaders() throws(LMDBError) -> Int {
    var dead: Int32 = 0
    try unsafe check(mdb_reader_check(handle, &dead))
    return Int(dead)
  }

  /// The bytes of the data file that hold pages, in use or free for use again.
  public var usedBytes: Int { unsafe Self.usedBytes(of: handle) }

  private static func usedBytes(of handle: OpaquePointer) -> Int {
    var information = unsafe MDB_envinfo()
    var statistics = MDB_stat()
    unsafe mdb_env_info(handle, &information)
    unsafe mdb_env_stat(handle, &statistics)
    return unsafe (information.me_last_pgno + 1) * Int(statistics.ms_psize)
  }

  /// The bytes of the pages that a coming transaction may use again. Walks the list of free pages, which is one entry
  /// for each transaction that freed some.
  public func freeBytes() throws(LMDBError) -> Int {
    var statistics = MDB_stat()
    unsafe mdb_env_stat(handle, &statistics)
    let pageBytes = Int(statistics.ms_psize)
    return try read { transaction throws(LMDBError) in
      // Table 0 is LMDB's own: each value begins with the number of page numbers that follow.
      var cursor = try transaction.cursor(in: Database(handle: 0))
      var pages = 0
      while try cursor.next() {
        pages += unsafe cursor.value.withUnsafeBytes { unsafe $0.loadUnaligned(as: Int.self) }
      }
      return pages * pageBytes
    }
  }

  /// The greatest size that the data file can grow to as things stand: that of the map, or that of the file when the
  /// file system had no more room.
  public var greatestBytes: Int {
    growth.withLock { $0.isOutOfRoom ? min(unsafe Self.fileBytes(of: handle), options.mapBytes) : options.mapBytes }
  }

  /// Grows the data file ahead of its end, if it can be and is not large enough for `bytes` more. Every commit does;
  /// whoever was refused calls this to see whether there is room again.
  public func makeRoom(for bytes: Int) {
    guard options.growsAhead, !options.isReadOnly else { return }
    var descriptor: Int32 = -1
    guard unsafe mdb_env_get_fd(handle, &descriptor) == MDB_SUCCESS else { return }
    let used = usedBytes
    growth.withLock {
      $0.grow(descriptor: descriptor, usedBytes: used, neededBytes: bytes, limitBytes: options.mapBytes)
    }
  }

  /// Inside a write transaction that has not changed anything yet.
  private func fillAhead() {
    guard options.growsAhead, !options.skipsSync else { return }
    var descriptor: Int32 = -1
    guard unsafe mdb_env_get_fd(handle, &descriptor) == MDB_SUCCESS else { return }
    let used = usedBytes
    growth.withLock { $0.fill(descriptor: descriptor, usedBytes: used) }
  }

  private func beginReading() throws(LMDBError) -> OpaquePointer {
    if let reader = unsafe idleReaders.withLock({ unsafe $0.handles.popLast() }) {
      let code = unsafe mdb_txn_renew(reader)
      if code == MDB_SUCCESS { return unsafe reader }
      unsafe mdb_txn_abort(reader)
      throw LMDBError(code: code)
    }
    var reader: OpaquePointer?
    try unsafe check(mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &reader))
    return unsafe reader.unsafelyUnwrapped
  }

  private func endReading(_ reader: OpaquePointer) {
    unsafe mdb_txn_reset(reader)
    let isKept = idleReaders.withLock { idle in
      guard unsafe idle.handles.count < IdleReaders.limit else { return false }
      unsafe idle.handles.append(reader)
      return true
    }
    if !isKept { unsafe mdb_txn_abort(reader) }
  }

  private static func open(path: String, options: EnvironmentOptions) throws(LMDBError) -> OpaquePointer {
    var created: OpaquePointer?
    try unsafe check(mdb_env_create(&created))
    guard let environment = unsafe created else { throw LMDBError(code: ENOMEM) }
    do throws(LMDBError) {
      try unsafe check(mdb_env_set_mapsize(environment, options.mapBytes))
      try unsafe check(mdb_env_set_maxreaders(environment, UInt32(options.readerLimit)))
      try unsafe check(mdb_env_set_maxdbs(environment, UInt32(options.tableLimit)))
      var flags = UInt32(MDB_NOTLS)
      if options.skipsSync { flags |= UInt32(MDB_NOSYNC) }
      if options.isReadOnly { flags |= UInt32(MDB_RDONLY) }
      // Blocks are read in order and large: the kernel's own read-ahead helps, so MDB_NORDAHEAD stays off.
      let code = unsafe mdb_env_open(environment, path, flags, 0o644)
      if code == ENOENT { throw LMDBError.missing(path: path) }
      try check(code)
      var dead: Int32 = 0
      try unsafe check(mdb_reader_check(environment, &dead))
    } catch {
      unsafe mdb_env_close(environment)
      throw error
    }
    return unsafe environment
  }

  private static func fileBytes(of handle: OpaquePointer) -> Int {
    var descriptor: Int32 = -1
    var status = stat()
    guard unsafe mdb_env_get_fd(handle, &descriptor) == MDB_SUCCESS, unsafe fstat(descriptor, &status) == 0 else {
      return 0
    }
    return Int(status.st_size)
  }
}
