public import Logging
public import StreamModel
public import StreamStore

/// Removes what is older than each stream's retention, in small steps, for as long as its task runs.
public struct RetentionKeeper: Sendable {
  private let store: StreamStore
  private let clock: @Sendable () -> Now
  private let logger: Logger

  /// The time between two looks. Records may stay that much longer than their retention.
  public static let interval = Duration.seconds(10)

  public init(
    store: StreamStore, clock: @escaping @Sendable () -> Now = { SystemClock.now() }, logger: Logger
  ) {
    self.store = store
    self.clock = clock
    self.logger = logger
  }

  /// Looks and removes until cancelled.
  public func run() async {
    while !Task.isCancelled {
      await removeExpired()
      do { try await Task.sleep(for: Self.interval) } catch { return }
    }
  }

  /// Removes everything that has expired by now. A store that refuses, for example because the disk is full, is asked
  /// again next time.
  public func removeExpired() async {
    do {
      let catalog = try store.catalog()
      let now = clock().wall
      var cutoffs: [TrimOrder.Cutoff] = []
      for stream in catalog.streams.values where !stream.isBeingDeleted {
        let limit = now.adding(milliseconds: -stream.retentionMilliseconds)
        for shard in catalog.shards(of: stream.number) {
          guard let oldest = try store.shardBounds(shard.address).firstArrival, oldest < limit else { continue }
          cutoffs.append(.init(address: shard.address, arrivedBefore: limit))
        }
      }
      guard !cutoffs.isEmpty else { return }
      let order = TrimOrder(cutoffs: cutoffs)
      var moreRemain = true
      while moreRemain, !Task.isCancelled {
        let answer = try await store.trim(order)
        moreRemain = answer.moreRemain
        if answer.removedRecords > 0 {
          logger.info("retention removed records", metadata: ["records": "\(answer.removedRecords)"])
        }
      }
    } catch {
      logger.error("retention could not be applied", metadata: ["error": "\(error)"])
    }
  }
}
