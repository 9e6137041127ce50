public import StreamModel

/// Which records make a batch, without the records: those of the lane from the first to the last, never none but for
/// ``empty(at:arrival:)``.
///
/// Between the two may stand records that are not the lane's: of other lanes of the shard, or filtered out.
public struct BatchExtent: Hashable, Sendable {
  public var first: RecordIndex
  /// The last record of the lane in the batch.
  public var last: RecordIndex
  /// Records of the lane, 1 or more.
  public var count: Int
  public var firstArrival: WallTime
  public var lastArrival: WallTime
  /// What the records add to the encoded event. In a `FailureOrder` for the first records of a batch: at most this.
  public var payloadBytes: Int

  /// `last` is left out where every record is the lane's.
  public init(
    first: RecordIndex, last: RecordIndex? = nil, count: Int, firstArrival: WallTime, lastArrival: WallTime,
    payloadBytes: Int
  ) {
    self.first = first
    self.last = last ?? first.advanced(by: count - 1)
    self.count = count
    self.firstArrival = firstArrival
    self.lastArrival = lastArrival
    self.payloadBytes = payloadBytes
  }

  /// The extent of a delivery without records: the final one of a tumbling window, which stands before the record at
  /// `next`. It ends where it begins.
  public static func empty(at next: RecordIndex, arrival: WallTime) -> BatchExtent {
    BatchExtent(
      first: next, last: RecordIndex(next.rawValue &- 1), count: 0, firstArrival: arrival, lastArrival: arrival,
      payloadBytes: 0)
  }

  public var isEmpty: Bool { count == 0 }

  /// The index behind the last record.
  public var end: RecordIndex { RecordIndex(last.rawValue &+ 1) }
}

/// What a lane asks of its shard.
public struct ReadRequest: Hashable, Sendable {
  /// Read from this record on.
  public var from: RecordIndex
  /// Read no further than this record; `nil`: as far as there are records.
  public var through: RecordIndex?
  /// The run ends before this record: it is not read, nor is any behind it. `nil`: it goes on.
  public var bound: RecordIndex?
  /// At most so many records of the lane, 1 or more.
  public var countLimit: Int
  /// Stop before the record that would take the payload above this, but give one record in any case.
  public var payloadByteLimit: Int
  /// Records that arrived before this moment have expired; the answer says how many stand at the head. `nil`: none do.
  public var expiredBefore: WallTime?
  /// Records that come from so many invocations, and those that do not, are never in one answer. `nil`: nobody asks.
  public var lineageLimit: Lineage?
  /// Stop where a tumbling window ends: the batch is full then.
  public var cut: WindowCut
  /// `.deliver` keeps the records for the delivery that follows; `.measure` only says what is there.
  public var purpose: Purpose
  /// What is parked and what may be; `nil` in a lane that parks nothing.
  public var parking: Parking?
  /// Only these records, which were parked; empty: all of the lane's. `from` is the first of them.
  public var ranges: [RecordRange]
  /// With `ranges`: the batch was formed before, and all of it is wanted. Otherwise the first of the records may be given
  /// alone where the others are too far away.
  public var isFrozen: Bool

  /// What a read for a lane that blocks by key looks out for.
  public struct Parking: Hashable, Sendable {
    /// Records of these keys are kept out of the batch, and the answer names those that were met.
    public var keys: ParkedKeySet
    /// The batch ends before the record that would be one more of them.
    public var limit: Int

    public init(keys: ParkedKeySet, limit: Int) {
      self.keys = keys
      self.limit = limit
    }
  }

  /// The last record that may be read; `nil`: there is none. With a bound, `from` stands before it.
  public var last: RecordIndex? {
    guard let beforeBound = bound?.previous else { return through }
    return through.map { min($0, beforeBound) } ?? beforeBound
  }

  public enum Purpose: Hashable, Sendable {
    case measure
    case deliver
  }

  public init(
    from: RecordIndex, through: RecordIndex? = nil, countLimit: Int, payloadByteLimit: Int, expiredBefore: WallTime?,
    cut: WindowCut = .none, purpose: Purpose, parking: Parking? = nil, ranges: [RecordRange] = [],
    isFrozen: Bool = false
  ) {
    self.parking = parking
    self.ranges = ranges
    self.isFrozen = isFrozen
    self.from = from
    self.through = through
    self.countLimit = countLimit
    self.payloadByteLimit = payloadByteLimit
    self.expiredBefore = expiredBefore
    self.cut = cut
    self.purpose = purpose
  }
}

/// What the shard answered.
public enum ReadAnswer: Hashable, Sendable {
  /// Records of the lane are there.
  case records(ReadResult)
  /// None of the records `begin ..< end` is the lane's; there may be more behind them. `begin` lies beyond the `from` of
  /// the request only if retention removed what was between.
  case nothingSelected(begin: RecordIndex, end: RecordIndex)
  /// Like `nothingSelected`, where records of parked keys were met: those are named.
  case onlyParked(begin: RecordIndex, end: RecordIndex, [ParkedRecord])
  /// The record at or behind `begin` that comes next belongs to a parked key, and no more of them may be parked. Between
  /// the two is nothing of the lane's.
  case parkingFull(begin: RecordIndex)
  /// Nothing at or behind `from`, and the shard is open.
  case caughtUp
  /// Nothing at or behind `from`, and the shard is closed: `end` is the index behind its last record.
  case shardEnd(end: RecordIndex)
  /// The block that begins at this record is damaged.
  case corrupted(block: RecordIndex)
  /// The store could not be read now.
  case unavailable
}

/// The records that a read found.
public struct ReadResult: Hashable, Sendable {
  public var extent: BatchExtent
  /// Where the read began: beyond the `from` of the request only if retention removed what was between.
  public var begin: RecordIndex
  /// The index behind the last record that was looked at: no record of the lane stands between the extent and this.
  public var scannedEnd: RecordIndex
  /// The count or the payload limit ended the read, or a tumbling window: the batch is full.
  public var isFull: Bool
  /// How many records at the head arrived before `expiredBefore`, 0 ... extent.count, without a gap.
  public var expiredCount: Int
  /// The last of the expired ones; meaningless when there are none.
  public var lastExpired: RecordIndex
  /// The newest arrival among the expired ones; meaningless when there are none.
  public var lastExpiredArrival: WallTime
  /// The greatest lineage of the records, if the request had a limit for it: either all have reached it or none has.
  public var lineage = Lineage.none
  /// The shard is closed and these are its last records: their batch does not wait for a window. `false` if not known.
  public var endsShard: Bool
  /// In a lane that blocks by key: the records before `scannedEnd` that were kept out because their key is parked, and
  /// the key of the first record of the extent.
  public var parked: [ParkedRecord] = []
  public var firstKey: PartitionKeyHash?

  /// Places that are left out are those of a read where every record is the lane's.
  public init(
    extent: BatchExtent, begin: RecordIndex? = nil, scannedEnd: RecordIndex? = nil, isFull: Bool,
    expiredCount: Int = 0, lastExpired: RecordIndex? = nil, lastExpiredArrival: WallTime = .zero,
    endsShard: Bool = false
  ) {
    self.extent = extent
    self.begin = begin ?? extent.first
    self.scannedEnd = scannedEnd ?? extent.end
    self.isFull = isFull
    self.expiredCount = expiredCount
    self.lastExpired = lastExpired ?? extent.first.advanced(by: max(0, expiredCount - 1))
    self.lastExpiredArrival = lastExpiredArrival
    self.endsShard = endsShard
  }
}
