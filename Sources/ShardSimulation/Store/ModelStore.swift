import ShardCore
import StreamModel

/// The simulator's store: one stream as the LMDB store promises to keep it, without the records' bytes.
///
/// The same checks run against both (`Tests/StoreConformance`), so that what the poller survives here is what it meets
/// in a real process. Buffers are kept from one episode of the world to the next.
struct ModelStore {
  /// Lanes of each shard: one or more for each mapping.
  private(set) var lanesPerShard: Int
  /// Of these the first `shardCount` are there; the others are buffers of earlier episodes.
  var shards: [ModelShard] = []
  private(set) var shardCount = 0
  /// By shard, then by the place of the lane in it.
  private(set) var lanes: [ModelLane] = []
  /// By lane, in the order of their records.
  private var entries: [[ModelFailure]] = []
  private var nextFailure: UInt64 = 0

  init(lanesPerShard: Int) {
    self.lanesPerShard = lanesPerShard
  }

  /// An empty store.
  mutating func reset(lanesPerShard: Int) {
    self.lanesPerShard = lanesPerShard
    shardCount = 0
    lanes.removeAll(keepingCapacity: true)
    for place in entries.indices { entries[place].removeAll(keepingCapacity: true) }
    nextFailure = 0
  }

  /// Other lanes work on the shards, in one transaction: `lanes` by shard, then by place.
  mutating func replaceLanes(lanesPerShard: Int, _ lanes: [ModelLane]) {
    self.lanesPerShard = lanesPerShard
    self.lanes = lanes
    // Entries stay where they are on disk; that a lane finds its own again is for the lanes of one life.
    for place in entries.indices { entries[place].removeAll(keepingCapacity: true) }
    while entries.count < lanes.count { entries.append([]) }
  }

  func lane(of shard: Int, _ place: Int) -> Int { shard * lanesPerShard + place }

  // MARK: Shards

  /// Opens so many shards that share the hash keys evenly.
  mutating func addShards(_ count: Int, at now: WallTime) {
    for range in HashKeyRange.evenly(count) { addShard(range, parents: (-1, -1), createdAtSeconds: now.modelSeconds) }
  }

  /// Opens a shard and its lanes. A parent of -1 is none.
  private mutating func addShard(_ hashKeys: HashKeyRange, parents: (Int, Int), createdAtSeconds: UInt64) {
    let shard = shardCount
    shardCount += 1
    if shard == shards.count { shards.append(ModelShard()) }
    shards[shard].open(hashKeys, parents: parents, createdAtSeconds: createdAtSeconds)
    for _ in 0..<lanesPerShard { lanes.append(ModelLane()) }
    while entries.count < lanes.count { entries.append([]) }
  }

  /// The open shard that holds the key. The open shards hold all keys, each one once.
  func owner(of key: HashKey) -> Int? {
    (0..<shardCount).first { !shards[$0].isClosed && shards[$0].hashKeys.contains(key) }
  }

  /// An open shard whose hash keys lie beside those of this one; `nil` if this one holds all of them.
  func neighbour(of shard: Int) -> Int? {
    (0..<shardCount).first { !shards[$0].isClosed && areNeighbours(shard, $0) }
  }

  private func areNeighbours(_ first: Int, _ second: Int) -> Bool {
    let (one, other) = (shards[first].hashKeys, shards[second].hashKeys)
    return one.isFollowed(by: other) || other.isFollowed(by: one)
  }

  /// Closes the shard and opens two that share its hash keys. `false` if the store refuses; then nothing has changed.
  mutating func split(_ parent: Int, at key: HashKey, at now: WallTime) -> Bool {
    let range = shards[parent].hashKeys
    guard !shards[parent].isClosed, range.first < key, key <= range.last else { return false }
    shards[parent].isClosed = true
    let seconds = secondsOfChildren(parent, parent, now)
    let lower = HashKeyRange(first: range.first, last: HashKey(key.rawValue - 1))
    addShard(lower, parents: (parent, -1), createdAtSeconds: seconds)
    addShard(HashKeyRange(first: key, last: range.last), parents: (parent, -1), createdAtSeconds: seconds)
    return true
  }

