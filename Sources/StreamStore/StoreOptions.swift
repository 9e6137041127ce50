internal import Glibc
public import StreamModel

/// What it takes for a put to be acknowledged.
public enum Durability: Hashable, Sendable {
  /// Acknowledged when the data is synced to the disk. A power cut costs nothing that was acknowledged, as far as the
  /// disk keeps its word.
  case commit
  /// Acknowledged when the kernel has it, and synced every so many milliseconds, 1 or more. The end of the process,
  /// however sudden, costs nothing that was acknowledged. A power cut costs what came since the last sync, and as the
  /// kernel may have written pages in another order than the store did, it may damage the whole store: keep backups.
  case interval(milliseconds: Int)
  /// As `interval`, but when to write is left to the kernel, typically within half a minute.
  case system
}

/// How a store is opened.
public struct StoreOptions: Sendable {
  public var durability: Durability = .commit
  /// Address space to reserve: the most that the data file can grow to. Neither memory nor disk.
  public var mapBytes = 1 << 40
  /// Reads at the same time, over all processes that have the store open; 1 or more. The first that opens it decides.
  /// Beyond it a read is refused as ``StoreError/readersFull``; writing goes on.
  public var readerLimit = 4_096
  /// The bytes of records that may wait to be written. Beyond it, appends with a completion are refused as
  /// ``StoreError/overloaded``; those that suspend or block their caller are bounded by the number of callers.
  public var waitingByteLimit = 32 << 20
  /// The same for commands, by number.
  public var waitingCommandLimit = 65_536
  /// About the most bytes of records that one transaction takes; one request is never divided.
  public var transactionByteLimit = 8 << 20
  /// The greatest packed size of a block, unless it holds a single record.
  public var blockByteLimit = 256 << 10
  /// Whether small neighbouring blocks become larger ones in the background.
  public var mergesSmallBlocks = true
  /// The wall clock.
  public var now: @Sendable () -> WallTime = WallTime.current

  /// Called on the writer's thread after each step of background work, also of one that failed. For tests.
  var afterBackgroundStep: (@Sendable () -> Void)?

  public init() {}
}

extension WallTime {
  /// The system's wall clock, now.
  @Sendable
  public static func current() -> WallTime {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }
}
