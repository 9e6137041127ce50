import ShardCore
import StoreConformance
import StreamModel
import Testing

@testable import ShardSimulation

@Suite("The simulator's store: what every store must do")
struct ModelConformanceTests {
  @Test("the model", arguments: StoreCheck.all(for: ModelConformingStore.self))
  func conforms(check: StoreCheck) throws {
    try check.run(ModelConformingStore())
  }

  @Test("the model is asked for everything but the bytes of records")
  func leftOut() {
    let asked = Set(StoreCheck.all(for: ModelConformingStore.self).map(\.name))
    #expect(
      StoreCheck.all.map(\.name).filter { !asked.contains($0) } == [
        "records come back as they were put, in the order of the request",
        "a failure entry keeps its records when the shard has lost them",
      ])
  }

  @Test("a crash takes the writes that are not committed, and no others")
  func crash() {
    var store = ModelStore(lanesPerShard: 2)
    store.addShards(1, at: .zero)
    let extent = BatchExtent(first: .zero, count: 1, firstArrival: .zero, lastArrival: .zero, payloadBytes: 1)
    for lane in 0..<2 {
      store.storeProgress(LaneProgress(next: RecordIndex(1)), revision: 1, lane)
      store.storeFailure(FailureOrder(extent: extent, condition: .skipped, attempts: 0), ticket: 1, lane)
    }
    store.commitProgress(0)
    store.commitFailure(0)
    store.crash()
    #expect(store.lanes.map(\.committed.next.rawValue) == [1, 0])
    #expect(store.failures.map(\.lane) == [0])
    #expect(store.lanes.allSatisfy { $0.progressState == .none && $0.failureState == .none })
  }
}

/// The simulator's model as the checks see it.
final class ModelConformingStore: ConformingStore {
  static let lacks: [StoreCapability: String] = [
    .recordBytes: "The poller decides by indexes, times and sizes alone, so the model keeps nothing else of a record."
  ]

  var now = WallTime(milliseconds: 1_700_000_000_000)
  private var streams: [Stream] = []
  /// Failure entries that are on their way somewhere.
  private var travelling: Set<UInt64> = []

  /// A model has one stream, as a simulated world does.
  private struct Stream {
    var model = ModelStore(lanesPerShard: 2)
    /// What was put, by shard and index: the model names indexes, and these stand for its records.
    var put: [[ConformingRecord]] = []

    func records(_ shard: Int, _ extent: BatchExtent) -> [ConformingRecord] {
      Array(put[shard][Int(extent.first.rawValue)..<Int(extent.end.rawValue)])
    }
  }

  private struct Refusal: Error {}

  func createStream(_ name: String, shardCount: Int) throws -> StreamNumber {
    var stream = Stream()
    stream.model.addShards(shardCount, at: now)
    stream.put = Array(repeating: [], count: shardCount)
    streams.append(stream)
    return StreamNumber(UInt32(streams.count))
  }

  func shards(of stream: StreamNumber) throws -> [ConformingShard] {
    let model = streams[place(stream)].model
    return model.shards[..<model.shardCount].enumerated().map { number, shard in
      ConformingShard(
        address: address(stream, number), hashKeys: shard.hashKeys,
        parents: [shard.parents.0, shard.parents.1].filter { $0 >= 0 }.map { ShardNumber(UInt32($0)) },
        createdAtSeconds: shard.createdAtSeconds, end: shard.isClosed ? RecordIndex(UInt64(shard.end)) : nil)
    }
  }

  func append(_ records: [ConformingRecord], to stream: StreamNumber) throws -> [ConformingPlace] {
    let place = place(stream)
    return try records.map { record in
      let key = record.explicitHashKey ?? HashKey(partitionKey: record.partitionKey)
      guard let shard = streams[place].model.owner(of: key) else { throw Refusal() }
      let index = streams[place].model.shards[shard].end
      streams[place].model.shards[shard].append(
        arrival: now.milliseconds, payload: 100 + record.data.count, isPoison: false)
      streams[place].put[shard].append(record)
      return ConformingPlace(address: address(stream, shard), index: RecordIndex(UInt64(index)))
    }
  }

  func read(
    _ address: ShardAddress, _ request: ReadRequest
  ) throws -> (answer: ReadAnswer, records: [ConformingRecord]) {
    let stream = streams[place(address.stream)]
    let shard = Int(address.shard.rawValue)
    let answer = stream.model.shards[shard].answer(request)
    guard case .records(let result) = answer else { return (answer, []) }
    return (answer, stream.records(shard, result.extent))
  }

