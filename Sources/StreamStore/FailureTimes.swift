internal import LMDB
public import StreamModel

/// The table of times: an index over the failure entries by mapping and by when they were made, written in the same
/// transaction as they are. Each entry has one row, so whoever looks for old entries reads only those.
///
/// Entries of a program that kept no times have none until ``StoreCommand/fillFailureTimes``.
struct FailureTime: Hashable, Comparable {
  let mapping: MappingNumber
  /// What a wrong clock wrote before 1970 counts as 1970.
  let createdAt: WallTime
  let number: UInt64

  init(mapping: MappingNumber, createdAt: WallTime, number: UInt64) {
    self.mapping = mapping
    self.createdAt = max(.zero, createdAt)
    self.number = number
  }

  init(of entry: FailureSummary) {
    self.init(mapping: entry.mapping, createdAt: entry.createdAt, number: entry.number)
  }

  /// Of an entry that was damaged when times were filled in: it cannot say whose it is, and never becomes too old. No
  /// mapping has this number.
  static func ofDamaged(_ number: UInt64) -> FailureTime {
    FailureTime(mapping: MappingNumber(0), createdAt: .distantFuture, number: number)
  }

  static func < (left: FailureTime, right: FailureTime) -> Bool {
    (left.mapping, left.createdAt, left.number) < (right.mapping, right.createdAt, right.number)
  }
}

extension Key {
  init(_ time: FailureTime) {
    self.init(time.mapping.rawValue)
    append(time.createdAt.milliseconds)
    append(time.number)
  }

  /// What a key of the table says.
  var failureTime: FailureTime {
    FailureTime(
      mapping: MappingNumber(number(at: 0)),
      createdAt: WallTime(milliseconds: number(at: 4)), number: number(at: 12))
  }
}

extension StreamStore {
  /// Whether there are entries of which no time is kept, because another program stored them: then
  /// ``StoreCommand/fillFailureTimes`` writes them. Constant cost.
  public func lacksFailureTimes() throws(StoreError) -> Bool {
    try reading { transaction throws(LMDBError) in
      let entries = try transaction.statistics(of: layout.failures.database).entryCount
      guard let times = layout.failureTimes else { return entries > 0 }
      return try transaction.statistics(of: times.database).entryCount != entries
    }
  }

  /// When the oldest failure entry of each mapping was made; none for those without any, and of entries of which no time
  /// is kept. Costs a look for each mapping.
  public func oldestFailureTimes() throws(StoreError) -> [MappingNumber: WallTime] {
    try reading { transaction throws(LMDBError) in
      guard let table = layout.failureTimes else { return [:] }
      var oldest: [MappingNumber: WallTime] = [:]
      var cursor = try transaction.cursor(in: table)
      // Behind the rows of damaged entries, which are of no mapping.
      var isThere = try cursor.seek(atOrAfter: Key(UInt32(1)))
      while isThere {
        let time = cursor.key.failureTime
        _ = try cursor.reader(in: table)
        oldest[time.mapping] = time.createdAt
        guard time.mapping.rawValue < .max else { break }
        isThere = try cursor.seek(atOrAfter: Key(time.mapping.rawValue + 1))
      }
      return oldest
    }
  }
}

/// The table of times in a transaction.
extension StoreWriter {
  @_lifetime(transaction: copy transaction)
  func putTime(
    _ number: UInt64, of mapping: MappingNumber, _ createdAt: WallTime, in transaction: inout WriteTransaction
  ) throws(LMDBError) {
    guard let table = layout.failureTimes else { return }
    try transaction.put(Key(FailureTime(mapping: mapping, createdAt: createdAt, number: number)), [], in: table)
  }

  /// `known` is the entry as it stands in the store.
  @_lifetime(transaction: copy transaction)
  func removeTime(of known: FailureSummary, in transaction: inout WriteTransaction) throws(LMDBError) {
    guard let table = layout.failureTimes else { return }
    guard try !transaction.delete(Key(FailureTime(of: known)), in: table) else { return }
    // It was damaged once and replaced, or it never had one.
    try transaction.delete(Key(.ofDamaged(known.number)), in: table)
  }

  /// For an entry that cannot be read any more. Looks at all rows.
  @_lifetime(transaction: copy transaction)
  func findAndRemoveTime(of number: UInt64, in transaction: inout WriteTransaction) throws(LMDBError) {
    guard let table = layout.failureTimes else { return }
    var cursor = try transaction.cursor(in: table)
    while try cursor.next() {
      guard cursor.key.failureTime.number == number else { continue }
      return try cursor.delete()
    }
  }

  /// Writes the times of all entries anew. Reads all of them.
  @_lifetime(transaction: copy transaction)
  func fillFailureTimes(
    in transaction: inout WriteTransaction
  ) throws(LMDBError) -> Result<CommandAnswer, StoreError> {
    guard let table = layout.failureTimes else { return .success(.done) }
    for time in try times(in: &transaction) { try transaction.put(Key(time), [], in: table) }
    return .success(.done)
  }

  /// Takes all rows away, and reads from the entries which there should be.
  @_lifetime(transaction: copy transaction)
  private func times(in transaction: inout WriteTransaction) throws(LMDBError) -> [FailureTime] {
    if let table = layout.failureTimes {
      var rows = try transaction.cursor(in: table)
      while try rows.next() { try rows.delete() }
    }
    var times: [FailureTime] = []
    var entries = try transaction.cursor(in: layout.failures)
    while try entries.next() {
      let number: UInt64 = entries.key.number(at: 0)
      do throws(LMDBError) {
        let summary = try FailureSummary(number: number, decoding: try entries.reader(in: layout.failures))
        times.append(FailureTime(of: summary))
      } catch {
        guard case .corrupted = error else { throw error }
        times.append(.ofDamaged(number))
      }
    }
    return times
  }
}
