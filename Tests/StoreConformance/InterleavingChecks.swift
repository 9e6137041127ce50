import ShardCore
import StreamModel

let interleavingChecks: [StoreCheck] = [
  StoreCheck(name: "a few records at a time for many shards: each shard has its own, in order, from any index on") {
    store in
    let stream = try store.createStream("orders", shardCount: 6)
    var expected = Expected()
    for round in 0..<90 {
      store.now = WallTime(milliseconds: Int64(1_000 * round))
      // Mostly a few, now and then one, and now and then so many that they take another way.
      let count = round % 29 == 28 ? 200 : round % 7 == 6 ? 1 : 9
      try expected.put(count, to: stream, of: store, byteCount: count == 200 ? 300 : 20)
      if round % 31 == 30 { try store.crashAndReopen() }
      if round % 23 == 0 { try expected.check(store, "after round \(round)") }
    }
    try expected.check(store, "at the end")
    try store.crashAndReopen()
    try expected.check(store, "after a crash")
  },
  StoreCheck(name: "what came a few records at a time is split, merged and trimmed like everything else") { store in
    let stream = try store.createStream("orders", shardCount: 3)
    var expected = Expected()
    for round in 0..<10 {
      store.now = WallTime(milliseconds: Int64(1_000 * (round + 1)))
      try expected.put(8, to: stream, of: store)
    }
    let shards = try store.shards(of: stream)
    _ = try store.split(shards[0].address, at: HashKey(5))
    _ = try store.merge(shards[1].address, with: shards[2].address.shard)
    try expected.check(store, "after resharding")
    try expected.put(40, to: stream, of: store)
    try expected.check(store, "with children")
    for shard in shards {
      let end = try store.shards(of: stream).first { $0.address == shard.address }?.end
      try require(end, is: RecordIndex(expected.count(shard.address)), "the end of \(shard.address.shard)")
      try store.trim(shard.address, arrivedBefore: .distantFuture)
      try require(
        try store.read(shard.address, from: 0).answer, is: .shardEnd(end: RecordIndex(expected.count(shard.address))),
        "nothing is left in \(shard.address.shard)")
      expected.forget(shard.address)
    }
    try expected.check(store, "after trimming")
    try store.crashAndReopen()
    try expected.check(store, "after trimming and a crash")
  },
]

/// What was put, by shard.
private struct Expected {
  private var records: [ShardAddress: [ConformingRecord]] = [:]
  private var next = 0

  func count(_ address: ShardAddress) -> UInt64 { UInt64(records[address]?.count ?? 0) }

  mutating func forget(_ address: ShardAddress) { records[address] = nil }

  mutating func put(
    _ count: Int, to stream: StreamNumber, of store: any ConformingStore, byteCount: Int = 5
  ) throws {
    let put = store.records(next..<(next + count), byteCount: byteCount)
    next += count
    for (record, place) in zip(put, try store.append(put, to: stream)) {
      try require(place.index.rawValue, is: self.count(place.address), "the index in \(place.address.shard)")
      records[place.address, default: []].append(record)
    }
  }

  func check(_ store: any ConformingStore, _ moment: String) throws {
    for (address, records) in records {
      for start in [0, 1, records.count / 3, records.count / 2, records.count - 1] where start < records.count {
        let found = try store.found(address, from: UInt64(start))
        try require(found.result.extent.count, is: records.count - start, "\(address.shard) from \(start), \(moment)")
        try require(found.records, is: Array(records[start...]), "\(address.shard) from \(start), \(moment)")
      }
    }
  }
}
