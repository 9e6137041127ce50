import StreamModel
import StreamStore
import Testing

@Suite("StreamStore: lineage")
struct LineageTests {
  let folder = TemporaryStore()

  private func add(
    _ count: Int, to stream: StreamNumber, _ store: StreamStore, lineage: Lineage, own: [Int: Int] = [:]
  ) throws {
    var request = AppendRequest(to: try store.routing(of: stream), lineage: lineage)
    for number in 0..<count {
      try "key".utf8CString.dropLast().withUnsafeBytes { key in
        try request.add(
          partitionKeyBytes: key, data: UnsafeRawBufferPointer(start: nil, count: 0),
          lineage: Lineage(hops: own[number] ?? 0))
      }
    }
    _ = try store.appendBlocking(request)
  }

  private func read(_ store: StreamStore, _ stream: StreamInfo, _ shard: UInt32 = 0) throws -> RecordRun? {
    let address = ShardAddress(stream: stream.number, shard: ShardNumber(shard))
    let read = try store.read(
      address, from: .zero, countLimit: 100, payloadByteLimit: .max, recordOverheadBytes: 0)
    guard case .records(let found) = read else { return nil }
    return found.run
  }

  @Test("a record keeps the lineage of its request, or its own if that is more")
  func kept() throws {
    let store = try folder.open()
    let stream = try store.create()
    try add(2, to: stream.number, store, lineage: .none)
    #expect(try read(store, stream)?.mayHaveLineage == false)
    try add(3, to: stream.number, store, lineage: Lineage(hops: 4), own: [1: 9, 2: 2])
    let run = try #require(try read(store, stream))
    #expect((0..<run.count).map { run.lineage(at: $0).hops } == [0, 0, 4, 9, 4])
    #expect(try store.check().problems.isEmpty)
  }

  @Test("also when its request is routed again, because the shards have changed meanwhile")
  func rerouted() throws {
    let store = try folder.open()
    let stream = try store.create()
    var request = AppendRequest(to: try store.routing(of: stream.number), lineage: Lineage(hops: 7))
    try request.add(partitionKey: "key", data: [1], explicitHashKey: HashKey(0))
    _ = try store.performBlocking(
      .split(ShardAddress(stream: stream.number, shard: ShardNumber(0)), at: HashKey(1 << 127)))
    _ = try store.appendBlocking(request)
    #expect(try read(store, stream, 1)?.lineage(at: 0) == Lineage(hops: 7))
  }

  @Test(
    "a measure never puts records that have reached the limit together with others",
    arguments: [
      (from: 0, count: 2, hops: 3, isFull: true), (from: 2, count: 2, hops: 200, isFull: true),
      (from: 4, count: 2, hops: 0, isFull: false), (from: 3, count: 1, hops: 4, isFull: true),
    ])
  func measured(from: Int, count: Int, hops: Int, isFull: Bool) throws {
    let store = try folder.open()
    let stream = try store.create()
    try add(6, to: stream.number, store, lineage: .none, own: [1: 3, 2: 200, 3: 4])
    let run = try #require(try read(store, stream))
    func measure(_ limit: Lineage?) -> BatchMeasure {
      BatchMeasure.measure(
        run, from: from, countLimit: 10, payloadByteLimit: 1_000, recordOverheadBytes: 0, expiredBefore: nil,
        lineageLimit: limit)
    }
    let limited = measure(Lineage(hops: 4))
    #expect((limited.count, limited.lineage.hops, limited.isFull) == (count, hops, isFull))
    #expect((measure(nil).count, measure(nil).isFull) == (6 - from, false))
  }
}
