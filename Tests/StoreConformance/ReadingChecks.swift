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
  StoreCheck(name: "a tumbling window ends a batch before the first record of the next one") { store in
    let address = try store.oneShard()
    for moment in [1_000, 1_400, 1_999, 2_000, 2_100, 4_999, 5_000] as [Int64] {
      store.now = WallTime(milliseconds: moment)
      try store.append(0..<1, to: address)
    }
    let second = WindowCut.every(milliseconds: 1_000)
    try require(try store.count(address, second, from: 0, isFull: true), is: 3, "the first window")
    try require(try store.count(address, second, from: 1, isFull: true), is: 2, "the rest of it")
    try require(try store.count(address, second, from: 3, isFull: true), is: 2, "the second window")
    try require(try store.count(address, second, from: 5, isFull: true), is: 1, "the one after a gap")
    try require(try store.count(address, second, from: 6, isFull: false), is: 1, "the last")
    try require(
      try store.count(address, .at(WallTime(milliseconds: 2_000)), from: 0, isFull: true), is: 3, "before a moment")
    try require(
      try store.count(address, .at(WallTime(milliseconds: 5_001)), from: 0, isFull: false), is: 7, "all before a moment"
    )
    try require(
      try store.count(address, .at(WallTime(milliseconds: 1_500)), from: 3, isFull: true), is: 1, "one in any case")
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

extension ConformingStore {
  /// How many records a read gives that ends at `cut`, which must fill the batch or not.
  fileprivate func count(
    _ address: ShardAddress, _ cut: WindowCut, from: UInt64, isFull: Bool
  ) throws -> Int {
    let request = ReadRequest(
      from: RecordIndex(from), countLimit: 100, payloadByteLimit: .max / 2, expiredBefore: nil, cut: cut,
      purpose: .deliver)
    guard case .records(let result) = try read(address, request).answer else {
      throw Violation(description: "records were expected")
    }
    try require(result.isFull, is: isFull, "full from \(from) on, cut \(cut)")
    return result.extent.count
  }
}
