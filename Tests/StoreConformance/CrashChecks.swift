import ShardCore
import StreamModel

let crashChecks: [StoreCheck] = [
  StoreCheck(name: "everything acknowledged is there after a crash") { store in
    let stream = try store.createStream("orders", shardCount: 1)
    let address = ShardAddress(stream: stream, shard: ShardNumber(0))
    let records = try store.append(0..<50, to: address)
    try store.storeLane(LaneProgress(next: RecordIndex(20)), mapping: 0, address)
    let failure = try store.storeFailure(
      FailureOrder(
        extent: BatchExtent(first: .zero, count: 2, firstArrival: .zero, lastArrival: .zero, payloadBytes: 0),
        condition: .recordAgeExceeded, attempts: 0), mapping: 0, address)
    let children = try store.split(address, at: HashKey(77))
    let shards = try store.shards(of: stream)
    try store.crashAndReopen()
    try require(try store.found(address, from: 0).records, is: records, "the records")
    try require(try store.lane(mapping: 0, address)?.next, is: RecordIndex(20), "the progress")
    try require(try store.failures().map(\.number), is: [failure], "the failure entries")
    try require(try store.shards(of: stream), is: shards, "the shards")
    let places = try store.append(store.records(50..<60), to: stream)
    try require(places.allSatisfy { children.contains($0.address) }, "records go to the children")
  },
  StoreCheck(name: "indexes go on where they were after a crash") { store in
    let address = try store.oneShard()
    for round in 0..<5 {
      let places = try store.append(store.records(0..<3), to: address.stream)
      try require(places.first?.index.rawValue, is: UInt64(3 * round), "the next index")
      try store.crashAndReopen()
    }
    try require(try store.found(address, from: 0).records.count, is: 15, "all records")
  },
]
