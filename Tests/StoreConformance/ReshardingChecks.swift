import ShardCore
import StreamModel

let reshardingChecks: [StoreCheck] = [
  StoreCheck(name: "a split closes the shard and its children take its hash keys") { store in
    let parent = try store.oneShard()
    try store.append(0..<10, to: parent)
    let middle = HashKey(1 << 127)
    let children = try store.split(parent, at: middle)
    try require(children.count, is: 2, "two children")
    try require(try store.read(parent, from: 10).answer, is: .shardEnd(end: RecordIndex(10)), "the end of the parent")
    try require(try store.found(parent, from: 4).records.count, is: 6, "the parent can still be read")
    let shards = try store.shards(of: parent.stream)
    try require(shards.map(\.parents), is: [[], [ShardNumber(0)], [ShardNumber(0)]], "the parents")
    try require(shards[1].hashKeys.last.rawValue + 1, is: middle.rawValue, "the lower child ends before the key")
    try require(shards[2].hashKeys.first, is: middle, "the upper child begins at the key")
    try require(shards[0].end, is: RecordIndex(10), "the end")
    for child in shards.dropFirst() {
      try require(child.createdAtSeconds > shards[0].createdAtSeconds, "a child is younger than its parent")
    }
    let places = try store.append(store.records(10..<40), to: parent.stream)
    try require(places.allSatisfy { children.contains($0.address) }, "records go to the children")
    try require(places.filter { $0.index == .zero }.count, is: 2, "the children begin at index 0")
  },
  StoreCheck(name: "a merge joins neighbours under one child") { store in
    let stream = try store.createStream("orders", shardCount: 2)
    _ = try store.append(store.records(0..<20), to: stream)
    let address = ShardAddress(stream: stream, shard: ShardNumber(0))
    let child = try store.merge(address, with: ShardNumber(1))
    let shards = try store.shards(of: stream)
    try require(shards.last?.address, is: child, "the child")
    try require(shards.last?.parents ?? [], is: [ShardNumber(0), ShardNumber(1)], "the parents")
    try require(shards.last?.hashKeys, is: .all, "the hash keys")
    let ends = shards.prefix(2).compactMap(\.end).map { Int($0.rawValue) }
    try require(ends.reduce(0, +), is: 20, "the ends of the parents")
  },
  StoreCheck(name: "shards that are closed, or no neighbours, are refused and nothing changes") { store in
    let stream = try store.createStream("orders", shardCount: 3)
    let first = ShardAddress(stream: stream, shard: ShardNumber(0))
    let before = try store.shards(of: stream)
    try requireRefusal("no neighbours") { _ = try store.merge(first, with: ShardNumber(2)) }
    try requireRefusal("itself") { _ = try store.merge(first, with: ShardNumber(0)) }
    try requireRefusal("a key outside") { _ = try store.split(first, at: HashKey(.max)) }
    try requireRefusal("the first key") { _ = try store.split(first, at: HashKey(0)) }
    try require(try store.shards(of: stream), is: before, "the shards")
    _ = try store.split(first, at: HashKey(5))
    try requireRefusal("a closed shard") { _ = try store.split(first, at: HashKey(3)) }
  },
]

func requireRefusal(_ what: String, _ body: () throws -> Void) throws {
  do {
    try body()
  } catch {
    return
  }
  throw Violation(description: "\(what) was not refused")
}
