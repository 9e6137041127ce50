internal import Glibc
internal import LMDB
internal import Locks
public import StreamModel
internal import Synchronization

/// A folder with streams: their records, the progress of the lanes that read them, and what failed.
///
/// One process writes, any number may look. Within the process everything here may be called from any thread.
public final class StreamStore: Sendable {
  /// What this process does with the store.
  public enum Role: Hashable, Sendable {
    /// Reads and writes. One process at a time.
    case writer
    /// Only reads, beside a writer or without one.
    case looker
  }

  public let path: String
  public let role: Role
  let environment: Environment
  let layout: StoreLayout
  private let writing: Writing?
  private let nextObserver = Atomic<UInt64>(0)
  let failureTally = LastFailureTally()

  private struct Writing: Sendable {
    let lock: HolderLock
    let writer: StoreWriter
    let thread: SystemThread
    let isClosed = SharedFlag()
  }

  private final class SharedFlag: Sendable {
    let value = Atomic(false)
  }

  private init(path: String, role: Role, environment: Environment, layout: StoreLayout, writing: Writing?) {
    self.path = path
    self.role = role
    self.environment = environment
    self.layout = layout
    self.writing = writing
  }

  /// Opens the store in the folder `path`. A writer creates what does not exist; a looker does not.
  public static func open(
    at path: String, options: StoreOptions = StoreOptions(), role: Role = .writer
  ) throws(StoreError) -> StreamStore {
    switch role {
    case .writer: try openToWrite(path, options)
    case .looker: try openToLook(path, options)
    }
  }

  private static func openToWrite(_ path: String, _ options: StoreOptions) throws(StoreError) -> StreamStore {
    try Folder.create(path)
    let lock = try HolderLock(directory: path)
    let environment = try converting { () throws(LMDBError) in
      try Environment(
        path: path,
        options: EnvironmentOptions(
          mapBytes: options.mapBytes, readerLimit: options.readerLimit, skipsSync: options.durability != .commit))
    }
    let layout = try openTables(of: environment, path: path, role: .writer)
    let writer = try converting { () throws(LMDBError) in
      try StoreWriter(environment: environment, layout: layout, options: options)
    }
    let thread: SystemThread
    do throws(SystemThread.Refusal) {
      thread = try SystemThread(named: "sluice-writer") { writer.run() }
    } catch {
      throw .failed("the thread of the writer could not be started: \(error)")
    }
    return StreamStore(
      path: path, role: .writer, environment: environment, layout: layout,
      writing: Writing(lock: lock, writer: writer, thread: thread))
  }

  private static func openToLook(_ path: String, _ options: StoreOptions) throws(StoreError) -> StreamStore {
    guard Folder.hasFile("data.mdb", in: path) else { throw .missing(path: path) }
    let environment: Environment
    do throws(LMDBError) {
      environment = try Environment(
        path: path,
        options: EnvironmentOptions(mapBytes: options.mapBytes, readerLimit: options.readerLimit, isReadOnly: true))
    } catch {
      if case .other(code: _, let message) = error { throw .unusable(path: path, reason: message) }
      throw StoreError(error)
    }
    let layout = try openTables(of: environment, path: path, role: .looker)
    return StreamStore(path: path, role: .looker, environment: environment, layout: layout, writing: nil)
  }

  /// Looks at the format first: a store of another one is left as it is.
  private static func openTables(
    of environment: Environment, path: String, role: Role
  ) throws(StoreError) -> StoreLayout {
    let (layout, format) = try converting { () throws(LMDBError) -> (StoreLayout?, UInt64?) in
      let format = try environment.storedFormat()
      let isUpdated =
        format.map { StoreLayout.updatedFormatVersions.contains(UInt32(clamping: $0)) } == true && role == .writer
      if let format, format != StoreLayout.formatVersion, !isUpdated { return (nil, format) }
      return (try StoreLayout(opening: environment), format)
    }
    if let format, format > StoreLayout.formatVersion {
      throw .newerFormat(found: UInt32(clamping: format), supported: StoreLayout.formatVersion)
    }
    if let format, format < StoreLayout.formatVersion, layout == nil {
      throw .olderFormat(found: UInt32(clamping: format), supported: StoreLayout.formatVersion)
    }
    guard let layout else { throw .missing(path: path) }
    if format != UInt64(StoreLayout.formatVersion) {
      guard role == .writer else { throw .missing(path: path) }
      try converting { () throws(LMDBError) in
        try environment.write { transaction throws(LMDBError) in
          try transaction.put(MetaName.format, UInt64(StoreLayout.formatVersion), layout)
        }
      }
    }
    return layout
  }

  deinit { close() }

  /// Ends writing: what was accepted is written and answered, everything later is refused as
  /// ``StoreError/notWriting``. Reading goes on. May be called more than once; the file lock is let go with the store.
  public func close() {
    guard let writing, !writing.isClosed.value.exchange(true, ordering: .acquiringAndReleasing) else { return }
    writing.writer.mailbox.close()
    // The last reference may go away in a completion, which runs on the writer's own thread.
    if writing.thread.isCurrent { writing.thread.detach() } else { writing.thread.join() }
  }

  // MARK: Who writes

