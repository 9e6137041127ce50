import Recordings
import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// So many records came to each, in the mapping whose outcomes were recorded.
struct OutcomeCounts: Codable {
  var mapping: String
  var passed: UInt64 = 0
  var failed: UInt64 = 0
  var entries = 0
  var retrying: UInt64 = 0
  var waiting: UInt64 = 0
}

/// Tells what became of recorded records in one mapping, by what the store knows of it: checkpoints, batches under retry,
/// parked keys, failure entries.
///
/// Checkpoints are read before the records and failure entries behind them: an entry is stored before the checkpoint
/// passes its records, so nothing that is in an entry is told to have passed.
struct OutcomeRecorder {
  private let store: StreamStore
  private let mapping: MappingInfo
  private let lanes: [ShardNumber: ShardLanes]
  private(set) var counts: OutcomeCounts

  private static let pageCount = 100

  init(_ mapping: MappingInfo, on shards: [ShardInfo], _ store: StreamStore) throws {
    self.store = store
    self.mapping = mapping
    counts = OutcomeCounts(mapping: mapping.name)
    var lanes: [ShardNumber: ShardLanes] = [:]
    for shard in shards { lanes[shard.address.shard] = try ShardLanes(mapping, shard, store) }
    self.lanes = lanes
  }

  /// From here on the partition key of a record says what became of it; `nil` if no record's key does.
  func keyMatters(in shard: ShardNumber) -> RecordIndex? { lanes[shard]?.detailedFrom }

  /// What became of a record for which that matters.
  func place(of index: RecordIndex, keyHash: UInt64, in shard: ShardNumber) -> OutcomePlace {
    lanes[shard]?.place(of: index, keyHash: keyHash) ?? .waiting
  }

  /// Writes the lines of all shards: `recorded` are the bounds of each, and what was seen of records whose key matters.
  mutating func write(
    _ recorded: [(shard: ShardInfo, bounds: Range<RecordIndex>, seen: SeenOutcomes)], to outline: inout RecordingOutline
  ) throws {
    for (shard, _, _) in recorded {
      for (slot, next) in (lanes[shard.address.shard]?.checkpoints ?? []).enumerated() {
        outline.checkpoint(RecordedCheckpoint(next: next, shard: shard.address.shard, lane: slot))
      }
    }
    let bounds = Dictionary(uniqueKeysWithValues: recorded.map { ($0.shard.address, $0.bounds) })
    let failed = try writeEntries(bounds, &outline)
    for (shard, bounds, seen) in recorded {
      guard let known = lanes[shard.address.shard] else { continue }
      let number = shard.address.shard
      let taken = RecordRange.merged(failed[number] ?? [])
      let stretches = known.stretches(in: bounds, seen)
      for (place, ranges) in stretches.sorted(by: { $0.key < $1.key }) {
        write(place, RecordRange.merged(ranges).subtracting(taken), of: number, known, &outline)
      }
    }
  }

  private mutating func write(
    _ place: OutcomePlace, _ ranges: [RecordRange], of shard: ShardNumber, _ known: ShardLanes,
    _ outline: inout RecordingOutline
  ) {
    let count = ranges.reduce(0) { $0 + $1.count }
    let kind: RecordedOutcome.Kind
    switch place {
    case .passed: (kind, counts.passed) = (.passed, counts.passed + count)
    case .retrying: (kind, counts.retrying) = (.retrying, counts.retrying + count)
    case .waiting: (kind, counts.waiting) = (.waiting, counts.waiting + count)
    }
    for start in stride(from: 0, to: ranges.count, by: RecordedOutcome.rangeLimit) {
      let part = ranges[start..<min(ranges.count, start + RecordedOutcome.rangeLimit)]
      outline.outcome(RecordedOutcome(kind, of: shard, records: Array(part), failure: known.failure(at: place)))
    }
  }

  /// By shard, the records that are in entries.
  private mutating func writeEntries(
    _ bounds: [ShardAddress: Range<RecordIndex>], _ outline: inout RecordingOutline
  ) throws -> [ShardNumber: [RecordRange]] {
    var failed: [ShardNumber: [RecordRange]] = [:]
    var last: UInt64 = 0
    while true {
      let page = try store.failures(after: last, limit: Self.pageCount)
      guard let end = page.last else { break }
      last = end.number
      for entry in page where entry.mapping == mapping.number {
        guard let bounds = bounds[entry.address] else { continue }
        let ranges = try ranges(of: entry).compactMap { $0.clamped(to: bounds) }
        guard !ranges.isEmpty || entry.count == 0 && bounds.contains(entry.firstIndex) else { continue }
        let former = failed[entry.address.shard, default: []]
        let added = RecordRange.merged(ranges)
        failed[entry.address.shard] = former + added
        counts.entries += 1
        var outcome = RecordedOutcome(.failed, of: entry.address.shard, records: added)
        outcome.failure = RecordedFailure(entry)
        outline.outcome(outcome)
      }
    }
    for shard in failed.keys {
      counts.failed += RecordRange.merged(failed[shard] ?? []).reduce(0) { $0 + $1.count }
    }
    return failed
  }

