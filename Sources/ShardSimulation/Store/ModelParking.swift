import ShardCore
import StreamModel

/// Reads of a lane that blocks by key.
extension ModelShard {
  /// The key that a record's tag stands for: one of eight.
  static func key(ofTag tag: UInt8) -> PartitionKeyHash { PartitionKeyHash(UInt64(tag >> 3 & 7) + 1) }

  func key(of index: Int) -> PartitionKeyHash { Self.key(ofTag: tags[index]) }

  /// The records that an answer with these ends holds.
  func records(of extent: BatchExtent, _ request: ReadRequest, _ selection: LaneSelection) -> [Int] {
    let range = Int(extent.first.rawValue)..<min(Int(extent.end.rawValue), end)
    guard request.ranges.isEmpty else { return request.ranges.indexes.filter { range.contains($0) } }
    return range.filter { isFree($0, request, selection) }
  }

  private func isFree(_ index: Int, _ request: ReadRequest, _ selection: LaneSelection) -> Bool {
    selection.selects(tags[index], at: index) && !(request.parking?.keys.contains(key(of: index)) ?? false)
  }

  func answerByKey(_ request: ReadRequest, _ selection: LaneSelection, scanLimit: Int) -> ReadAnswer {
    if isCorrupted { return .corrupted(block: request.from) }
    if !request.ranges.isEmpty { return answerParked(request, scanLimit: scanLimit) }
    let begin = max(Int(request.from.rawValue), base)
    guard begin < end else { return isClosed ? .shardEnd(end: index(end)) : .caughtUp }
    let last = min(end - 1, request.last.map { Int($0.rawValue) } ?? .max)
    var batch = ModelBatch(request)
    var parked: [ParkedRecord] = []
    var scanned = begin
    while scanned <= last {
      if selection.selects(tags[scanned], at: scanned) {
        if isFree(scanned, request, selection) {
          guard batch.take(scanned, arrivals[scanned], payloads[scanned], lineage(of: scanned)) else { break }
        } else {
          guard parked.count < request.parking?.limit ?? 0 else {
            batch.isFull = true
            break
          }
          parked.append(ParkedRecord(key: key(of: scanned), index: index(scanned)))
        }
      } else if batch.count == 0, scanned - begin >= scanLimit {
        break
      }
      scanned += 1
    }
    guard var result = batch.result(begin: begin) else {
      if !parked.isEmpty { return .onlyParked(begin: index(begin), end: index(max(begin, scanned)), parked) }
      return batch.isFull
        ? .parkingFull(begin: index(begin)) : .nothingSelected(begin: index(begin), end: index(max(begin, scanned)))
    }
    result.scannedEnd = batch.isFull ? result.extent.end : index(scanned)
    result.parked = parked.filter { $0.index < result.scannedEnd }
    result.firstKey = key(of: Int(result.extent.first.rawValue))
    result.endsShard = isClosed && Int(result.extent.end.rawValue) == end && (end & 1) == 0
    return .records(result)
  }

  /// Parked records by their numbers; those that retention has removed are not there. Where the batch was not formed
  /// before, those that are far from the first may be left for later.
  private func answerParked(_ request: ReadRequest, scanLimit: Int) -> ReadAnswer {
    var batch = ModelBatch(request)
    let indexes = request.ranges.indexes
    let first = indexes.first { $0 >= base } ?? base
    for index in indexes where index >= base && (request.isFrozen || index - first <= scanLimit) {
      guard batch.take(index, arrivals[index], payloads[index], lineage(of: index)) else { break }
    }
    if let result = batch.result(begin: max(base, indexes[0])) { return .records(result) }
    return .nothingSelected(begin: index(base), end: index(base))
  }

  private func index(_ place: Int) -> RecordIndex { RecordIndex(UInt64(place)) }
}

