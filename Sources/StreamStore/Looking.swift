internal import LMDB
public import StreamModel

/// Reading everything that is not records.
extension StreamStore {
  /// What is stored for one lane; `nil` if nothing is.
  public func lane(_ key: LaneKey) throws(StoreError) -> LaneRecord? {
    try reading { transaction throws(LMDBError) in
      guard let value = try transaction.value(Key(key), in: layout.lanes) else { return nil }
      return try LaneRecord(decoding: value)
    }
  }

  /// What is stored for the lanes of a mapping on one shard, by slot.
  public func lanes(of mapping: MappingNumber, on address: ShardAddress) throws(StoreError) -> [UInt8: LaneRecord] {
    try reading { transaction throws(LMDBError) in
      var lanes: [UInt8: LaneRecord] = [:]
      var cursor = try transaction.cursor(in: layout.lanes)
      var isThere = try cursor.seek(atOrAfter: Key(lane: mapping, address))
      while isThere {
        let key = cursor.key.laneKey
        guard key.mapping == mapping, key.address == address else { break }
        lanes[key.slot] = try LaneRecord(decoding: try cursor.reader(in: layout.lanes))
        isThere = try cursor.next()
      }
      return lanes
    }
  }

  /// What is stored for all lanes of a mapping.
  public func lanes(of mapping: MappingNumber) throws(StoreError) -> [LaneKey: LaneRecord] {
    try reading { transaction throws(LMDBError) in
      var lanes: [LaneKey: LaneRecord] = [:]
      var cursor = try transaction.cursor(in: layout.lanes)
      var isThere = try cursor.seek(atOrAfter: Key(mapping.rawValue, 0, UInt32(0)))
      while isThere, cursor.key.number(at: 0) == mapping.rawValue {
        lanes[cursor.key.laneKey] = try LaneRecord(decoding: try cursor.reader(in: layout.lanes))
        isThere = try cursor.next()
      }
      return lanes
    }
  }

  /// Failure entries in the order of their numbers, without their records: at most `limit`, behind `number`.
  public func failures(after number: UInt64 = 0, limit: Int) throws(StoreError) -> [FailureSummary] {
    try reading { transaction throws(LMDBError) in
      var summaries: [FailureSummary] = []
      var cursor = try transaction.cursor(in: layout.failures)
      var isThere = try cursor.seek(atOrAfter: Key(number + 1))
      while isThere, summaries.count < limit {
        summaries.append(
          try FailureSummary(number: cursor.key.number(at: 0), decoding: try cursor.reader(in: layout.failures)))
        isThere = try cursor.next()
      }
      return summaries
    }
  }

  /// One failure entry without its records; `nil` if there is none.
  public func failureSummary(_ number: UInt64) throws(StoreError) -> FailureSummary? {
    try reading { transaction throws(LMDBError) in
      guard let reader = try transaction.value(Key(number), in: layout.failures) else { return nil }
      return try FailureSummary(number: number, decoding: reader)
    }
  }

  /// How many failure entries there are. Constant cost.
  public func failureCount() throws(StoreError) -> Int {
    try reading { transaction throws(LMDBError) in try transaction.statistics(of: layout.failures.database).entryCount }
  }

  /// One failure entry with its records; `nil` if there is none.
  public func failure(_ number: UInt64) throws(StoreError) -> FailureEntry? {
    try reading { transaction throws(LMDBError) in
      guard let value = try transaction.value(Key(number), in: layout.failures) else { return nil }
      let summary = try FailureSummary(number: number, decoding: value)
      guard let payload = try transaction.value(Key(number), in: layout.failurePayloads) else {
        throw LMDBError.corrupted("the records of failure entry \(number) are missing")
      }
      let records = try FailurePayload.records(
        decoding: payload, firstIndex: summary.firstIndex, count: summary.count)
      return FailureEntry(summary: summary, records: records)
    }
  }

  /// Audit entries, newest first: at most `limit`, before `number`.
  public func audit(before number: UInt64 = .max, limit: Int) throws(StoreError) -> [(number: UInt64, AuditEntry)] {
    try reading { transaction throws(LMDBError) in
      var entries: [(number: UInt64, AuditEntry)] = []
      var cursor = try transaction.cursor(in: layout.audit)
      guard number > 0 else { return [] }
      var isThere = try cursor.seek(atOrBefore: Key(number - 1))
      while isThere, entries.count < limit {
        entries.append((cursor.key.number(at: 0), try AuditEntry(decoding: try cursor.reader(in: layout.audit))))
        isThere = try cursor.previous()
      }
      return entries
    }
  }

  /// How much room the store takes.
  public func usage() throws(StoreError) -> StoreUsage {
    let free = try converting { () throws(LMDBError) in try environment.freeBytes() }
    return StoreUsage(usedBytes: environment.usedBytes, freeBytes: free, greatestBytes: environment.greatestBytes)
  }
}

/// The room that a store takes.
public struct StoreUsage: Hashable, Sendable {
  /// The part of the data file that holds pages, in use or free. The file itself may reach further: it grows ahead.
  public var usedBytes: Int
  /// Pages to be used again before the file grows.
  public var freeBytes: Int
  /// The greatest size of the file: that of the map, or what it has when the disk is full.
  public var greatestBytes: Int
}
