import CoreMetrics
import Locks
public import Logging
import ShardCore
public import StreamModel
public import StreamStore

/// Removes failure entries that are older than they are kept for, in small steps, for as long as its task runs.
///
/// What is kept for how long stands in the store: a value for all, and one of a mapping that counts more. Without either
/// nothing is removed. Entries that wait for their delivery, whose redrive is under way or that are damaged stay. Time is
/// that of a ``ShardCore/CautiousClock``: a clock that was set ahead is not believed for an hour.
public final class FailureKeeper: Sendable {
  private let store: StreamStore
  private let clock: @Sendable () -> Now
  private let logger: Logger
  private let caution = Mutex(CautiousClock())
  /// Redrives that were asked for before ended with the process that was asked.
  private let begun: WallTime
  private let entryLimit: Int

  /// The time between two looks. Entries may stay that much longer than they are kept for.
  public static let interval = Duration.seconds(10)
  /// Who removes them, in the audit.
  public static let actor = "retention"
  /// Failure entries that were removed, by mapping.
  static let metric = "sluice_failure_entries_expired_total"

  /// `entryLimit` is how many entries one transaction looks at, 1 or more: others write between two.
  public init(
    store: StreamStore, clock: @escaping @Sendable () -> Now = { SystemClock.now() }, entryLimit: Int = 1_000,
    logger: Logger
  ) {
    self.store = store
    self.clock = clock
    self.entryLimit = entryLimit
    self.logger = logger
    begun = clock().wall
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
    let now = look()
    do {
      let catalog = try store.catalog()
      let retentions = FailureRetentions(catalog)
      guard retentions.areSet else { return }
      for mapping in catalog.mappings.values { _ = counter(mapping.name) }
      if try store.lacksFailureTimes() { try await store.perform(.fillFailureTimes) }
      for (mapping, oldest) in try store.oldestFailureTimes().sorted(by: { $0.key < $1.key }) {
        guard let kept = retentions.milliseconds(of: mapping) else { continue }
        let limit = now.adding(milliseconds: -kept)
        guard oldest < limit else { continue }
        let rule = "older than \(Self.text(kept)) (\(retentions.isOwn(mapping) ? "onFailure" : "failures").keepFor)"
        try await remove(
          FailureExpiry(
            mapping: mapping, createdBefore: limit, redrivesSince: begun, entryLimit: entryLimit, actor: Self.actor,
            rule: rule))
      }
    } catch {
      logger.error("expired failure entries could not be removed", metadata: ["error": "\(error)"])
    }
  }

  private func remove(_ expiry: FailureExpiry) async throws {
    var expiry = expiry
    repeat {
      let answer = try await store.expireFailures(expiry)
      if answer.removedEntries > 0 {
        counter(answer.mappingName).increment(by: answer.removedEntries)
        logger.notice(
          "failure entries expired",
          metadata: [
            "mapping": "\(answer.mappingName)", "entries": "\(answer.removedEntries)",
            "records": "\(answer.removedRecords)", "rule": "\(expiry.rule)",
          ])
      }
      expiry.after = answer.next
    } while expiry.after != nil && !Task.isCancelled
  }

  private func look() -> WallTime {
    let now = clock()
    let reading = caution.withLock { $0.look(at: now) }
    if let step = reading.steppedAheadMilliseconds {
      logger.warning(
        "the wall clock was set ahead: for an hour failure entries expire by the time as it was before",
        metadata: ["by": "\(Self.text(step / 1_000 * 1_000))"])
    }
    return reading.wall
  }

  private func counter(_ mapping: String) -> Counter {
    Counter(label: Self.metric, dimensions: [("mapping", mapping)])
  }

  /// In the largest unit that leaves a whole number.
  private static func text(_ milliseconds: Int64) -> String {
    let units: [(String, Int64)] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
    let unit = units.first { milliseconds % $0.1 == 0 } ?? ("ms", 1)
    return "\(milliseconds / unit.1)\(unit.0)"
  }
}
