internal import CLMDB
internal import Glibc

/// What LMDB, or the file system under it, refused.
public enum LMDBError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reserved map has no room for another page. The write transaction is lost; reading goes on.
  case mapFull
  /// The file system has no room, or the process may not write a larger file. The write transaction is lost.
  case diskFull
  /// All slots for read transactions are taken.
  case readersFull
  /// The file is not a database, or a page of it is not what it should be.
  case corrupted(String)
  /// The file was written by an LMDB with another format.
  case versionMismatch
  /// Another process made the file larger than the map that was reserved here: open again with a larger one.
  case mapTooSmall
  /// The same path is already open in this process, which LMDB does not survive.
  case alreadyOpen(path: String)
  /// There is no database at the path.
  case missing(path: String)
  /// The environment failed earlier in a way that only opening it again can mend.
  case panicked
  /// Anything else: an error number of the system or of LMDB, and what it means.
  case other(code: Int32, message: String)

  /// The error that a return code of LMDB stands for.
  init(code: Int32) {
    switch code {
    case MDB_MAP_FULL: self = .mapFull
    case ENOSPC, EFBIG, EDQUOT: self = .diskFull
    case MDB_READERS_FULL: self = .readersFull
    case MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_INVALID: self = .corrupted(Self.message(of: code))
    case MDB_VERSION_MISMATCH: self = .versionMismatch
    case MDB_MAP_RESIZED: self = .mapTooSmall
    case MDB_PANIC: self = .panicked
    default: self = .other(code: code, message: Self.message(of: code))
    }
  }

  static func message(of code: Int32) -> String {
    unsafe String(cString: mdb_strerror(code))
  }

  public var description: String {
    switch self {
    case .mapFull: "the map is full"
    case .diskFull: "no space left for the data file"
    case .readersFull: "too many read transactions at once"
    case .corrupted(let message): "corrupted: \(message)"
    case .versionMismatch: "the file has the format of another LMDB"
    case .mapTooSmall: "the data file has outgrown the map of this process"
    case .alreadyOpen(let path): "\(path) is already open in this process"
    case .missing(let path): "there is no database at \(path)"
    case .panicked: "the environment failed earlier and must be opened again"
    case .other(let code, let message): "\(message) (\(code))"
    }
  }
}

/// Throws unless `code` is success.
@inline(__always)
func check(_ code: Int32) throws(LMDBError) {
  if code != MDB_SUCCESS { throw LMDBError(code: code) }
}

/// Throws unless `code` is success or not-found; whether it is success.
@inline(__always)
func found(_ code: Int32) throws(LMDBError) -> Bool {
  if code == MDB_SUCCESS { return true }
  if code == MDB_NOTFOUND { return false }
  throw LMDBError(code: code)
}
