import ShardCore
import StreamModel

/// A shard of the simulated store: its records as times and sizes.
struct ModelShard {
  private(set) var arrivals: [Int64] = []
  private(set) var payloads: [Int] = []
  private(set) var poison: [Bool] = []
  /// The first record that retention has left.
  private(set) var base = 0
  var isClosed = false
  var isCorrupted = false
  /// -1: none.
  private(set) var parents: (Int, Int) = (-1, -1)
  private(set) var hashKeys = HashKeyRange.all
  private(set) var createdAtSeconds: UInt64 = 0

  var end: Int { arrivals.count }

  /// A new shard in the buffers of a former one.
  mutating func open(_ hashKeys: HashKeyRange, parents: (Int, Int), createdAtSeconds: UInt64) {
    arrivals.removeAll(keepingCapacity: true)
    payloads.removeAll(keepingCapacity: true)
    poison.removeAll(keepingCapacity: true)
    base = 0
    isClosed = false
    isCorrupted = false
    self.parents = parents
    self.hashKeys = hashKeys
    self.createdAtSeconds = createdAtSeconds
  }

  /// The arrival is that of the record before if the clock has stepped back since.
  mutating func append(arrival: Int64, payload: Int, isPoison: Bool) {
    arrivals.append(max(arrival, arrivals.last ?? .min))
    payloads.append(payload)
    poison.append(isPoison)
  }

  /// Retention takes so many records from the head.
  mutating func trim(_ count: Int) { base = min(base + count, end) }

  /// Retention takes what arrived before the moment.
  mutating func trim(arrivedBefore moment: WallTime) {
    while base < end, arrivals[base] < moment.milliseconds { base += 1 }
  }

  mutating func heal() {
    for place in poison.indices { poison[place] = false }
    isCorrupted = false
  }

  func firstPoison(in extent: BatchExtent) -> Int? {
    var index = Int(extent.first.rawValue)
    let end = min(Int(extent.end.rawValue), poison.count)
    while index < end {
      if poison[index] { return index }
      index += 1
    }
    return nil
  }

  func answer(_ request: ReadRequest) -> ReadAnswer {
    let from = Int(request.from.rawValue)
    if isCorrupted { return .corrupted(block: request.from) }
    let first = max(from, base)
    guard first < end else { return isClosed ? .shardEnd(end: RecordIndex(UInt64(end))) : .caughtUp }
    var count = 0
    var bytes = 0
    var isFull = false
    while first + count < end {
      let payload = payloads[first + count]
      if count == request.countLimit || (count > 0 && bytes + payload > request.payloadByteLimit) {
        isFull = true
        break
      }
      bytes += payload
      count += 1
    }
    // A limit that is reached fills the batch also where nothing comes behind it.
    if count == request.countLimit || bytes >= request.payloadByteLimit { isFull = true }
    var expired = 0
    var newest = Int64.min
    if let limit = request.expiredBefore {
      while expired < count, arrivals[first + expired] < limit.milliseconds {
        newest = max(newest, arrivals[first + expired])
        expired += 1
      }
    }
    let extent = BatchExtent(
      first: RecordIndex(UInt64(first)), count: count, firstArrival: WallTime(milliseconds: arrivals[first]),
      lastArrival: WallTime(milliseconds: arrivals[first + count - 1]), payloadBytes: bytes)
    return .records(
      ReadResult(
        extent: extent, isFull: isFull, expiredCount: expired,
        lastExpiredArrival: WallTime(milliseconds: expired > 0 ? newest : 0),
        endsShard: isClosed && first + count == end && (end & 1) == 0))
  }
}
