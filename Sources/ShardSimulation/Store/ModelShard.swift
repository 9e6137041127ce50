import ShardCore
import StreamModel

/// A shard of the simulated store: its records as times and sizes.
struct ModelShard {
  /// One element: an array is one reference with the meaning of a value, and a shard is looked at so often that a count
  /// for each list would be felt.
  private var lists = [Records()]
  /// The first record that retention has left.
  private(set) var base = 0
  var isClosed = false
  var isCorrupted = false
  /// -1: none.
  private(set) var parents: (Int, Int) = (-1, -1)
  private(set) var hashKeys = HashKeyRange.all
  private(set) var createdAtSeconds: UInt64 = 0

  /// By record.
  private struct Records: Hashable {
    var arrivals: [Int64] = []
    var payloads: [Int] = []
    var poison: [Bool] = []
    var tags: [UInt8] = []
  }

  private var records: Records {
    get { lists[0] }
    _modify { yield &lists[0] }
  }

  var end: Int { lists[0].arrivals.count }
  var arrivals: [Int64] { lists[0].arrivals }
  var payloads: [Int] { lists[0].payloads }
  var poison: [Bool] { lists[0].poison }
  /// Kind and key of each record, as ``LaneSelection`` reads them.
  var tags: [UInt8] { lists[0].tags }

  /// From how many invocations a record comes: most from none, some from a few. Told by its place and tag, so that it needs
  /// no dice.
  func lineage(of index: Int) -> Lineage {
    let draw = (UInt64(index) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(tags[index]) &* 0xc2b2_ae3d_27d4_eb4f) >> 60
    return Lineage(hops: draw < 10 ? 0 : Int(draw) - 10)
  }

  /// A new shard in the buffers of a former one.
  mutating func open(_ hashKeys: HashKeyRange, parents: (Int, Int), createdAtSeconds: UInt64) {
    records.arrivals.removeAll(keepingCapacity: true)
    records.payloads.removeAll(keepingCapacity: true)
    records.poison.removeAll(keepingCapacity: true)
    records.tags.removeAll(keepingCapacity: true)
    base = 0
    isClosed = false
    isCorrupted = false
    self.parents = parents
    self.hashKeys = hashKeys
    self.createdAtSeconds = createdAtSeconds
  }

  /// The arrival is that of the record before if the clock has stepped back since.
  mutating func append(arrival: Int64, payload: Int, isPoison: Bool, tag: UInt8 = 0) {
    records.arrivals.append(max(arrival, arrivals.last ?? .min))
    records.payloads.append(payload)
    records.poison.append(isPoison)
    records.tags.append(tag)
  }

  /// Retention takes so many records from the head.
  mutating func trim(_ count: Int) { base = min(base + count, end) }

  /// Retention takes what arrived before the moment.
  mutating func trim(arrivedBefore moment: WallTime) {
    while base < end, arrivals[base] < moment.milliseconds { base += 1 }
  }

  mutating func heal() {
    for place in records.poison.indices { records.poison[place] = false }
    isCorrupted = false
  }

  // MARK: What is a lane's

  /// The first record of the lane in `range` that is there.
  func firstSelected(in range: Range<Int>, _ selection: LaneSelection) -> Int? {
    var index = range.lowerBound
    let end = min(range.upperBound, tags.count)
    while index < end {
      if selection.selects(tags[index], at: index) { return index }
      index += 1
    }
    return nil
  }

  /// How many records in `range` are the lane's.
  func countSelected(in range: Range<Int>, _ selection: LaneSelection) -> Int {
    var count = 0
    var index = range.lowerBound
    while index < min(range.upperBound, tags.count) {
      if selection.selects(tags[index], at: index) { count += 1 }
      index += 1
    }
    return count
  }

  /// The lane's record `position` places behind the first of the batch.
  func record(_ position: Int, of extent: BatchExtent, _ selection: LaneSelection) -> RecordIndex {
    var index = Int(extent.first.rawValue)
    for _ in 0..<position { index = firstSelected(in: index + 1..<tags.count, selection) ?? index }
    return RecordIndex(UInt64(index))
  }