  /// Tells in the lock file where this process listens.
  public func setHolderNote(_ note: HolderNote) throws(StoreError) {
    guard let writing else { throw .notWriting }
    try writing.lock.set(note)
  }

  /// What the lock file of the store at `path` says: the process that writes, or the one that last did if it was
  /// killed. `nil` if it says nothing.
  public static func holderNote(at path: String) -> HolderNote? { HolderLock.note(in: path) }

  // MARK: Catalog

  /// All streams, shards and mappings, as of now. A writer hands out what it keeps; a looker reads it.
  public func catalog() throws(StoreError) -> Catalog {
    if let writing { return writing.writer.face.catalog.withLock { $0 } }
    return try reading { transaction throws(LMDBError) in try Catalog(reading: transaction, layout: layout) }
  }

  /// The open shards of a stream, for an ``AppendRequest``.
  public func routing(of stream: StreamNumber) throws(StoreError) -> Routing {
    guard let routing = try catalog().routing(of: stream) else { throw .noSuchStream("\(stream.rawValue)") }
    return routing
  }

  /// The open shards of the stream of this name.
  public func routing(of name: String) throws(StoreError) -> Routing {
    let catalog = try catalog()
    guard let stream = catalog.stream(named: name), let routing = catalog.routing(of: stream.number) else {
      throw .noSuchStream(name)
    }
    return routing
  }

  // MARK: Observers

  /// Calls `observer` after each commit that gave shards something new or changed the catalog, on the thread
  /// that wrote and before those who put are answered: it must be quick and must not wait for the store. Returns what
  /// ``removeObserver(_:)`` takes.
  public func observeCommits(_ observer: @escaping @Sendable (CommitNotice) -> Void) -> ObserverID {
    let id = nextObserver.add(1, ordering: .relaxed).newValue
    writing?.writer.face.observers.withLock { $0[id] = observer }
    return ObserverID(rawValue: id)
  }

  /// A call that is under way may still end after this.
  public func removeObserver(_ observer: ObserverID) {
    writing?.writer.face.observers.withLock { $0[observer.rawValue] = nil }
  }

  /// Names an observer of commits.
  public struct ObserverID: Hashable, Sendable {
    let rawValue: UInt64
  }

  /// Why the last step of background work (removing deleted streams, merging small blocks, syncing at intervals) did
  /// not succeed; `nil` when all is well. It is tried again.
  public var backgroundFailure: StoreError? { writing?.writer.face.backgroundFailure.withLock { $0 } }

  // MARK: For the extensions

  /// Who writes, if this process does.
  var writer: StoreWriter? { writing?.writer }

  func put(_ entry: MailboxEntry, bounded: Bool) {
    guard let writer else { return entry.refuse(.notWriting) }
    if let refusal = writer.mailbox.put(entry, bounded: bounded) { writer.face.refuse(entry, refusal) }
  }

  /// Puts an entry whose caller waits for the answer and holds no lock.
  func putWaiting(_ entry: MailboxEntry) {
    // A completion may let go of the last reference but this one: closing the store waits for the writer's place.
    withExtendedLifetime(self) {
      guard let writer else { return entry.refuse(.notWriting) }
      if let refusal = writer.receive(entry) { writer.face.refuse(entry, refusal) }
    }
  }

  func reading<Result>(
    _ body: (borrowing ReadTransaction) throws(LMDBError) -> Result
  ) throws(StoreError) -> Result {
    try converting { () throws(LMDBError) in try environment.read(body) }
  }
}

/// Runs `body`, and throws what LMDB refused as the store's own error.
func converting<Result>(_ body: () throws(LMDBError) -> Result) throws(StoreError) -> Result {
  do throws(LMDBError) {
    return try body()
  } catch {
    throw StoreError(error)
  }
}

extension Environment {
  /// The format that the meta table names; `nil` in a store that was just made.
  func storedFormat() throws(LMDBError) -> UInt64? {
    guard let table = try openTables(["meta"]).first ?? nil else { return nil }
    return try read { transaction throws(LMDBError) in
      guard let value = try transaction.value(MetaName.format, in: table) else { return nil }
      // Values of format 1 had no checksum, and a later one may have another: the number comes first in all of them.
      let isPlain = value.byteCount == UInt64.bitWidth / 8
      var reader =
        isPlain
        ? ByteReader(unsafe value.withUnsafeBytes { unsafe Array($0) }, at: MetaName.format, in: .meta)
        : try ByteReader(verifying: value, at: MetaName.format, in: SmallTable(kind: .meta, database: table))
      return try reader.read(UInt64.self)
    }
  }
}

/// The folder of a store.
enum Folder {
  /// Creates the folder and those above it that are missing.
  static func create(_ path: String) throws(StoreError) {
    var built = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      built += built.isEmpty || built.hasSuffix("/") ? String(part) : "/" + part
      guard unsafe mkdir(built, 0o755) == 0 || errno == EEXIST || errno == EISDIR else {
        throw .unusable(path: path, reason: "\(built): \(systemMessage(errno))")
      }
    }
    guard unsafe access(path, R_OK | W_OK | X_OK) == 0 else {
      throw .unusable(path: path, reason: systemMessage(errno))
    }
  }

  static func hasFile(_ name: String, in path: String) -> Bool {
    unsafe access(path + "/" + name, F_OK) == 0
  }
}