  private func ranges(of entry: FailureSummary) throws -> [RecordRange] {
    guard entry.count > 0 else { return [] }
    let count = entry.firstIndex.distance(to: entry.lastIndex) + 1
    if count == UInt64(entry.count) { return [RecordRange(first: entry.firstIndex, count: count)] }
    guard let records = try store.failure(entry.number)?.records else { return [] }
    return (0..<records.count).map { RecordRange(first: records.index(at: $0), count: 1) }
  }
}

/// What became of a record that no failure entry holds.
enum OutcomePlace: Hashable, Comparable {
  case passed
  /// In a batch under retry: the one at the head of the lane in this slot, or of the parked key there.
  case retrying(slot: Int, key: PartitionKeyHash?)
  case waiting

  private var order: (Int, Int, UInt64) {
    switch self {
    case .passed: (0, 0, 0)
    case .retrying(let slot, let key): (1, slot, key?.rawValue ?? 0)
    case .waiting: (2, 0, 0)
    }
  }

  static func < (left: OutcomePlace, right: OutcomePlace) -> Bool { left.order < right.order }
}

/// What became of the records of one shard whose key was looked at.
struct SeenOutcomes {
  private(set) var ranges: [OutcomePlace: [RecordRange]] = [:]

  mutating func add(_ index: RecordIndex, _ place: OutcomePlace) {
    // Taken out, so that nothing is copied.
    var known = ranges.removeValue(forKey: place) ?? []
    if let last = known.last, last.end == index {
      known[known.count - 1] = RecordRange(first: last.first, count: last.count + 1)
    } else {
      known.append(RecordRange(first: index, count: 1))
    }
    ranges[place] = known
  }
}

/// The lanes of a mapping on one shard, as they were stored.
private struct ShardLanes {
  private let lanes: [StoredLane]
  /// Parked records that are not settled, by slot and key.
  private var parked: [(range: RecordRange, slot: Int, key: PartitionKeyHash)] = []
  private var parkedFailures: [OutcomePlace: (FailingBatch, AttemptHistory)] = [:]
  let detailedFrom: RecordIndex?

  init(_ mapping: MappingInfo, _ shard: ShardInfo, _ store: StreamStore) throws {
    let rows = try store.lanes(of: mapping.number, on: shard.address)
    do {
      lanes = try StoredShare(rows, of: shard)?.lanes ?? []
      for (slot, lane) in lanes.enumerated() where lane.progress.parksKeys {
        let records = try store.parkedKeys(
          of: LaneKey(mapping: mapping.number, address: shard.address, slot: UInt8(slot)))
        for look in try ParkedKeyLook.stored(records) {
          let key = look.snapshot.key
          if let failing = look.snapshot.failing {
            parkedFailures[.retrying(slot: slot, key: key)] = (failing, look.history)
          }
        }
        for (key, ranges) in try ParkedKeyLook.storedRanges(records) {
          parked += ranges.map { ($0, slot, key) }
        }
      }
    } catch let error as LaneRecordError {
      throw PollerError.unreadableLane(mapping: mapping.name, shard: shard.address.shard, error)
    }
    parked.sort { $0.range.first < $1.range.first }
    let isPlain = parked.isEmpty && lanes.allSatisfy { $0.sharing.isWhole } && lanes.count <= 1
    let next = lanes.map(\.progress.next).min()
    detailedFrom = isPlain ? nil : min(next ?? .zero, parked.first?.range.first ?? RecordIndex(.max))
  }

  /// By slot.
  var checkpoints: [RecordIndex] { lanes.map(\.progress.next) }

  func place(of index: RecordIndex, keyHash: UInt64) -> OutcomePlace {
    guard let sharing = lanes.first?.sharing else { return .waiting }
    let slot = sharing.slot(of: keyHash)
    guard lanes.indices.contains(slot) else { return .waiting }
    let progress = lanes[slot].progress
    if let parked = parked(at: index), index < progress.next {
      let place = OutcomePlace.retrying(slot: parked.slot, key: parked.key)
      guard let (failing, _) = parkedFailures[place], failing.extent.contains(index) else { return .waiting }
      return place
    }
    guard index >= progress.next, lanes[slot].sharing.takes(index, keyHash: keyHash, slot: slot) else { return .passed }
    guard let failing = progress.failing, failing.extent.contains(index) else { return .waiting }
    return .retrying(slot: slot, key: nil)
  }

