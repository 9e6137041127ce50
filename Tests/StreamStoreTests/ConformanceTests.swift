import ShardCore
import StoreConformance
import StreamModel
import StreamStore
import Testing

@Suite("StreamStore: what every store must do")
struct ConformanceTests {
  @Test("the store", arguments: StoreCheck.all(for: LMDBConformingStore.self))
  func conforms(check: StoreCheck) throws {
    try check.run(try LMDBConformingStore(mergesSmallBlocks: true))
  }
}

/// The store as the checks see it.
final class LMDBConformingStore: ConformingStore {
  static let lacks: [StoreCapability: String] = [:]

  private let folder = TemporaryStore()
  private var store: StreamStore
  private var mappings: [MappingInfo] = []
  /// Progress has no encoding here: the store keeps a place in this list.
  private var progress: [LaneProgress] = []
  private let mergesSmallBlocks: Bool

  init(mergesSmallBlocks: Bool) throws {
    self.mergesSmallBlocks = mergesSmallBlocks
    store = try folder.open { $0.mergesSmallBlocks = mergesSmallBlocks }
    for name in ["first", "second"] {
      guard case .mapping(let mapping) = try store.performBlocking(.storeMapping(name: name, settings: [])) else {
        preconditionFailure("storing a mapping answers with it")
      }
      mappings.append(mapping)
    }
  }

  var now: WallTime {
    get { folder.now }
    set { folder.now = newValue }
  }

  func createStream(_ name: String, shardCount: Int) throws -> StreamNumber {
    try store.create(name, shards: shardCount).number
  }

  func shards(of stream: StreamNumber) throws -> [ConformingShard] {
    try store.catalog().shards(of: stream).map { shard in
      ConformingShard(
        address: shard.address, hashKeys: shard.hashKeys, parents: shard.parents,
        createdAtSeconds: shard.createdAtSeconds, end: shard.closing?.end)
    }
  }

  func append(_ records: [ConformingRecord], to stream: StreamNumber) throws -> [ConformingPlace] {
    var request = AppendRequest(to: try store.routing(of: stream))
    for record in records {
      try request.add(
        partitionKey: record.partitionKey, data: record.data, explicitHashKey: record.explicitHashKey)
    }
    return try store.appendBlocking(request).sequenceNumbers.map { number in
      ConformingPlace(address: ShardAddress(stream: stream, shard: number.shard), index: number.index)
    }
  }

  func read(
    _ address: ShardAddress, _ request: ReadRequest
  ) throws -> (answer: ReadAnswer, records: [ConformingRecord]) {
    let found = try store.read(
      address, from: request.from, countLimit: request.countLimit, payloadByteLimit: request.payloadByteLimit,
      recordOverheadBytes: 100, expiredBefore: request.expiredBefore, cut: request.cut)
    switch found {
    case .caughtUp: return (.caughtUp, [])
    case .shardEnd(let end): return (.shardEnd(end: end), [])
    case .records(let found):
      let batch = found.batch
      let extent = BatchExtent(
        first: found.run.firstIndex, count: batch.count, firstArrival: batch.firstArrival,
        lastArrival: batch.lastArrival, payloadBytes: batch.payloadBytes)
      let result = ReadResult(
        extent: extent, isFull: batch.isFull, expiredCount: batch.expiredCount,
        lastExpiredArrival: batch.lastExpiredArrival)
      return (.records(result), records(found.run, 0..<batch.count))
    }
  }

  private func records(_ run: RecordRun, _ range: Range<Int>) -> [ConformingRecord] {
    let origin = BatchOrigin(stream: "", shard: ShardNumber(0), shardCreatedAtSeconds: 0, attempt: 1)
    let batch = RecordBatch(origin: origin, run: run, range: range)
    return (0..<batch.count).map { position in
      let record = batch[position]
      return ConformingRecord(
        partitionKey: record.partitionKey, data: record.dataBytes, explicitHashKey: record.explicitHashKey)
    }
  }

  func split(_ address: ShardAddress, at key: HashKey) throws -> [ShardAddress] {
    guard case .shards(let children) = try store.performBlocking(.split(address, at: key)) else {
      preconditionFailure("a split answers with shards")
    }
    return children.map(\.address)
  }

  func merge(_ address: ShardAddress, with other: ShardNumber) throws -> ShardAddress {
    guard case .shards(let children) = try store.performBlocking(.merge(address, with: other)) else {
      preconditionFailure("a merge answers with shards")
    }
    return children[0].address
  }

