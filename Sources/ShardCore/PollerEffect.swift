public import StreamModel

/// Orders of the poller, carried out in the order given.
///
/// What starts must end:
///
/// | order | ends with |
/// | --- | --- |
/// | `read` | `readAnswered` |
/// | `deliver` | `handlerAnswered` with the same delivery |
/// | `cancelHandler` | `handlerAnswered` with the same delivery, as soon as the handler lets go |
/// | `storeProgress` | `progressStored` or `progressRefused`, same revision |
/// | `storeFailure` | `failureStored` or `failureRefused`, same ticket |
/// | `armTimer` | `timerFired`, unless a later order arms another moment |
///
/// At most one read, one delivery, one progress and one failure of a lane are under way at any time; and one read, one
/// delivery and one failure of each of its tracks.
public enum PollerEffect: Hashable, Sendable {
  case read(LaneID, ReadRequest)
  /// Hand the records to the handler: those of the last `read` for delivery, those of a failure entry, or none at the
  /// end of a tumbling window.
  case deliver(LaneID, Delivery)
  /// The handler's time is over: make it end.
  case cancelHandler(LaneID, DeliveryID)
  /// The delivery counts, and so do the writes of its handler: they are part of every progress that is ordered from here on,
  /// until one is stored. Only for policies that keep writes.
  case keepWrites(LaneID, DeliveryID)
  case storeProgress(LaneID, LaneProgress, revision: UInt64)
  indirect case storeFailure(LaneID, FailureOrder, ticket: UInt64)
  /// A redriven entry was processed: take it off the list. Carried out by the store; a refusal leaves the entry there.
  /// With a policy that keeps writes it leaves the list with them.
  case settleRedrive(LaneID, entry: UInt64, succeeded: Bool)
  /// Fire at this moment. Replaces the moment armed before.
  case armTimer(MonotonicTime)
  /// The record at the head is too large for any event: it has failed without a delivery, which is told with its attempts.
  /// Comes before the progress or the failure entry that it leads to. `key`: that of the record, in a lane that blocks by
  /// key; it is parked already, or the attempt is one of the key as soon as it is.
  case tooLarge(LaneID, BatchExtent, key: PartitionKeyHash?, isParked: Bool)
  /// The records come from as many invocations as may be, at most so many: they are not delivered, which is told with their
  /// attempts. Comes before the failure entry that it leads to. `key`: they are records of this parked key.
  case recursiveLoop(LaneID, BatchExtent, Lineage, key: PartitionKeyHash?)
  /// So many records leave the lane for nowhere: retention had removed them before the lane came to them, or they stood
  /// in a damaged block that an operator gave up.
  case countLost(LaneID, UInt64)
  /// Nothing of this mapping is in flight and all its progress is stored.
  case mappingClosed(MappingID)
  /// Nothing is in flight and all progress is stored.
  case drained
}

/// A delivery to carry out.
public struct Delivery: Hashable, Sendable {
  public var id: DeliveryID
  public var source: Source
  public var extent: BatchExtent
  /// 1 for the first delivery of this batch.
  public var attempt: Int
  /// The parked key whose records these are; `nil` for a batch of the lane's own.
  public var key: PartitionKeyHash?
  /// The tumbling window that the batch is in, with what was handed on in it.
  public var window: OpenWindow?

  public enum Source: Hashable, Sendable {
    case shard
    case failureEntry(UInt64)
    /// There are no records: it is the final delivery of the window.
    case windowEnd
  }

  public init(
    id: DeliveryID, source: Source, extent: BatchExtent, attempt: Int, key: PartitionKeyHash? = nil,
    window: OpenWindow? = nil
  ) {
    self.key = key
    self.id = id
    self.source = source
    self.extent = extent
    self.attempt = attempt
    self.window = window
  }
}

/// A failure entry to store: records that leave the lane without success.
public struct FailureOrder: Hashable, Sendable {
  public var extent: BatchExtent
  public var condition: FailureCondition
  /// Deliveries that used up an attempt.
  public var attempts: Int
  /// Records of these keys between the first and the last are not meant: they are parked. `nil`: no key is.
  public var parkedKeys: ParkedKeySet?
  /// The parked key whose records these are, and which they are; without one, all between the first and the last.
  public var key: PartitionKeyHash?
  public var ranges: [RecordRange]
  /// The tumbling window of the records. Where the extent is empty its final delivery has failed for good, and its state
  /// leaves the lane with it.
  public var window: OpenWindow?

  public init(
    extent: BatchExtent, condition: FailureCondition, attempts: Int, parkedKeys: ParkedKeySet? = nil,
    key: PartitionKeyHash? = nil, ranges: [RecordRange] = [], window: OpenWindow? = nil
  ) {
    self.parkedKeys = parkedKeys
    self.key = key
    self.ranges = ranges
    self.extent = extent
    self.condition = condition
    self.attempts = attempts
    self.window = window
  }
}
