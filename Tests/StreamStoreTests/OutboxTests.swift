import StreamModel
import StreamStore
import Testing

@Suite("StreamStore: entries on their way to a destination", .timeLimit(.minutes(10)))
struct OutboxTests {
  let folder = TemporaryStore()

  /// Stores an entry of one record.
  @discardableResult
  private func give(
    up index: UInt64 = 0, of mapping: UInt32 = 1, isDelivered: Bool = true, in store: StreamStore
  ) throws -> UInt64 {
    let stream = try store.catalog().stream(named: "orders") ?? store.create()
    if try store.marks(.first(of: stream)).isEmpty { try store.append(0..<5, to: stream.number) }
    let read = try store.read(
      .first(of: stream), from: RecordIndex(index), countLimit: 1, payloadByteLimit: 1 << 20, recordOverheadBytes: 0)
    guard case .records(let found) = read else { throw StoreError.failed("the records are missing") }
    var summary = FailureSummary(
      mapping: MappingNumber(mapping), mappingName: "m\(mapping)", streamName: "orders", address: .first(of: stream),
      shardCreatedAtSeconds: 9, firstIndex: RecordIndex(index), lastIndex: RecordIndex(index), firstArrival: folder.now,
      lastArrival: folder.now, condition: .skipped, attempts: 0, history: [], createdAt: folder.now)
    if isDelivered { summary.delivery = .pending(since: folder.now) }
    let entry = NewFailure(summary: summary, run: found.run, range: 0..<1)
    guard case .number(let number) = try store.performBlocking(.storeFailure(entry)) else { return 0 }
    return number
  }

  private func note(
    _ number: UInt64, _ state: FailureDelivery.State, attempts: Int = 1, createdAt: WallTime? = nil,
    deletes: Bool = false, in store: StreamStore
  ) throws {
    let delivery = FailureDelivery(state: state, attempts: attempts, at: folder.now, detail: "why")
    try store.performBlocking(
      .noteDelivery(
        DeliveryNote(number: number, createdAt: createdAt ?? folder.now, delivery: delivery, deletes: deletes)))
  }

