public import StreamModel

/// A lane of a poller: its place in the order in which lanes were opened, from 0. Behind a lane that blocks by key stand
/// its tracks, which take the places that follow: see ``LaneOpening/trackCount(_:)``.
public struct LaneID: Hashable, Comparable, Sendable {
  public var rawValue: Int

  public init(_ rawValue: Int) {
    self.rawValue = rawValue
  }

  public static func < (left: LaneID, right: LaneID) -> Bool { left.rawValue < right.rawValue }
}

/// A mapping of a poller: its place in the order in which mappings were added, from 0.
public struct MappingID: Hashable, Sendable {
  public var rawValue: Int

  public init(_ rawValue: Int) {
    self.rawValue = rawValue
  }
}

/// One delivery of one lane. Never used twice within a lane's life, and so a late or repeated answer is recognised.
public struct DeliveryID: Hashable, Comparable, Sendable {
  public var rawValue: UInt64

  public init(_ rawValue: UInt64) {
    self.rawValue = rawValue
  }

  public static func < (left: DeliveryID, right: DeliveryID) -> Bool { left.rawValue < right.rawValue }
}

/// A lane to open: a shard as worked by one mapping.
public struct LaneOpening: Hashable, Sendable {
  public var mapping: MappingID
  /// The lanes of the shard's parents: two parents, of ten lanes each at most. All of them must be finished before this lane reads.
  public var parents: [LaneID]
  /// What was stored when the lane last ran; for a new lane, where to start.
  public var progress: LaneProgress
  /// In a bounded run: the first record that is not delivered any more. 0: none is. `nil`: it goes on.
  public var bound: RecordIndex?

  public init(mapping: MappingID, parents: [LaneID], progress: LaneProgress) {
    self.mapping = mapping
    self.parents = parents
    self.progress = progress
  }

  /// How many tracks the lane has. One for keys that were parked under other settings.
  public func trackCount(_ policy: LanePolicy) -> Int {
    policy.parking?.deliveryLimit ?? (progress.parked.isEmpty ? 0 : 1)
  }
}

/// A record that a handler named as failed, as lanes that block by key are told of it.
public struct FailedRecord: Hashable, Sendable {
  public var index: RecordIndex
  /// The records of the batch before this one, which are done.
  public var position: Int
  public var key: PartitionKeyHash
  public var arrival: WallTime

  public init(index: RecordIndex, position: Int, key: PartitionKeyHash, arrival: WallTime) {
    self.index = index
    self.position = position
    self.key = key
    self.arrival = arrival
  }
}

/// How a delivery ended.
public enum DeliveryAnswer: Hashable, Sendable {
  case succeeded
  /// The `position` records of the batch before this one are done. At the batch's first record nothing is.
  case failed(at: RecordIndex, position: Int)
  /// As `failed`, and of the records from that one on only `remaining` failed: of each other one the handler says that it
  /// is done. What is done behind the checkpoint is remembered with the progress that follows, and not read again. For
  /// mappings that keep keys of what is done.
  case failedAmong(at: RecordIndex, position: Int, remaining: Int)
  /// The same, of a lane that blocks by key.
  case recordFailed(FailedRecord)
  /// In a tumbling window: as `succeeded`, and this is for the next delivery of the window.
  case returned(WindowState)
  /// In a tumbling window: as `failed`, and this is for the next delivery of the window if anything is done.
  case returnedPart(WindowState, failedAt: RecordIndex, position: Int)
  /// There is no verdict, or none that can be used: nothing is done. `rule` is the first retry rule that the failure
  /// falls under, if it falls under one.
  case faulted(FailureKind, rule: RetryRuleID?)

  /// Some records are done.
  var settles: Bool {
    switch self {
    case .succeeded, .failedAmong, .returned: true
    case .failed, .recordFailed, .returnedPart, .faulted: false
    }
  }

  /// Reads better where an answer is made. (Swift cannot match two cases of the same name.)
  public static func failed(_ kind: FailureKind, rule: RetryRuleID? = nil) -> DeliveryAnswer {
    .faulted(kind, rule: rule)
  }
}

/// Things that happened, as the poller hears of them.
public enum PollerEvent: Hashable, Sendable {
  /// Opens the lane whose id is the number of lanes so far.
  indirect case laneOpened(LaneOpening)
  /// The shard has more records than before, or was closed.
  case shardChanged(LaneID)
  case readAnswered(LaneID, ReadAnswer)
  /// The handler is done, in whichever way, and no longer runs.
  case handlerAnswered(LaneID, DeliveryID, DeliveryAnswer)
  /// Progress with this revision is durable; so is every earlier one.
  case progressStored(LaneID, revision: UInt64)
  case progressRefused(LaneID, revision: UInt64)
  /// The failure entry that this delivery or expiry led to is durable.
  case failureStored(LaneID, ticket: UInt64)
  case failureRefused(LaneID, ticket: UInt64)
  /// The armed moment has come.
  case timerFired
  /// An operator's orders. They answer to the state the lane is in; what does not apply any more changes nothing.
  case pauseRequested(LaneID)
  case resumeRequested(LaneID)
  /// Retry the failing batch now instead of when it is due.
  case retryRequested(LaneID)
  /// Give up the records up to and including this one: they leave the lane as failure entries.
  case skipRequested(LaneID, through: RecordIndex)
  /// Give up the records of a parked key up to and including this one: they leave the lane as failure entries.
  case keySkipRequested(LaneID, PartitionKeyHash, through: RecordIndex)
  /// Give up the damaged block at which the lane stopped: nobody can read its records, up to `end`, and those that are
  /// not settled are counted as lost.
  case damageSkipRequested(LaneID, block: RecordIndex, end: RecordIndex)
  /// Deliver a failure entry again, between two batches of the lane, in the order of these requests.
  case redriveRequested(LaneID, Redrive)
  /// The mapping has other settings from now on.
  indirect case policyChanged(MappingID, LanePolicy)
  /// Start nothing new for this mapping, let what is in flight end, store progress, then say `mappingClosed`. With
  /// `isStopping`, cancel what is in flight.
  case mappingCloseRequested(MappingID, isStopping: Bool)
  /// The lanes of a closed mapping go on where they stood.
  case mappingOpenRequested(MappingID)
  /// Start nothing new, let what is in flight end, store progress, then say `drained`.
  case drainRequested
  /// As `drainRequested`, and cancel what is in flight.
  case stopRequested
}

/// A failure entry to deliver again.
public struct Redrive: Hashable, Sendable {
  /// The number of the entry in the store.
  public var entry: UInt64
  public var extent: BatchExtent

  public init(entry: UInt64, extent: BatchExtent) {
    self.entry = entry
    self.extent = extent
  }
}
