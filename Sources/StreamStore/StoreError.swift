internal import LMDB
public import StreamModel

/// Why the store did not do what it was asked.
public enum StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// There is no store at the path, and whoever only looks does not make one.
  case missing(path: String)
  /// The folder cannot be used: it may not be written, or is no folder.
  case unusable(path: String, reason: String)
  /// Another process writes to the store; `holder` is what its lock file says.
  case inUse(path: String, holder: HolderNote?)
  /// This process has the store open already.
  case alreadyOpen(path: String)
  /// The store was written by a newer version.
  case newerFormat(found: UInt32, supported: UInt32)
  /// The store was written by a version before the first release.
  case olderFormat(found: UInt32, supported: UInt32)
  /// The reserved map has no room for more.
  case mapFull
  /// The file system has no room for more, or the process may not write a larger file.
  case diskFull
  /// More is waiting to be written than ``StoreOptions`` allows.
  case overloaded
  /// The store was closed, or is only looked at.
  case notWriting
  /// Too many reads at once.
  case readersFull
  case noSuchStream(String)
  case streamExists(String)
  case noSuchShard(ShardAddress)
  case shardClosed(ShardAddress)
  case noSuchMapping(String)
  case noSuchFailure(UInt64)
  /// A value breaks a rule.
  case invalid(InvalidValue)
  /// The block that begins at this record is damaged. Its shard cannot be read past it; others can.
  case corruptedBlock(ShardAddress, firstIndex: RecordIndex)
  /// An entry of one of the other tables is damaged, or the file itself is.
  case corrupted(String)
  /// The system refused something: what, and its reason.
  case failed(String)

  /// Whether the same request may succeed later without a change to it.
  public var isRetryable: Bool {
    switch self {
    case .mapFull, .diskFull, .overloaded, .readersFull, .inUse: true
    case .missing, .unusable, .alreadyOpen, .newerFormat, .olderFormat, .notWriting, .noSuchStream, .streamExists,
      .noSuchShard,
      .shardClosed, .noSuchMapping, .noSuchFailure, .invalid, .corruptedBlock, .corrupted, .failed:
      false
    }
  }

  public var description: String {
    switch self {
    case .missing(let path):
      "there is no store at \(path): check the path, or start a writer, which creates it"
    case .unusable(let path, let reason):
      "the folder \(path) cannot be used: \(reason)"
    case .inUse(let path, let holder):
      "another process writes to the store at \(path)\(holder.map { " (\($0))" } ?? ""): stop it first, or only look"
    case .alreadyOpen(let path):
      "this process has the store at \(path) open already: share that one"
    case .newerFormat(let found, let supported):
      "the store has format \(found) and this version reads up to \(supported): use the version that wrote it, or newer"
    case .olderFormat(let found, let supported) where StoreLayout.updatedFormatVersions.contains(found):
      "the store has format \(found), and to look at it takes format \(supported): start a "
        + "writer of this version once, which updates it and keeps everything in it"
    case .olderFormat(let found, let supported):
      "the store has format \(found), which this version no longer reads (it reads \(supported)): make a new store"
    case .mapFull:
      "the store has reached its map size: shorten the retention, delete streams, or open it with a larger map"
    case .diskFull:
      "no space left for the store: free some, and what was refused can be sent again"
    case .overloaded:
      "too much is waiting to be written: send again later"
    case .notWriting:
      "the store does not write: it was closed, or opened to look"
    case .readersFull:
      "too many reads at the same time: send again later"
    case .noSuchStream(let name): "there is no stream \(name)"
    case .streamExists(let name): "there is a stream \(name) already"
    case .noSuchShard(let address): "stream \(address.stream.rawValue) has no \(address.shard)"
    case .shardClosed(let address): "\(address.shard) of stream \(address.stream.rawValue) is closed"
    case .noSuchMapping(let name): "there is no mapping \(name)"
    case .noSuchFailure(let number): "there is no failure entry \(number)"
    case .invalid(let problem): problem.description
    case .corruptedBlock(let address, let first):
      "the block of \(address.shard) of stream \(address.stream.rawValue) that begins at record \(first.rawValue) is "
        + "damaged: check the store, and skip the block or restore a backup"
    case .corrupted(let what): "the store is damaged: \(what)"
    case .failed(let what): what
    }
  }

  init(_ error: LMDBError, path: String = "") {
    switch error {
    case .mapFull: self = .mapFull
    case .diskFull: self = .diskFull
    case .readersFull: self = .readersFull
    case .alreadyOpen(let path): self = .alreadyOpen(path: path)
    case .missing(let path): self = .missing(path: path)
    case .corrupted(let message): self = .corrupted(message)
    case .versionMismatch: self = .corrupted(error.description)
    case .mapTooSmall, .panicked, .other: self = .failed(error.description)
    }
  }
}

/// A value that breaks a rule. Says nothing of a record's contents.
public struct InvalidValue: Hashable, Sendable, CustomStringConvertible {
  /// The field in AWS's spelling, such as `PartitionKey`.
  public var field: String
  /// The value, or for records its measure.
  public var value: String
  public var rule: String
  /// The record's place in its request, from 0; `nil` if it is not about a record.
  public var position: Int?

  public init(field: String, value: String, rule: String, position: Int? = nil) {
    self.field = field
    self.value = value
    self.rule = rule
    self.position = position
  }

  public var description: String {
    "\(field)\(position.map { " of record \($0)" } ?? "") is \(value), but \(rule)"
  }
}
