import StreamModel

/// The parked keys of one lane.
///
/// What is parked and what is durable of it are kept apart: a key that changed is dirty until its change goes with the
/// next progress, and under way until that progress is stored or refused.
struct ParkedKeys: Hashable {
  /// One element. An array because that is one reference with the meaning of a value: copying a lane, or looking at one
  /// where it lies, then costs one count and not one for each list.
  private var lists = [Lists()]
  /// Parked records that are not settled.
  private(set) var recordCount: UInt64 = 0
  /// Keys whose records are all settled and that no track works on.
  private(set) var emptyCount = 0
  /// Where those of `met` begin that the checkpoint has not passed.
  private var metStart = 0
  /// The key of the first record of the lane's own batch.
  var headKey: PartitionKeyHash?
  /// The next record belongs to a parked key, and no more of them may be parked.
  var isFull = false
  /// The shard is closed and everything but parked records is settled.
  var isAtShardEnd = false

  var count: Int { keys.count }
  var isEmpty: Bool { keys.isEmpty }

  func place(of key: PartitionKeyHash) -> Int? { lists[0].set.number(of: key) }

  // MARK: Keys

  /// A key whose record at `index` failed.
  mutating func park(_ key: ParkedKey, record index: RecordIndex) {
    add(key)
    added.append(ParkedRecord(key: key.key, index: index))
    change(keys.count - 1) { _ in }
  }

  private mutating func add(_ key: ParkedKey) {
    precondition(place(of: key.key) == nil, "a key is parked once")
    set.insert(key.key, number: keys.count)
    keys.append(key)
    recordCount += key.ranges.count
    if key.ranges.isEmpty { emptyCount += 1 }
    removed.remove(key.key)
    next.follow(keys.count - 1, keys)
  }

  /// A key as it was stored. One without records is only to be forgotten.
  mutating func restore(_ change: ParkedKeyChange, policy: LanePolicy, now: Now) {
    guard let state = change.state, !change.ranges.isEmpty, place(of: change.key) == nil else {
      if place(of: change.key) == nil { removed.insert(change.key) }
      return
    }
    add(ParkedKey(stored: change, state, policy: policy, now: now))
  }

  /// The keys that have nothing left to wait for go back to the others. `false` if there are none.
  mutating func removeEmpty() -> Bool {
    guard emptyCount > 0 else { return false }
    var place = keys.count - 1
    while place >= 0 {
      if keys[place].ranges.isEmpty, !keys[place].isWorkedOn { remove(at: place) }
      place -= 1
    }
    emptyCount = 0
    return true
  }

  private mutating func remove(at place: Int) {
    let key = keys[place].key
    set.remove(key)
    removed.insert(key)
    keys.swapAt(place, keys.count - 1)
    keys.removeLast()
    if place < keys.count { set.insert(keys[place].key, number: place) }
    next = .unknown
  }

  /// Changes a key and remembers that it changed.
  mutating func change(_ place: Int, _ body: (inout ParkedKey) -> Void) {
    let former = keys[place].ranges.count
    let wasEmpty = isEmpty(place)
    body(&keys[place])
    recordCount = recordCount - former + keys[place].ranges.count
    count(place, wasEmpty)
    next.follow(place, keys)
    guard !keys[place].isDirty else { return }
    keys[place].isDirty = true
    dirty.append(keys[place].key)
  }

  /// Changes what need not be stored.
  mutating func touch(_ place: Int, _ body: (inout ParkedKey) -> Void) {
    let wasEmpty = isEmpty(place)
    body(&keys[place])
    count(place, wasEmpty)
    next.follow(place, keys)
  }

  private func isEmpty(_ place: Int) -> Bool { keys[place].ranges.isEmpty && !keys[place].isWorkedOn }

  private mutating func count(_ place: Int, _ wasEmpty: Bool) {
    let isEmpty = isEmpty(place)
    if isEmpty != wasEmpty { emptyCount += isEmpty ? 1 : -1 }
  }

  /// The key that has been due for longest, or is due next, of those that nobody works on.
  mutating func earliest() -> Int? {
    if case .unknown = next { next = NextKey(of: keys) }
    return next.place
  }

  // MARK: Records that were met

  mutating func meet(_ records: [ParkedRecord]) {
    met = records
    metStart = 0
  }

  /// How many of the records met stand before `index`.
  func metCount(before index: RecordIndex) -> UInt64 {
    var place = metStart
    while place < met.count, met[place].index < index { place += 1 }
    return UInt64(place - metStart)
  }

  /// How many keys have something to wait for when the records before `index` are parked.
  func keyCount(before index: RecordIndex) -> Int {
    guard emptyCount > 0 else { return keys.count }
    var again: Set<PartitionKeyHash> = []
    for record in met[metStart...] where record.index < index {
      if let place = place(of: record.key), isEmpty(place) { again.insert(record.key) }
    }
    return keys.count - emptyCount + again.count
  }

  /// The checkpoint passes the records before `index`: those of parked keys are parked.
  mutating func park(before index: RecordIndex, now: Now) {
    while true {
      recordCount += lists[0].park(from: &metStart, before: index)
      guard metStart < met.count, met[metStart].index < index else { return }
      // The key's other records are all settled.
      let record = met[metStart]
      metStart += 1
      guard let place = place(of: record.key) else { Self.parkedNothing() }
      change(place) { key in
        key.due = now.monotonic
        key.settledBefore = record.index
        key.ranges.append(RecordRange(first: record.index, count: 1))
      }
      added.append(record)
    }
  }

  fileprivate static func parkedNothing() -> Never {
    preconditionFailure("a record was kept out of a batch whose key is not parked")
  }

  // MARK: What is durable