  private func parked(at index: RecordIndex) -> (slot: Int, key: PartitionKeyHash)? {
    var (low, high) = (0, parked.count)
    while low < high {
      let middle = (low + high) / 2
      if parked[middle].range.end <= index { low = middle + 1 } else { high = middle }
    }
    guard low < parked.count, parked[low].range.first <= index else { return nil }
    return (parked[low].slot, parked[low].key)
  }

  /// What became of the records within the bounds: those whose key matters were seen.
  func stretches(in bounds: Range<RecordIndex>, _ seen: SeenOutcomes) -> [OutcomePlace: [RecordRange]] {
    var stretches = seen.ranges
    func add(_ first: RecordIndex, _ end: RecordIndex, _ place: OutcomePlace) {
      guard first < end, let range = RecordRange(first: first, count: first.distance(to: end)).clamped(to: bounds)
      else { return }
      stretches[place, default: []].append(range)
    }
    if let detailedFrom {
      add(bounds.lowerBound, detailedFrom, .passed)
      return stretches
    }
    guard let progress = lanes.first?.progress else {
      add(bounds.lowerBound, bounds.upperBound, .waiting)
      return stretches
    }
    add(bounds.lowerBound, progress.next, .passed)
    var waiting = max(progress.next, bounds.lowerBound)
    if let failing = progress.failing, !failing.extent.isEmpty {
      add(failing.extent.first, failing.extent.end, .retrying(slot: 0, key: nil))
      waiting = max(waiting, failing.extent.end)
    }
    add(waiting, bounds.upperBound, .waiting)
    return stretches
  }

  func failure(at place: OutcomePlace) -> RecordedFailure? {
    guard case .retrying(let slot, let key) = place else { return nil }
    let found: (FailingBatch, AttemptHistory)?
    if key == nil {
      found = lanes[slot].progress.failing.map { ($0, lanes[slot].history) }
    } else {
      found = parkedFailures[place]
    }
    guard let (failing, history) = found else { return nil }
    var failure = RecordedFailure(at: failing.retryAt, attempts: failing.attempts)
    failure.deliveries = history.attempts.map(RecordedDelivery.init)
    failure.omittedDeliveries = history.omitted
    return failure
  }
}

extension BatchExtent {
  fileprivate func contains(_ index: RecordIndex) -> Bool { !isEmpty && first <= index && index <= last }
}

extension RecordedFailure {
  fileprivate init(_ entry: FailureSummary) {
    self.init(at: entry.createdAt, attempts: entry.attempts)
    self.entry = entry.number
    condition = entry.condition.name
    redrives = entry.redrives
    deliveries = entry.history.map(RecordedDelivery.init)
    omittedDeliveries = entry.attemptsOmitted
  }
}

extension RecordedDelivery {
  fileprivate init(_ attempt: AttemptRecord) {
    self.init(
      begunAt: attempt.startedAt, milliseconds: attempt.durationMilliseconds, kind: attempt.kind.name,
      type: attempt.type, message: attempt.message, requestID: attempt.requestID,
      batch: attempt.batch.map { Batch(first: $0.first, last: $0.last, count: $0.count) })
  }
}

extension RecordRange {
  fileprivate func clamped(to bounds: Range<RecordIndex>) -> RecordRange? {
    let (first, end) = (max(first, bounds.lowerBound), min(end, bounds.upperBound))
    return first < end ? RecordRange(first: first, count: first.distance(to: end)) : nil
  }

  /// In their order, without overlaps, neighbours as one.
  fileprivate static func merged(_ ranges: [RecordRange]) -> [RecordRange] {
    var merged: [RecordRange] = []
    for range in ranges.sorted(by: { $0.first < $1.first }) {
      if let last = merged.last, last.end >= range.first {
        let end = max(last.end, range.end)
        merged[merged.count - 1] = RecordRange(first: last.first, count: last.first.distance(to: end))
      } else {
        merged.append(range)
      }
    }
    return merged
  }
}

extension [RecordRange] {
  /// Without those of the others; both in their order.
  fileprivate func subtracting(_ others: [RecordRange]) -> [RecordRange] {
    var left: [RecordRange] = []
    var place = 0
    for range in self {
      var first = range.first
      while place < others.count, others[place].end <= first { place += 1 }
      var other = place
      while other < others.count, others[other].first < range.end {
        if first < others[other].first {
          left.append(RecordRange(first: first, count: first.distance(to: others[other].first)))
        }
        first = Swift.max(first, others[other].end)
        other += 1
      }
      if first < range.end { left.append(RecordRange(first: first, count: first.distance(to: range.end))) }
    }
    return left
  }
}
