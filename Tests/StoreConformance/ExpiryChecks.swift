import ShardCore
import StreamModel

let expiryChecks: [StoreCheck] =
  [
    StoreCheck(name: "failure entries that are too old go, oldest first, and at most so many at once") { store in
      let (address, numbers) = try store.fiveFailures()
      let moment = WallTime(milliseconds: 4_000)
      try require(try store.expireFailures(mapping: 0, createdBefore: moment, limit: 2), is: 2, "the first step")
      try require(try store.failures().map(\.number), is: Array(numbers[2...]), "after the first step")
      try require(try store.expireFailures(mapping: 0, createdBefore: moment, limit: 2), is: 1, "the second step")
      try require(try store.failures().map(\.number), is: Array(numbers[3...]), "one made at the moment stays")
      try require(try store.expireFailures(mapping: 0, createdBefore: moment, limit: 2), is: 0, "the third step")
      try store.crashAndReopen()
      try require(try store.failures().map(\.number), is: Array(numbers[3...]), "after a crash")
      // Those records may leave once more.
      _ = try store.storeFailure(order(0, 1), mapping: 0, address)
      try require(try store.failures().count, is: 3, "an entry for records whose entry had expired")
    },
    StoreCheck(name: "entries of another mapping stay, however old") { store in
      let (address, _) = try store.fiveFailures()
      store.now = WallTime(milliseconds: 500)
      let other = try store.storeFailure(order(0, 1), mapping: 1, address)
      try require(
        try store.expireFailures(mapping: 0, createdBefore: .distantFuture, limit: 10), is: 5, "those of the mapping")
      try require(try store.failures().map(\.number), is: [other], "that of the other")
    },
    StoreCheck(name: "an entry that is stored again is as old as that") { store in
      let (address, numbers) = try store.fiveFailures()
      store.now = WallTime(milliseconds: 9_000)
      try require(try store.storeFailure(order(1, 1), mapping: 0, address), is: numbers[1], "its number")
      let moment = WallTime(milliseconds: 8_000)
      try require(try store.expireFailures(mapping: 0, createdBefore: moment, limit: 10), is: 4, "the others")
      try require(try store.failures().map(\.number), is: [numbers[1]], "it stays")
    },
  ]
  + ConformingWay.allCases.map { way in
    StoreCheck(name: "an entry whose \(way) is under way stays until that is over") { store in
      let (_, numbers) = try store.fiveFailures()
      try store.setOnItsWay(numbers[1], way, true)
      try require(
        try store.expireFailures(mapping: 0, createdBefore: .distantFuture, limit: 10), is: 4, "the others")
      try require(try store.failures().map(\.number), is: [numbers[1]], "it stays")
      try store.setOnItsWay(numbers[1], way, false)
      try require(
        try store.expireFailures(mapping: 0, createdBefore: .distantFuture, limit: 10), is: 1, "when it is over")
      try require(try store.failures(), is: [], "nothing is left")
    }
  }

extension ConformingStore {
  /// A shard, and five entries of one record each of the first mapping, made a second apart, from second 1 on.
  fileprivate func fiveFailures() throws -> (ShardAddress, [UInt64]) {
    let address = try oneShard()
    now = WallTime(milliseconds: 1_000)
    try append(0..<5, to: address)
    let numbers = try (0..<5).map { place in
      now = WallTime(milliseconds: Int64(1_000 * (place + 1)))
      return try storeFailure(order(UInt64(place), 1), mapping: 0, address)
    }
    return (address, numbers)
  }
}
