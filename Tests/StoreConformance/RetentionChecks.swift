import ShardCore
import StreamModel

let retentionChecks: [StoreCheck] = [
  StoreCheck(name: "trimming removes the old and keeps the rest in place") { store in
    let address = try store.oneShard()
    for number in 0..<10 {
      store.now = WallTime(milliseconds: Int64(1_000 * (number + 1)))
      try store.append(number..<(number + 1), to: address)
    }
    try store.trim(address, arrivedBefore: WallTime(milliseconds: 4_000))
    let (result, records) = try store.found(address, from: 0)
    try require(result.extent.first.rawValue, is: 3, "the first that is left")
    try require(records, is: store.records(3..<10), "the records that are left")
    try require(try store.found(address, from: 7).result.extent.first.rawValue, is: 7, "later ones keep their index")
  },
  StoreCheck(name: "nothing younger than the moment is trimmed") { store in
    let address = try store.oneShard()
    store.now = WallTime(milliseconds: 4_000)
    try store.append(0..<5, to: address)
    try store.trim(address, arrivedBefore: WallTime(milliseconds: 4_000))
    try require(try store.found(address, from: 0).result.extent.count, is: 5, "all are there")
  },
  StoreCheck(name: "the end of a closed shard is known when everything was trimmed") { store in
    let address = try store.oneShard()
    try store.append(0..<5, to: address)
    _ = try store.split(address, at: HashKey(1 << 127))
    try store.trim(address, arrivedBefore: .distantFuture)
    try require(try store.read(address, from: 0).answer, is: .shardEnd(end: RecordIndex(5)), "from the first on")
    try store.crashAndReopen()
    try require(try store.read(address, from: 3).answer, is: .shardEnd(end: RecordIndex(5)), "after a crash")
  },
  StoreCheck(name: "indexes and arrivals go on where they were when everything was trimmed") { store in
    let address = try store.oneShard()
    store.now = WallTime(milliseconds: 9_000)
    try store.append(0..<5, to: address)
    try store.trim(address, arrivedBefore: .distantFuture)
    try require(try store.read(address, from: 0).answer, is: .caughtUp, "an empty shard")
    try store.crashAndReopen()
    store.now = WallTime(milliseconds: 1_000)
    let places = try store.append(store.records(5..<6), to: address.stream)
    try require(places.map(\.index.rawValue), is: [5], "the next index")
    let arrival = try store.found(address, from: 0).result.extent.firstArrival
    try require(arrival.milliseconds, is: 9_000, "the next arrival")
  },
]
