internal import LMDB
internal import Locks
public import StreamModel

/// How many failure entries each mapping has, and the lowest of their numbers. Whoever asks again pays for what has
/// changed since, not for all entries.
struct FailureTally {
  private(set) var counts: [MappingNumber: Int] = [:]
  private(set) var lowest: [MappingNumber: UInt64] = [:]
  /// The number that the next entry gets, and how many entries there are. Numbers are never given twice, so while neither
  /// changes the entries are the same.
  private var nextNumber: UInt64 = 1
  private var entryCount = 0

  init() {}

  /// What it is in this transaction. Reads new entries where there are only such; the keys of all, where some have gone.
  mutating func update(
    from layout: StoreLayout, in transaction: borrowing ReadTransaction
  ) throws(LMDBError) {
    let next = try transaction.number(MetaName.nextFailure, layout) ?? 1
    let count = try transaction.statistics(of: layout.failureKeys.database).entryCount
    if next == nextNumber, count == entryCount { return }
    // Only a store that was put in the place of another has fewer.
    let added = next >= nextNumber ? Int(clamping: next - nextNumber) : -1
    var isRead = false
    if added >= 0, count == entryCount + added { isRead = try add(from: layout, in: transaction) }
    if !isRead { try countAll(from: layout, in: transaction) }
    (nextNumber, entryCount) = (next, count)
  }

  /// Those that came last. `false` if one is damaged: its key says whose it is.
  private mutating func add(
    from layout: StoreLayout, in transaction: borrowing ReadTransaction
  ) throws(LMDBError) -> Bool {
    var cursor = try transaction.cursor(in: layout.failures)
    var isThere = try cursor.seek(atOrAfter: Key(nextNumber))
    while isThere {
      do throws(LMDBError) {
        var reader = try cursor.reader(in: layout.failures)
        note(cursor.key.number(at: 0), of: MappingNumber(try reader.read()))
      } catch {
        guard case .corrupted = error else { throw error }
        return false
      }
      isThere = try cursor.next()
    }
    return true
  }

  private mutating func countAll(
    from layout: StoreLayout, in transaction: borrowing ReadTransaction
  ) throws(LMDBError) {
    (counts, lowest) = ([:], [:])
    var cursor = try transaction.cursor(in: layout.failureKeys)
    while try cursor.next() {
      let mapping = MappingNumber(cursor.key.number(at: 0))
      do throws(LMDBError) {
        var reader = try cursor.reader(in: layout.failureKeys)
        note(try reader.read(), of: mapping)
      } catch {
        // It is there, and nobody knows which number it has.
        guard case .corrupted = error else { throw error }
        counts[mapping, default: 0] += 1
      }
    }
  }

  private mutating func note(_ number: UInt64, of mapping: MappingNumber) {
    counts[mapping, default: 0] += 1
    lowest[mapping] = min(lowest[mapping] ?? number, number)
  }
}

/// The tally as it was when somebody asked last.
final class LastFailureTally: Sendable {
  private let tally = Mutex(FailureTally())

  func updated(
    from layout: StoreLayout, in transaction: borrowing ReadTransaction
  ) throws(LMDBError) -> FailureTally {
    var current = tally.withLock { $0 }
    try current.update(from: layout, in: transaction)
    tally.withLock { $0 = current }
    return current
  }
}

extension StreamStore {
  /// How many failure entries each mapping has; none for those without any. A damaged entry is counted too.
  ///
  /// Of constant cost while there are no others than when it was asked last, and of the cost of those that are new where
  /// none has gone; otherwise it reads all keys.
  public func failureCounts() throws(StoreError) -> [MappingNumber: Int] {
    try reading { transaction throws(LMDBError) in try failureTally.updated(from: layout, in: transaction).counts }
  }

  /// When the failure entry with the lowest number of each mapping was made; none for those without any, and for one whose
  /// entry is damaged. Costs what ``failureCounts()`` does.
  public func oldestFailures() throws(StoreError) -> [MappingNumber: WallTime] {
    try reading { transaction throws(LMDBError) in
      let lowest = try failureTally.updated(from: layout, in: transaction).lowest
      var times: [MappingNumber: WallTime] = [:]
      for (mapping, number) in lowest {
        do throws(LMDBError) {
          guard let reader = try transaction.value(Key(number), in: layout.failures) else { continue }
          times[mapping] = try FailureSummary(number: number, decoding: reader).createdAt
        } catch {
          guard case .corrupted = error else { throw error }
        }
      }
      return times
    }
  }
}
