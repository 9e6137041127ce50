import ShardCore
import StreamModel

let recordChecks: [StoreCheck] = [
  StoreCheck(name: "records come back as they were put, in the order of the request", needs: [.recordBytes]) { store in
    let address = try store.oneShard()
    let records =
      store.records(0..<100) + [
        ConformingRecord(partitionKey: "é✓𝄞\"\\\n", data: []),
        ConformingRecord(partitionKey: "explicit", data: [0, 255], explicitHashKey: HashKey(.max)),
        ConformingRecord(partitionKey: String(repeating: "k", count: 256), data: [1]),
      ]
    let places = try store.append(records, to: address.stream)
    try require(places.map(\.index.rawValue), is: Array(0..<103), "indexes are dense from 0")
    try require(try store.found(address, from: 0).records, is: records, "the records")
  },
  StoreCheck(name: "a record goes to the shard that holds its hash key") { store in
    let stream = try store.createStream("orders", shardCount: 7)
    let records = store.records(0..<300)
    let places = try store.append(records, to: stream)
    let shards = try store.shards(of: stream)
    for (record, place) in zip(records, places) {
      let owner = shards.first { $0.hashKeys.contains(record.hashKey) }
      try require(place.address, is: owner?.address ?? place.address, "the shard of \(record.partitionKey)")
    }
    for shard in shards {
      let mine = zip(records, places).filter { $0.1.address == shard.address }
      try require(try store.found(shard.address, from: 0).records, is: mine.map(\.0), "the order in a shard")
      try require(mine.map(\.1.index.rawValue), is: Array(0..<UInt64(mine.count)), "indexes in a shard")
    }
  },
  StoreCheck(name: "an explicit hash key wins over the partition key") { store in
    let stream = try store.createStream("orders", shardCount: 2)
    let places = try store.append(
      [
        ConformingRecord(partitionKey: "same", data: [0], explicitHashKey: HashKey(0)),
        ConformingRecord(partitionKey: "same", data: [1], explicitHashKey: HashKey(.max)),
      ], to: stream)
    try require(places.map(\.address.shard.rawValue), is: [0, 1], "the shards")
  },
  StoreCheck(name: "arrival times never step back when the clock does") { store in
    let address = try store.oneShard()
    for (moment, number) in [(5_000, 0), (9_000, 1), (1_000, 2), (9_500, 3)] {
      store.now = WallTime(milliseconds: Int64(moment))
      try store.append(number..<(number + 1), to: address)
    }
    let arrivals = try (0..<4 as Range<UInt64>).map { index in
      try store.found(address, from: index, upTo: 1).result.extent.firstArrival.milliseconds
    }
    try require(arrivals, is: [5_000, 9_000, 9_000, 9_500], "the arrivals")
  },
  StoreCheck(name: "streams do not see each other's records") { store in
    let first = try store.oneShard("first")
    let second = try store.oneShard("second")
    try store.append(0..<3, to: first)
    let records = try store.append(3..<5, to: second)
    try require(try store.found(second, from: 0).records, is: records, "the second stream")
    try require(try store.found(first, from: 0).result.extent.count, is: 3, "the first stream")
  },
]
