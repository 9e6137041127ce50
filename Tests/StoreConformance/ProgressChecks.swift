import ShardCore
import StreamModel

let progressChecks: [StoreCheck] = [
  StoreCheck(name: "a lane's progress is the last that was stored, for each mapping and shard") { store in
    let address = try store.oneShard()
    try require(try store.lane(mapping: 0, address), is: nil, "before the first")
    let failing = FailingBatch(
      extent: BatchExtent(
        first: RecordIndex(7), count: 3, firstArrival: WallTime(milliseconds: 1),
        lastArrival: WallTime(milliseconds: 2), payloadBytes: 99),
      attempts: 2, systemFailures: 1, lastFailure: .timedOut, firstFailedAt: WallTime(milliseconds: 3),
      lastFailedAt: WallTime(milliseconds: 4), retryAt: WallTime(milliseconds: 5))
    let progress = LaneProgress(next: RecordIndex(7), isPaused: true, failing: failing, lostToRetention: 4)
    try store.storeLane(LaneProgress(next: RecordIndex(5)), mapping: 0, address)
    try store.storeLane(progress, mapping: 0, address)
    try store.storeLane(LaneProgress(next: RecordIndex(1)), mapping: 1, address)
    try require(try store.lane(mapping: 0, address), is: progress, "the first mapping")
    try require(try store.lane(mapping: 1, address)?.next, is: RecordIndex(1), "the second mapping")
  },
  StoreCheck(name: "a failure entry stays when the shard has lost its records, until it is deleted") { store in
    let address = try store.oneShard()
    store.now = WallTime(milliseconds: 1_000)
    try store.append(0..<10, to: address)
    let numbers = [
      try store.storeFailure(order(2, 4), mapping: 0, address),
      try store.storeFailure(order(6, 1), mapping: 0, address),
    ]
    try store.trim(address, arrivedBefore: .distantFuture)
    let failures = try store.failures()
    try require(failures.map(\.number), is: numbers, "the entries")
    try require(failures.map(\.order.extent.first), is: [RecordIndex(2), RecordIndex(6)], "their first records")
    try require(failures.map(\.order.extent.count), is: [4, 1], "their counts")
    try store.deleteFailure(numbers[0])
    try require(try store.failures().map(\.number), is: [numbers[1]], "after deleting")
    try store.crashAndReopen()
    try require(try store.failures().map(\.number), is: [numbers[1]], "after deleting and a crash")
  },
  StoreCheck(name: "a failure entry keeps its records when the shard has lost them", needs: [.recordBytes]) { store in
    let address = try store.oneShard()
    store.now = WallTime(milliseconds: 1_000)
    let records = try store.append(0..<10, to: address)
    let number = try store.storeFailure(order(2, 4), mapping: 0, address)
    try store.trim(address, arrivedBefore: .distantFuture)
    let failures = try store.failures()
    try require(failures.map(\.number), is: [number], "the entries")
    try require(failures.first?.records ?? [], is: Array(records[2...5]), "the records")
    try store.deleteFailure(number)
    try require(try store.failures(), is: [], "after deleting")
  },
  StoreCheck(name: "storing a failure again replaces it") { store in
    let address = try store.oneShard()
    try store.append(0..<10, to: address)
    let first = try store.storeFailure(order(2, 4), mapping: 0, address)
    let again = try store.storeFailure(order(2, 4), mapping: 0, address)
    try require(again, is: first, "the number")
    let other = try store.storeFailure(order(2, 5), mapping: 0, address)
    let others = try store.storeFailure(order(2, 4), mapping: 1, address)
    try require(Set([first, other, others]).count, is: 3, "other records, other mappings")
    try require(try store.failures().count, is: 3, "the entries")
  },
]

/// An order for `count` records from `first` on, which arrived at the store's first moment.
func order(_ first: UInt64, _ count: Int) -> FailureOrder {
  FailureOrder(
    extent: BatchExtent(
      first: RecordIndex(first), count: count, firstArrival: .zero, lastArrival: .zero, payloadBytes: 0),
    condition: .retryAttemptsExhausted, attempts: 3)
}