  func trim(_ address: ShardAddress, arrivedBefore moment: WallTime) throws {
    var isDone = false
    while !isDone {
      let order = TrimOrder(cutoffs: [.init(address: address, arrivedBefore: moment)], blockLimit: 3)
      guard case .trimmed(let answer) = try store.performBlocking(.trim(order)) else {
        preconditionFailure("a trim answers with what it did")
      }
      isDone = !answer.moreRemain
    }
  }

  func storeLane(_ lane: LaneProgress, mapping: Int, _ address: ShardAddress) throws {
    progress.append(lane)
    let record = LaneRecord(next: lane.next, payload: [UInt8(progress.count - 1)])
    let key = LaneKey(mapping: mappings[mapping].number, address: address)
    try store.performBlocking(.storeLanes([LaneUpdate(key: key, record: record)]))
  }

  func lane(mapping: Int, _ address: ShardAddress) throws -> LaneProgress? {
    guard let record = try store.lane(LaneKey(mapping: mappings[mapping].number, address: address)) else { return nil }
    let lane = progress[Int(record.payload[0])]
    guard lane.next == record.next else { return nil }
    return lane
  }

  func storeFailure(_ order: FailureOrder, mapping: Int, _ address: ShardAddress) throws -> UInt64 {
    guard
      case .records(let found) = try store.read(
        address, from: order.extent.first, countLimit: order.extent.count, payloadByteLimit: .max / 2,
        recordOverheadBytes: 100), found.batch.count == order.extent.count
    else { preconditionFailure("the records of a failure are there") }
    let summary = FailureSummary(
      mapping: mappings[mapping].number, mappingName: mappings[mapping].name, streamName: "orders", address: address,
      shardCreatedAtSeconds: 0, firstIndex: order.extent.first, lastIndex: order.extent.last,
      firstArrival: order.extent.firstArrival, lastArrival: order.extent.lastArrival, condition: order.condition,
      attempts: order.attempts, history: [], createdAt: now)
    let failure = NewFailure(summary: summary, run: found.run, range: 0..<order.extent.count)
    guard case .number(let number) = try store.performBlocking(.storeFailure(failure)) else {
      preconditionFailure("storing a failure answers with its number")
    }
    return number
  }

  func failures() throws -> [ConformingFailure] {
    try store.failures(limit: 1_000).map { summary in
      let entry = try #require(try store.failure(summary.number))
      let extent = BatchExtent(
        first: summary.firstIndex, count: summary.count, firstArrival: summary.firstArrival,
        lastArrival: summary.lastArrival, payloadBytes: 0)
      return ConformingFailure(
        number: summary.number, mapping: mappings.firstIndex { $0.number == summary.mapping } ?? -1,
        address: summary.address,
        order: FailureOrder(extent: extent, condition: summary.condition, attempts: summary.attempts),
        records: records(entry.records, 0..<entry.records.count))
    }
  }

  func deleteFailure(_ number: UInt64) throws { try store.performBlocking(.deleteFailure(number)) }

  func expireFailures(mapping: Int, createdBefore moment: WallTime, limit: Int) throws -> Int {
    let expiry = FailureExpiry(
      mapping: mappings[mapping].number, createdBefore: moment, redrivesSince: .zero, entryLimit: limit,
      actor: "check", rule: "too old")
    guard case .expired(let answer) = try store.performBlocking(.expireFailures(expiry)) else {
      preconditionFailure("an expiry answers with what it did")
    }
    return answer.removedEntries
  }

  func setOnItsWay(_ number: UInt64, _ way: ConformingWay, _ isOnIt: Bool) throws {
    var summary = try #require(try store.failureSummary(number))
    switch way {
    case .delivery:
      let delivery = FailureDelivery(state: isOnIt ? .pending : .undeliverable, attempts: 0, at: now, detail: "")
      try store.performBlocking(
        .noteDelivery(DeliveryNote(number: number, createdAt: summary.createdAt, delivery: delivery)))
    case .redrive:
      if isOnIt {
        summary.add(RecordEvent(.redriven, at: now, actor: "check"))
      } else {
        summary.lastRedrive = RedriveOutcome(endedAt: now.adding(milliseconds: 1), succeeded: false, message: "")
      }
      try store.performBlocking(.updateFailure(summary))
    }
  }

  /// The process lives on, and so this is no more than closing and opening: the other checks of crashes kill a process.
  func crashAndReopen() throws {
    store.close()
    // Letting go of the last reference unlocks the folder.
    store = try reopened()
  }

  private func reopened() throws -> StreamStore {
    let elsewhere = TemporaryStore()
    store = try elsewhere.open()
    let merges = mergesSmallBlocks
    return try folder.open { $0.mergesSmallBlocks = merges }
  }
}