  @Test("entries wait by mapping, in the order of their numbers; those without a destination do not")
  func waiting() throws {
    let store = try folder.open()
    for index in 0..<4 { try give(up: UInt64(index), of: index == 2 ? 2 : 1, isDelivered: index != 1, in: store) }
    let pending = { (mapping: UInt32, after: UInt64, limit: Int) in
      try store.pendingDeliveries(of: MappingNumber(mapping), after: after, limit: limit).map(\.number)
    }
    #expect(try pending(1, 0, 10) == [1, 4])
    #expect(try pending(1, 1, 10) == [4])
    #expect(try pending(1, 0, 1) == [1])
    #expect(try pending(2, 0, 10) == [3])
    #expect(
      try store.deliveryCounts()
        == [MappingNumber(1): DeliveryCounts(pending: 2), MappingNumber(2): DeliveryCounts(pending: 1)])
    #expect(try store.failure(2)?.summary.delivery == nil)
  }

  @Test("how many entries each mapping has, and the oldest, is what one would count, whatever came and went in between")
  func tally() throws {
    let store = try folder.open()
    var entries: [UInt64: (mapping: UInt32, createdAt: WallTime)] = [:]
    func check() throws {
      let all = Dictionary(grouping: entries, by: { MappingNumber($0.value.mapping) })
      let oldest = all.compactMapValues { of in of.min { $0.key < $1.key }?.value.createdAt }
      #expect(try store.failureCounts() == all.mapValues(\.count))
      #expect(try store.oldestFailures() == oldest)
    }
    func add(_ index: UInt64, of mapping: UInt32) throws {
      folder.now = folder.now.adding(milliseconds: 10)
      entries[try give(up: index, of: mapping, in: store)] = (mapping, folder.now)
    }
    func delete(_ number: UInt64?) throws {
      let number = try #require(number)
      try store.performBlocking(.deleteFailure(number))
      entries[number] = nil
    }
    try check()
    for index in 0..<3 { try add(UInt64(index), of: 1) }
    try check()
    // Those of another, behind them; the same records once more, which are one entry.
    try add(3, of: 2)
    try add(3, of: 2)
    try check()
    try delete(entries.keys.min())
    try check()
    // As many as have gone have come.
    try delete(entries.keys.min())
    try add(0, of: 2)
    try check()
    try delete(entries.first { $0.value.mapping == 1 }?.key)
    try check()
    try add(0, of: 1)
    try delete(entries.first { $0.value.mapping == 1 }?.key)
    try check()
    #expect(try store.failureCounts()[MappingNumber(1)] == nil)
  }

  @Test("an attempt that ends after redelivery was asked for takes none of the new attempts, and its success counts")
  func overtaken() throws {
    let store = try folder.open()
    let number = try give(up: 0, in: store)
    let found = try #require(try store.failure(number)?.summary.delivery)
    let redelivered = FailureDelivery.pending(since: folder.now.adding(milliseconds: 5))
    try store.performBlocking(
      .noteDelivery(DeliveryNote(number: number, createdAt: folder.now, delivery: redelivered)))
    func end(_ state: FailureDelivery.State) throws -> FailureDelivery? {
      let delivery = FailureDelivery(state: state, attempts: 12, at: folder.now, detail: "late")
      try store.performBlocking(
        .noteDelivery(DeliveryNote(number: number, createdAt: folder.now, delivery: delivery, former: found)))
      return try store.failure(number)?.summary.delivery
    }
    #expect(try end(.undeliverable) == redelivered)
    #expect(try end(.pending) == redelivered)
    #expect(try store.pendingDeliveries(of: MappingNumber(1), limit: 10).map(\.attempts) == [0])
    #expect(try end(.delivered)?.state == .delivered)
  }

  @Test("a note changes what waits, in a store that is opened again too")
  func noted() throws {
    var store: StreamStore? = try folder.open()
    if let store {
      for index in 0..<4 { try give(up: UInt64(index), in: store) }
      try note(1, .delivered, in: store)
      try note(2, .pending, attempts: 3, in: store)
      try note(3, .undeliverable, attempts: 12, in: store)
      try note(4, .delivered, deletes: true, in: store)
    }
    store?.close()
    store = nil
    let again = try folder.open()
    let pending = try again.pendingDeliveries(of: MappingNumber(1), limit: 10)
    #expect(pending == [PendingDelivery(number: 2, attempts: 3, retryAt: folder.now)])
    #expect(try again.deliveryCounts() == [MappingNumber(1): DeliveryCounts(pending: 1, undeliverable: 1)])
    let entries = try again.failures(limit: 10)
    #expect(entries.map(\.delivery?.state) == [.delivered, .pending, .undeliverable])
    #expect(entries.map(\.delivery?.detail) == ["why", "why", "why"])
    #expect(try again.check().problems.isEmpty)
  }

  @Test("a note about an entry that was stored anew, or is gone, changes nothing")
  func outdated() throws {
    let store = try folder.open()
    try give(up: 0, in: store)
    let before = folder.now
    folder.now = before.adding(milliseconds: 1)
    #expect(try give(up: 0, in: store) == 1)
    try note(1, .delivered, createdAt: before, deletes: true, in: store)
    #expect(try store.pendingDeliveries(of: MappingNumber(1), limit: 10).map(\.number) == [1])
    try note(7, .delivered, in: store)
    #expect(try store.failureCount() == 1)
  }

  @Test("an entry that is purged waits no more; one whose redrive failed keeps its delivery")
  func purgedAndRedriven() throws {
    let store = try folder.open()
    try give(up: 0, in: store)
    try give(up: 1, in: store)
    var read = try #require(try store.failureSummary(2))
    read.redrives = 1
    try note(2, .undeliverable, attempts: 12, in: store)
    try store.performBlocking(.updateFailure(read))
    #expect(try store.failureSummary(2)?.redrives == 1)
    #expect(try store.failureSummary(2)?.delivery?.state == .undeliverable)
    for number in [1, 2] as [UInt64] { try store.performBlocking(.deleteFailure(number)) }
    #expect(try store.deliveryCounts().isEmpty)
    #expect(try store.check().problems.isEmpty)
  }

  @Test("a damaged entry that is purged waits no more")
  func damaged() throws {
    var store: StreamStore? = try folder.open()
    if let store { try give(up: 0, in: store) }
    store?.close()
    store = nil
    try folder.change("failures") { $0[0] ^= 4 }
    let again = try folder.open()
    try again.performBlocking(.deleteFailure(1))
    #expect(try again.deliveryCounts().isEmpty)
  }

  @Test("a store from before there was an outbox can be looked at, and gets one from its next writer")
  func older() throws {
    // An entry without a delivery is written as it was then.
    var store: StreamStore? = try folder.open()
    if let store { try give(up: 0, isDelivered: false, in: store) }
    store?.close()
    store = nil
    try folder.drop("outbox")
    do {
      let looker = try folder.open(role: .looker)
      #expect(try looker.deliveryCounts().isEmpty)
      #expect(try looker.failures(limit: 1).map(\.delivery) == [nil])
      #expect(try looker.check().problems.isEmpty)
    }
    let writer = try folder.open()
    try give(up: 1, in: writer)
    #expect(try writer.deliveryCounts() == [MappingNumber(1): DeliveryCounts(pending: 1)])
  }
}
