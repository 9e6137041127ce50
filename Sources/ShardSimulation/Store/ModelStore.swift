import ShardCore
import StreamModel

/// The simulator's store: one stream as the LMDB store promises to keep it, without the records' bytes.
///
/// The same checks run against both (`Tests/StoreConformance`), so that what the poller survives here is what it meets
/// in a real process. Buffers are kept from one episode of the world to the next.
struct ModelStore {
  private(set) var mappingCount: Int
  /// Of these the first `shardCount` are there; the others are buffers of earlier episodes.
  var shards: [ModelShard] = []
  private(set) var shardCount = 0
  /// By shard, then by mapping.
  private(set) var lanes: [ModelLane] = []
  /// By lane, in the order of their records.
  private var entries: [[ModelFailure]] = []
  private var nextFailure: UInt64 = 0

  init(mappingCount: Int) {
    self.mappingCount = mappingCount
  }

  /// An empty store.
  mutating func reset(mappingCount: Int) {
    self.mappingCount = mappingCount
    shardCount = 0
    lanes.removeAll(keepingCapacity: true)
    for place in entries.indices { entries[place].removeAll(keepingCapacity: true) }
    nextFailure = 0
  }

  func lane(of shard: Int, _ mapping: Int) -> Int { shard * mappingCount + mapping }

  // MARK: Shards

  /// Opens a shard and its lanes; its number. A parent of -1 is none.
  mutating func addShard(parents: (Int, Int)) -> Int {
    let shard = shardCount
    shardCount += 1
    if shard == shards.count { shards.append(ModelShard()) } else { shards[shard].reset() }
    shards[shard].parents = parents
    for _ in 0..<mappingCount { lanes.append(ModelLane()) }
    while entries.count < lanes.count { entries.append([]) }
    return shard
  }

  // MARK: Writes of lanes

  mutating func storeProgress(_ progress: LaneProgress, revision: UInt64, _ lane: Int) {
    lanes[lane].storeProgress(progress, revision: revision)
  }

  mutating func commitProgress(_ lane: Int) { lanes[lane].commitProgress() }

  /// The write was answered or refused.
  mutating func endProgress(_ lane: Int) { lanes[lane].endProgress() }

  mutating func storeFailure(_ order: FailureOrder, ticket: UInt64, _ lane: Int) {
    lanes[lane].storeFailure(order, ticket: ticket)
  }

  /// Puts the entry on the list, or in the place of one for the same records: a process that ended before it heard of
  /// the commit stores its entry again. The number of the entry.
  @discardableResult
  mutating func commitFailure(_ lane: Int) -> UInt64 {
    lanes[lane].commitFailure()
    let order = lanes[lane].failure
    // A lane goes forward, so the place is at the end or close to it.
    var place = entries[lane].count
    while place > 0, entries[lane][place - 1].order.extent.first >= order.extent.first {
      place -= 1
      let former = entries[lane][place].order.extent
      if former.first == order.extent.first, former.count == order.extent.count {
        entries[lane][place].order = order
        return entries[lane][place].number
      }
    }
    let number = nextFailure
    nextFailure += 1
    entries[lane].insert(ModelFailure(number: number, lane: lane, order: order), at: place)
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

  // MARK: Crashes

  /// The process ends: what is not committed never was.
  mutating func crash() {
    for lane in lanes.indices { lanes[lane].crash() }
  }
}

/// A failure entry. The real one keeps the records, this one says which they are.
struct ModelFailure: Hashable {
  var number: UInt64
  var lane: Int
  var order: FailureOrder
}
