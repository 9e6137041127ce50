internal import LMDB
internal import Locks

/// How full a store is that this process writes to, and what it has refused since it was opened. Every queue and file of
/// the store that has a limit is here beside it.
public struct StoreLoad: Hashable, Sendable {
  /// Bytes of the data file that hold pages, in use or free for use again.
  public var usedBytes: Int
  /// The greatest that the data file can become: that of the map, or that of the file where the disk has no more room.
  public var greatestBytes: Int
  /// Bytes of records that wait to be written, see ``StoreOptions/waitingByteLimit``.
  public var waitingBytes: Int
  /// Appends and commands that wait to be written, see ``StoreOptions/waitingCommandLimit``.
  public var waitingCommands: Int
  /// Appends and commands that were refused for want of room, or because the disk refused.
  public var refusals: [Reason: Int]

  public enum Reason: String, Hashable, Sendable, CaseIterable {
    case mapFull, diskFull, overloaded, failed

    /// `nil` for what is no matter of room: whoever asked has to ask for something else.
    init?(_ error: StoreError) {
      switch error {
      case .mapFull: self = .mapFull
      case .diskFull: self = .diskFull
      case .overloaded: self = .overloaded
      case .failed, .corrupted: self = .failed
      default: return nil
      }
    }
  }
}

extension StreamStore {
  /// How full the store is; `nil` for one that is only looked at. Costs two short locks.
  public var load: StoreLoad? {
    guard let writer else { return nil }
    let waiting = writer.mailbox.waiting
    return StoreLoad(
      usedBytes: environment.usedBytes, greatestBytes: environment.greatestBytes, waitingBytes: waiting.bytes,
      waitingCommands: waiting.entries, refusals: writer.face.refusals.withLock { $0 })
  }
}

extension WriterFace {
  /// Refuses an entry, and counts that.
  func refuse(_ entry: MailboxEntry, _ error: StoreError) {
    if let reason = StoreLoad.Reason(error) { refusals.withLock { $0[reason, default: 0] += 1 } }
    entry.refuse(error)
  }
}
