import LMDB
import StreamModel
import Testing

@testable import StreamStore

@Suite("StreamStore: when failure entries were made", .timeLimit(.minutes(10)))
struct FailureTimeTests {
  let folder = TemporaryStore()

  /// Stores an entry of one record.
  private func give(up index: UInt64, of mapping: UInt32 = 1, in store: StreamStore) throws {
    let stream = try store.catalog().stream(named: "orders") ?? store.create()
    if try store.marks(.first(of: stream)).isEmpty { try store.append(0..<9, to: stream.number) }
    let read = try store.read(
      .first(of: stream), from: RecordIndex(index), countLimit: 1, payloadByteLimit: 1 << 20, recordOverheadBytes: 0)
    guard case .records(let found) = read else { throw StoreError.failed("the records are missing") }
    let summary = FailureSummary(
      mapping: MappingNumber(mapping), mappingName: "m\(mapping)", streamName: "orders", address: .first(of: stream),
      shardCreatedAtSeconds: 9, firstIndex: RecordIndex(index), lastIndex: RecordIndex(index), firstArrival: folder.now,
      lastArrival: folder.now, condition: .skipped, attempts: 0, history: [], createdAt: folder.now)
    try store.performBlocking(.storeFailure(NewFailure(summary: summary, run: found.run, range: 0..<1)))
  }

  private func expire(_ mapping: UInt32 = 1, in store: StreamStore) throws -> ExpiryAnswer? {
    let expiry = FailureExpiry(
      mapping: MappingNumber(mapping), createdBefore: .distantFuture, redrivesSince: .zero, actor: "test", rule: "all")
    guard case .expired(let answer) = try store.performBlocking(.expireFailures(expiry)) else { return nil }
    return answer
  }

  @Test("entries of a program that kept no times get them, once, and then expire")
  func filling() throws {
    let store = try folder.open()
    for index in 0..<3 { try give(up: UInt64(index), of: index == 1 ? 2 : 1, in: store) }
    #expect(try !store.lacksFailureTimes())
    // As such a program leaves the store: two entries without a time.
    let table = try #require(store.layout.failureTimes)
    try store.environment.write { transaction throws(LMDBError) in
      var rows = try transaction.cursor(in: table)
      for _ in 0..<2 where try rows.next() { try rows.delete() }
    }
    #expect(try store.lacksFailureTimes())
    try store.performBlocking(.fillFailureTimes)
    #expect(try !store.lacksFailureTimes())
    let now = folder.now
    #expect(try store.oldestFailureTimes() == [MappingNumber(1): now, MappingNumber(2): now])
    #expect(try expire(in: store)?.removedEntries == 2)
    #expect(try store.failures(limit: 9).map(\.number) == [2])
    #expect(try store.check().problems.isEmpty)
  }

  @Test("a damaged entry does not expire, is in nobody's way, and can be deleted")
  func damaged() throws {
    let store = try folder.open()
    for index in 0..<3 { try give(up: UInt64(index), in: store) }
    let failures = store.layout.failures
    try store.environment.write { transaction throws(LMDBError) in
      try transaction.put(Key(UInt64(1)), [9, 9, 9], in: failures)
    }
    #expect(try expire(in: store) == ExpiryAnswer(removedEntries: 2, removedRecords: 2, mappingName: "m1"))
    // Filled in anew, it is of no mapping.
    try store.performBlocking(.fillFailureTimes)
    #expect(try !store.lacksFailureTimes())
    #expect(try store.oldestFailureTimes().isEmpty)
    try store.performBlocking(.deleteFailure(1))
    #expect(try !store.lacksFailureTimes())
    #expect(try store.failureCount() == 0)
    #expect(try store.check().problems.isEmpty)
  }

  @Test("the order of keys is the order of times; those before 1970 count as 1970")
  func order() {
    let times = [Int64.min, 0, 1, 300, .max].map {
      FailureTime(mapping: MappingNumber(7), createdAt: WallTime(milliseconds: $0), number: 3)
    }
    #expect(times.map { Key($0) } == times.map { Key($0) }.sorted())
    #expect(times.map { Key($0).failureTime } == times)
    #expect(times.map(\.createdAt.milliseconds) == [0, 0, 1, 300, .max])
  }

  @Test("how long entries are kept is found again, by those who look too")
  func retention() throws {
    for milliseconds in [60_000, nil] as [Int64?] {
      try set(milliseconds)
      #expect(try folder.open().catalog().failureRetentionMilliseconds == milliseconds)
      #expect(try folder.open(role: .looker).catalog().failureRetentionMilliseconds == milliseconds)
    }
    #expect(throws: StoreError.self) { try set(0) }
  }

  private func set(_ milliseconds: Int64?) throws {
    let store = try folder.open()
    try store.performBlocking(.setFailureRetention(milliseconds: milliseconds))
    #expect(try store.catalog().failureRetentionMilliseconds == milliseconds)
  }
}
