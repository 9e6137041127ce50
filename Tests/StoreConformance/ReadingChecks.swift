import ShardCore
import StreamModel

let readingChecks: [StoreCheck] = [
  StoreCheck(name: "an open shard without more is caught up") { store in
    let address = try store.oneShard()
    try require(try store.read(address, from: 0).answer, is: .caughtUp, "an empty shard")
    try store.append(0..<3, to: address)
    try require(try store.read(address, from: 3).answer, is: .caughtUp, "behind the last record")
  },
  StoreCheck(name: "a read begins anywhere, also inside what was put together") { store in
    let address = try store.oneShard()
    var all: [ConformingRecord] = []
    for start in stride(from: 0, to: 60, by: 20) { all += try store.append(start..<(start + 20), to: address) }
    for start in 0..<60 {
      let (result, records) = try store.found(address, from: UInt64(start), upTo: 25)
      try require(result.extent.first.rawValue, is: UInt64(start), "the first index")
      try require(records, is: Array(all[start..<min(start + 25, 60)]), "the records from \(start) on")
      try require(result.isFull, is: 60 - start >= 25, "full from \(start) on")
    }
  },
  StoreCheck(name: "the payload limit ends a batch before the record that would exceed it") { store in
    let address = try store.oneShard()
    try store.append(0..<10, to: address, byteCount: 300)
    let one = try store.found(address, from: 0, upTo: 1).result.extent.payloadBytes
    let three = try store.found(address, from: 0, payload: one * 3).result
    try require(three.extent.count, is: 3, "three records fit exactly")
    try require(three.isFull, is: true, "a batch at its limit is full")
    try require(try store.found(address, from: 0, payload: one * 4 - 1).result.extent.count, is: 3, "a byte too few")
    let single = try store.found(address, from: 0, payload: 1).result
    try require(single.extent.count, is: 1, "one record is given in any case")
    try require(single.isFull, is: true, "and the batch is full")
  },
  StoreCheck(name: "the last records fill a batch if they reach a limit") { store in
    let address = try store.oneShard()
    try store.append(0..<3, to: address, byteCount: 300)
    let one = try store.found(address, from: 0, upTo: 1).result.extent.payloadBytes
    try require(try store.found(address, from: 0, upTo: 3).result.isFull, is: true, "the count is reached")
    try require(try store.found(address, from: 0, upTo: 4).result.isFull, is: false, "the count is not reached")
    try require(try store.found(address, from: 0, payload: one * 3).result.isFull, is: true, "the bytes are reached")
    try require(try store.found(address, from: 0, payload: one * 3 + 1).result.isFull, is: false, "a byte is left")
    try require(try store.found(address, from: 2, payload: 1).result.isFull, is: true, "one record above the limit")
  },
  StoreCheck(name: "expired records are counted at the head") { store in
    let address = try store.oneShard()
    for number in 0..<6 {
      store.now = WallTime(milliseconds: Int64(1_000 * (number + 1)))
      try store.append(number..<(number + 1), to: address)
    }
    for expired in 0...6 {
      let moment = WallTime(milliseconds: Int64(1_000 * expired + 500))
      guard case .records(let result) = try store.read(address, from: 0, expiredBefore: moment).answer else {
        throw Violation(description: "records were expected")
      }
      try require(result.expiredCount, is: expired, "expired before \(moment.milliseconds)")
      if expired > 0 {
        try require(result.lastExpiredArrival.milliseconds, is: Int64(1_000 * expired), "the last expired")
      }
    }
  },
]