  func split(_ parent: ShardAddress, at key: HashKey) throws -> [ShardAddress] {
    let place = place(parent.stream)
    let firstNew = streams[place].model.shardCount
    guard streams[place].model.split(Int(parent.shard.rawValue), at: key, at: now) else { throw Refusal() }
    streams[place].put += [[], []]
    return (firstNew..<firstNew + 2).map { address(parent.stream, $0) }
  }

  func merge(_ parent: ShardAddress, with other: ShardNumber) throws -> ShardAddress {
    let place = place(parent.stream)
    let child = streams[place].model.shardCount
    guard streams[place].model.merge(Int(parent.shard.rawValue), with: Int(other.rawValue), at: now) else {
      throw Refusal()
    }
    streams[place].put.append([])
    return address(parent.stream, child)
  }

  func trim(_ address: ShardAddress, arrivedBefore moment: WallTime) throws {
    streams[place(address.stream)].model.shards[Int(address.shard.rawValue)].trim(arrivedBefore: moment)
  }

  func storeLane(_ progress: LaneProgress, mapping: Int, _ address: ShardAddress) throws {
    let place = place(address.stream)
    let lane = streams[place].model.lane(of: Int(address.shard.rawValue), mapping)
    streams[place].model.storeProgress(progress, revision: 1, lane)
    streams[place].model.commitProgress(lane)
    streams[place].model.endProgress(lane)
  }

  func lane(mapping: Int, _ address: ShardAddress) throws -> LaneProgress? {
    let model = streams[place(address.stream)].model
    let lane = model.lanes[model.lane(of: Int(address.shard.rawValue), mapping)]
    return lane.hasProgress ? lane.committed : nil
  }

  func storeFailure(_ order: FailureOrder, mapping: Int, _ address: ShardAddress) throws -> UInt64 {
    let place = place(address.stream)
    let lane = streams[place].model.lane(of: Int(address.shard.rawValue), mapping)
    streams[place].model.storeFailure(order, ticket: 1, lane)
    let number = streams[place].model.commitFailure(lane, at: now)
    streams[place].model.endFailure(lane)
    return UInt64(place) << 32 | number
  }

  func failures() throws -> [ConformingFailure] {
    streams.enumerated().flatMap { place, stream in
      stream.model.failures.map { failure in
        let (shard, mapping) = failure.lane.quotientAndRemainder(dividingBy: stream.model.lanesPerShard)
        return ConformingFailure(
          number: UInt64(place) << 32 | failure.number, mapping: mapping,
          address: address(StreamNumber(UInt32(place + 1)), shard), order: failure.order,
          records: stream.records(shard, failure.order.extent))
      }
    }
  }

  func deleteFailure(_ number: UInt64) throws {
    streams[Int(number >> 32)].model.deleteFailure(number & 0xffff_ffff)
  }

  func expireFailures(mapping: Int, createdBefore moment: WallTime, limit: Int) throws -> Int {
    var removed = 0
    for place in streams.indices {
      let kept = Set(travelling.filter { Int($0 >> 32) == place }.map { $0 & 0xffff_ffff })
      removed +=
        streams[place].model.expireFailures(
          ofPlace: mapping, createdBefore: moment, kept: kept, limit: limit - removed
        ).count
    }
    return removed
  }

  func setOnItsWay(_ number: UInt64, _ way: ConformingWay, _ isOnIt: Bool) throws {
    if isOnIt { travelling.insert(number) } else { travelling.remove(number) }
  }

  /// A crash finds writes of every lane on their way; none of them may be there afterwards.
  func crashAndReopen() throws {
    for place in streams.indices {
      for lane in streams[place].model.lanes.indices {
        streams[place].model.storeProgress(LaneProgress(next: RecordIndex(1 << 40)), revision: 2, lane)
        let extent = BatchExtent(first: .zero, count: 1, firstArrival: .zero, lastArrival: .zero, payloadBytes: 0)
        streams[place].model.storeFailure(
          FailureOrder(extent: extent, condition: .skipped, attempts: 0), ticket: 2, lane)
      }
      streams[place].model.crash()
    }
  }

  private func place(_ stream: StreamNumber) -> Int { Int(stream.rawValue) - 1 }

  private func address(_ stream: StreamNumber, _ shard: Int) -> ShardAddress {
    ShardAddress(stream: stream, shard: ShardNumber(UInt32(shard)))
  }
}