  /// Closes both shards and opens one that has the hash keys of both. `false` if the store refuses; then nothing has
  /// changed.
  mutating func merge(_ first: Int, with second: Int, at now: WallTime) -> Bool {
    guard !shards[first].isClosed, !shards[second].isClosed, areNeighbours(first, second) else { return false }
    shards[first].isClosed = true
    shards[second].isClosed = true
    let (one, other) = (shards[first].hashKeys, shards[second].hashKeys)
    addShard(
      HashKeyRange(first: min(one.first, other.first), last: max(one.last, other.last)), parents: (first, second),
      createdAtSeconds: secondsOfChildren(first, second, now))
    return true
  }

  /// Later than both parents, so that sequence numbers of children sort behind theirs.
  private func secondsOfChildren(_ first: Int, _ second: Int, _ now: WallTime) -> UInt64 {
    max(now.modelSeconds, shards[first].createdAtSeconds + 1, shards[second].createdAtSeconds + 1)
  }

  // MARK: Writes of lanes

  mutating func storeProgress(
    _ progress: LaneProgress, revision: UInt64, effects: RecordSet = RecordSet(), _ lane: Int
  ) {
    lanes[lane].storeProgress(progress, revision: revision, effects: effects)
  }

  /// Effects become durable by themselves, which no store does.
  mutating func commitEffects(_ effects: RecordSet, _ lane: Int) { lanes[lane].effects.formUnion(effects) }

  mutating func commitProgress(_ lane: Int) { lanes[lane].commitProgress() }

  /// The write was answered or refused.
  mutating func endProgress(_ lane: Int) { lanes[lane].endProgress() }

  mutating func storeFailure(_ order: FailureOrder, ticket: UInt64, _ lane: Int) {
    lanes[lane].storeFailure(order, ticket: ticket)
  }

  /// Puts the entry on the list, or in the place of one for the same records: a process that ended before it heard of
  /// the commit stores its entry again. The number of the entry.
  @discardableResult
  mutating func commitFailure(_ lane: Int, at now: WallTime = .zero) -> UInt64 {
    lanes[lane].commitFailure()
    let order = lanes[lane].failure
    // A lane goes forward, so the place is at the end or close to it.
    var place = entries[lane].count
    while place > 0, entries[lane][place - 1].order.extent.first >= order.extent.first {
      place -= 1
      let former = entries[lane][place].order.extent
      if former.first == order.extent.first, former.count == order.extent.count {
        entries[lane][place].order = order
        entries[lane][place].createdAt = now
        return entries[lane][place].number
      }
    }
    let number = nextFailure
    nextFailure += 1
    entries[lane].insert(ModelFailure(number: number, lane: lane, order: order, createdAt: now), at: place)
    return number
  }

  /// The write was answered or refused.
  mutating func endFailure(_ lane: Int) { lanes[lane].endFailure() }

  // MARK: Failure entries

  /// The entries by number.
  var failures: [ModelFailure] { entries.joined().sorted { $0.number < $1.number } }

  mutating func deleteFailure(_ number: UInt64) {
    for lane in entries.indices { entries[lane].removeAll { $0.number == number } }
  }

  /// Removes the entries of the mapping whose lanes have this place in their shards, oldest first and at most so many,
  /// that were made before the moment; `kept` are on their way somewhere and stay. The numbers of those removed.
  mutating func expireFailures(
    ofPlace place: Int, createdBefore moment: WallTime, kept: Set<UInt64>, limit: Int
  ) -> [UInt64] {
    let old = entries.joined().filter {
      $0.lane % lanesPerShard == place && $0.createdAt < moment && !kept.contains($0.number)
    }
    let removed = old.sorted { ($0.createdAt, $0.number) < ($1.createdAt, $1.number) }.prefix(limit).map(\.number)
    for number in removed { deleteFailure(number) }
    return removed
  }

  // MARK: Crashes

  /// The process ends: what is not committed never was.
  mutating func crash() {
    for lane in lanes.indices { lanes[lane].crash() }
  }
}

extension WallTime {
  fileprivate var modelSeconds: UInt64 { UInt64(max(0, milliseconds) / 1_000) }
}

/// A failure entry. The real one keeps the records, this one says which they are.
struct ModelFailure: Hashable {
  var number: UInt64
  var lane: Int
  var order: FailureOrder
  var createdAt: WallTime
}