  /// All keys as they are, for a lane that opens.
  var all: [ParkedKeyChange] {
    keys.filter { !$0.ranges.isEmpty }.map {
      ParkedKeyChange(key: $0.key, state: $0.state, ranges: Array($0.ranges.all))
    }
  }

  /// What changed since the last time goes with `progress`; from now on it is under way.
  mutating func moveChanges(to progress: inout LaneProgress) {
    if !added.isEmpty {
      progress.parkedRecords = added
      addedUnderWay = progress.parkedRecords
      added = []
    }
    guard !dirty.isEmpty || !removed.isEmpty else { return }
    progress.parked.reserveCapacity(dirty.count + removed.count)
    for key in removed { progress.parked.append(ParkedKeyChange(key: key, state: nil)) }
    removedUnderWay = removed
    removed.removeAll()
    for key in dirty {
      // One that was removed meanwhile is among those.
      guard let place = place(of: key), keys[place].isDirty else { continue }
      keys[place].isDirty = false
      keys[place].isUnderWay = true
      progress.parked.append(ParkedKeyChange(key: key, state: keys[place].state))
      underWay.append(key)
    }
    dirty.removeAll(keepingCapacity: true)
  }

  mutating func changesStored() {
    addedUnderWay.removeAll()
    for key in underWay {
      guard let place = place(of: key) else { continue }
      keys[place].isUnderWay = false
    }
    underWay.removeAll(keepingCapacity: true)
    removedUnderWay.removeAll()
  }

  /// Everything that was under way goes again, with what is newer.
  mutating func changesRefused() {
    if !addedUnderWay.isEmpty {
      added.insert(contentsOf: addedUnderWay, at: 0)
      addedUnderWay.removeAll()
    }
    for key in underWay {
      guard let place = place(of: key), keys[place].isUnderWay else { continue }
      keys[place].isUnderWay = false
      guard !keys[place].isDirty else { continue }
      keys[place].isDirty = true
      dirty.append(key)
    }
    underWay.removeAll(keepingCapacity: true)
    for key in removedUnderWay where place(of: key) == nil { removed.insert(key) }
    removedUnderWay.removeAll()
  }

  // MARK: Lists

  private struct Lists: Hashable {
    var keys: [ParkedKey] = []
    /// The same keys with their places in the list, for those who form batches too.
    var set = ParkedKeySet()
    var dirty: [PartitionKeyHash] = []
    var removed: Set<PartitionKeyHash> = []
    var underWay: [PartitionKeyHash] = []
    /// Records that joined those of their keys, in the order of the shard, and those of them that are under way.
    var added: [ParkedRecord] = []
    var addedUnderWay: [ParkedRecord] = []
    var removedUnderWay: Set<PartitionKeyHash> = []
    /// The records that the last read kept out of the batch: the checkpoint has not passed those from `metStart` on.
    var met: [ParkedRecord] = []
    /// The key that is due next, as long as nothing has happened that may have made it another: it is asked for in each
    /// step of the lane.
    var next = NextKey.unknown

    /// Parks records behind others of their keys, up to the first that has none before it; how many they were. Nothing
    /// but the records of a key changes by this, and in many a lane it is done for one record in ten.
    mutating func park(from start: inout Int, before index: RecordIndex) -> UInt64 {
      let first = start
      while start < met.count, met[start].index < index {
        let record = met[start]
        guard let place = set.number(of: record.key) else { ParkedKeys.parkedNothing() }
        guard keys[place].parkBehindOthers(record.index) else { break }
        start += 1
      }
      added.append(contentsOf: met[first..<start])
      return UInt64(start - first)
    }
  }

  private(set) var keys: [ParkedKey] {
    get { lists[0].keys }
    _modify { yield &lists[0].keys }
  }
  private(set) var set: ParkedKeySet {
    get { lists[0].set }
    _modify { yield &lists[0].set }
  }
  private var dirty: [PartitionKeyHash] {
    get { lists[0].dirty }
    _modify { yield &lists[0].dirty }
  }
  private var added: [ParkedRecord] {
    get { lists[0].added }
    _modify { yield &lists[0].added }
  }
  private var addedUnderWay: [ParkedRecord] {
    get { lists[0].addedUnderWay }
    _modify { yield &lists[0].addedUnderWay }
  }
  private var removed: Set<PartitionKeyHash> {
    get { lists[0].removed }
    _modify { yield &lists[0].removed }
  }
  private var underWay: [PartitionKeyHash] {
    get { lists[0].underWay }
    _modify { yield &lists[0].underWay }
  }
  private var removedUnderWay: Set<PartitionKeyHash> {
    get { lists[0].removedUnderWay }
    _modify { yield &lists[0].removedUnderWay }
  }
  private var next: NextKey {
    get { lists[0].next }
    _modify { yield &lists[0].next }
  }
  private var met: [ParkedRecord] {
    get { lists[0].met }
    _modify { yield &lists[0].met }
  }
}

/// The key that is due next, of those that may be worked on.
private enum NextKey: Hashable {
  case unknown
  case none
  case at(Int, due: MonotonicTime)

  var place: Int? { if case .at(let place, due: _) = self { place } else { nil } }

  init(of keys: [ParkedKey]) {
    self = .none
    for place in keys.indices { follow(place, keys) }
  }

  /// The key at `place` has changed, and no other has.
  mutating func follow(_ place: Int, _ keys: [ParkedKey]) {
    let due = keys[place].due
    switch self {
    case .unknown: break
    case .none: if keys[place].waitsForTrack { self = .at(place, due: due) }
    case .at(place, due: let former):
      // If it is due later than before, another one may be next.
      self = keys[place].waitsForTrack && due <= former ? .at(place, due: due) : .unknown
    case .at(_, due: let known): if keys[place].waitsForTrack, due < known { self = .at(place, due: due) }
    }
  }
}
