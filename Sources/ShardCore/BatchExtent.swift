public import StreamModel

/// Which records make a batch, without the records: consecutive, never empty.
public struct BatchExtent: Hashable, Sendable {
  public var first: RecordIndex
  /// 1 or more.
  public var count: Int
  public var firstArrival: WallTime
  public var lastArrival: WallTime
  /// What the records add to the encoded event. In a `FailureOrder` for the first records of a batch: at most this.
  public var payloadBytes: Int

  public init(
    first: RecordIndex, count: Int, firstArrival: WallTime, lastArrival: WallTime, payloadBytes: Int
  ) {
    self.first = first
    self.count = count
    self.firstArrival = firstArrival
    self.lastArrival = lastArrival
    self.payloadBytes = payloadBytes
  }

  public var last: RecordIndex { first.advanced(by: count - 1) }
  /// The index behind the last record.
  public var end: RecordIndex { first.advanced(by: count) }
}

/// What a lane asks of its shard.
public struct ReadRequest: Hashable, Sendable {
  /// Read from this record on.
  public var from: RecordIndex
  /// At most so many records, 1 or more.
  public var countLimit: Int
  /// Stop before the record that would take the payload above this, but give one record in any case.
  public var payloadByteLimit: Int
  /// Records that arrived before this moment have expired; the answer says how many stand at the head. `nil`: none do.
  public var expiredBefore: WallTime?
  /// `.deliver` keeps the records for the delivery that follows; `.measure` only says what is there.
  public var purpose: Purpose

  public enum Purpose: Hashable, Sendable {
    case measure
    case deliver
  }

  public init(
    from: RecordIndex, countLimit: Int, payloadByteLimit: Int, expiredBefore: WallTime?, purpose: Purpose
  ) {
    self.from = from
    self.countLimit = countLimit
    self.payloadByteLimit = payloadByteLimit
    self.expiredBefore = expiredBefore
    self.purpose = purpose
  }
}

/// What the shard answered.
public enum ReadAnswer: Hashable, Sendable {
  /// Records are there. `extent.first` lies beyond the `from` of the request only if retention removed what was between.
  case records(ReadResult)
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
  /// The count or the payload limit ended the read: the batch is full.
  public var isFull: Bool
  /// How many records at the head arrived before `expiredBefore`, 0 ... extent.count, without a gap.
  public var expiredCount: Int
  /// The newest arrival among the expired ones; meaningless when there are none.
  public var lastExpiredArrival: WallTime
  /// The shard is closed and these are its last records: their batch does not wait for a window. `false` if not known.
  public var endsShard: Bool

  public init(
    extent: BatchExtent, isFull: Bool, expiredCount: Int = 0, lastExpiredArrival: WallTime = .zero,
    endsShard: Bool = false
  ) {
    self.extent = extent
    self.isFull = isFull
    self.expiredCount = expiredCount
    self.lastExpiredArrival = lastExpiredArrival
    self.endsShard = endsShard
  }
}