/// A batch in the making.
private struct ModelBatch {
  private let request: ReadRequest
  private var first = 0
  private var last = 0
  private(set) var count = 0
  private var bytes = 0
  private var expired = 0
  private var lastExpired = 0
  private var firstArrival: Int64 = 0
  private var lastArrival: Int64 = 0
  private var lastExpiredArrival: Int64 = 0
  private var lineage = Lineage.none
  private var isOfLoop = false
  var isFull = false

  init(_ request: ReadRequest) {
    self.request = request
  }

  /// `false` if the batch is full without it.
  mutating func take(_ index: Int, _ arrival: Int64, _ payload: Int, _ own: Lineage) -> Bool {
    let isOfLoop = request.lineageLimit.map { own >= $0 } ?? false
    let isBeyond = bytes + payload > request.payloadByteLimit || isOfLoop != self.isOfLoop
    if count == request.countLimit || (count > 0 && isBeyond) {
      isFull = true
      return false
    }
    if count == 0 {
      first = index
      firstArrival = arrival
      self.isOfLoop = isOfLoop
    }
    if expired == count, arrival < request.expiredBefore?.milliseconds ?? .min {
      expired += 1
      lastExpired = index
      lastExpiredArrival = arrival
    }
    last = index
    lastArrival = arrival
    bytes += payload
    count += 1
    if request.lineageLimit != nil { lineage = max(lineage, own) }
    if isOfLoop { isFull = true }
    if count == request.countLimit || bytes >= request.payloadByteLimit { isFull = true }
    return true
  }

  func result(begin: Int) -> ReadResult? {
    guard count > 0 else { return nil }
    let extent = BatchExtent(
      first: RecordIndex(UInt64(first)), last: RecordIndex(UInt64(last)), count: count,
      firstArrival: WallTime(milliseconds: firstArrival), lastArrival: WallTime(milliseconds: lastArrival),
      payloadBytes: bytes)
    var result = ReadResult(
      extent: extent, begin: RecordIndex(UInt64(begin)), isFull: isFull, expiredCount: expired,
      lastExpired: RecordIndex(UInt64(lastExpired)), lastExpiredArrival: WallTime(milliseconds: lastExpiredArrival))
    result.lineage = lineage
    return result
  }
}

extension [RecordRange] {
  /// Every record, in order.
  var indexes: [Int] { flatMap { Int($0.first.rawValue)..<Int($0.end.rawValue) } }
}

/// The parked keys of a lane as the store has them.
struct ModelParked: Hashable {
  private(set) var keys: [PartitionKeyHash: ParkedKeyChange] = [:]

  var recordCount: Int { keys.values.reduce(0) { $0 + Int($1.ranges.reduce(0) { $0 + $1.count }) } }
  var keyCount: Int { keys.values.count { !$0.ranges.isEmpty } }

  /// Every parked record, in no order.
  var indexes: [Int] { keys.values.flatMap(\.ranges.indexes) }

  func contains(_ index: Int, key: PartitionKeyHash) -> Bool {
    let index = RecordIndex(UInt64(index))
    return keys[key]?.ranges.contains { $0.first <= index && index < $0.end } ?? false
  }

  /// What changed of the keys, and then the records that joined theirs: as a store has it after both.
  mutating func apply(_ progress: LaneProgress) {
    for change in progress.parked { apply(change) }
    for record in progress.parkedRecords {
      guard let key = keys[record.key], let state = key.state, record.index >= state.settledBefore else { continue }
      keys[record.key]?.ranges.append(RecordRange(first: record.index, count: 1))
    }
  }

  private mutating func apply(_ change: ParkedKeyChange) {
    guard let state = change.state else {
      keys[change.key] = nil
      return
    }
    var ranges: [RecordRange] = []
    for range in (keys[change.key]?.ranges ?? []) + change.ranges where range.end > state.settledBefore {
      let first = max(range.first, state.settledBefore)
      ranges.append(RecordRange(first: first, count: first.distance(to: range.end)))
    }
    keys[change.key] = ParkedKeyChange(key: change.key, state: state, ranges: ranges)
  }

  /// In an order that does not depend on hashing.
  var all: [ParkedKeyChange] { keys.values.sorted { $0.key < $1.key } }
}