  func firstPoison(in extent: BatchExtent, _ selection: LaneSelection) -> Int? {
    var index = Int(extent.first.rawValue)
    let end = min(Int(extent.end.rawValue), poison.count)
    while index < end {
      if poison[index], selection.selects(tags[index], at: index) { return index }
      index += 1
    }
    return nil
  }

  // MARK: Reads

  /// Looks at `scanLimit` records at most before it answers that there was none.
  func answer(_ request: ReadRequest, _ selection: LaneSelection = .all, scanLimit: Int = .max) -> ReadAnswer {
    let from = Int(request.from.rawValue)
    if isCorrupted { return .corrupted(block: request.from) }
    let begin = max(from, base)
    var last = end - 1
    if let wanted = request.last, wanted.rawValue < UInt64(end) { last = Int(wanted.rawValue) }
    guard begin < end else { return isClosed ? .shardEnd(end: RecordIndex(UInt64(end))) : .caughtUp }
    var first = begin
    while first <= last, !selection.selects(tags[first], at: first) {
      guard first - begin < scanLimit else { break }
      first += 1
    }
    guard first <= last, selection.selects(tags[first], at: first) else {
      return .nothingSelected(begin: RecordIndex(UInt64(begin)), end: RecordIndex(UInt64(max(begin, first))))
    }
    return .records(batch(from: first, through: last, begin: begin, request, selection))
  }

  private func batch(
    from first: Int, through last: Int, begin: Int, _ request: ReadRequest, _ selection: LaneSelection
  ) -> ReadResult {
    var count = 0
    var bytes = 0
    var isFull = false
    var newest = first
    var scanned = first
    var expired = 0
    var lastExpired = first
    var lineage = Lineage.none
    let isOfLoop = request.lineageLimit.map { self.lineage(of: first) >= $0 } ?? false
    let limit = request.expiredBefore?.milliseconds ?? .min
    let windowEnd = request.cut.end(first: WallTime(milliseconds: arrivals[first])).milliseconds
    while scanned <= last {
      defer { scanned += 1 }
      guard selection.selects(tags[scanned], at: scanned) else { continue }
      let isOther = request.lineageLimit.map { (self.lineage(of: scanned) >= $0) != isOfLoop } ?? false
      let isBeyond =
        bytes + payloads[scanned] > request.payloadByteLimit || arrivals[scanned] >= windowEnd || isOther
      if count == request.countLimit || (count > 0 && isBeyond) {
        isFull = true
        break
      }
      if expired == count, arrivals[scanned] < limit {
        expired += 1
        lastExpired = scanned
      }
      bytes += payloads[scanned]
      count += 1
      newest = scanned
      if request.lineageLimit != nil { lineage = max(lineage, self.lineage(of: scanned)) }
    }
    // A limit that is reached fills the batch also where nothing comes behind it.
    if count == request.countLimit || bytes >= request.payloadByteLimit || isOfLoop { isFull = true }
    let extent = BatchExtent(
      first: RecordIndex(UInt64(first)), last: RecordIndex(UInt64(newest)), count: count,
      firstArrival: WallTime(milliseconds: arrivals[first]), lastArrival: WallTime(milliseconds: arrivals[newest]),
      payloadBytes: bytes)
    var result = ReadResult(
      extent: extent, begin: RecordIndex(UInt64(begin)),
      // A record that did not fit into the batch was looked at and is still to come.
      scannedEnd: RecordIndex(UInt64(isFull ? newest + 1 : last + 1)), isFull: isFull, expiredCount: expired,
      lastExpired: RecordIndex(UInt64(lastExpired)),
      lastExpiredArrival: WallTime(milliseconds: expired > 0 ? arrivals[lastExpired] : 0),
      endsShard: isClosed && newest + 1 == end && (end & 1) == 0)
    result.lineage = lineage
    return result
  }
}
