import ShardCore
import StreamModel

/// One lane as the world around the poller sees it: what is under way, and an own idea of where the
/// lane must stand, taken from the events alone.
struct WorldLane: Hashable {
  var shard = 0
  var mapping = 0
  var selection = LaneSelection.all
  /// How many places before this one its lane stands, for a track; zero for a lane.
  var track = 0
  var blocksByKey = false

  // Where the lane must stand.
  /// Every record of the lane before this is settled.
  var position = 0
  var lost: UInt64 = 0
  /// The batch under retry: `failingCount` is 0 while none is.
  var failingFirst = 0
  var failingCount = 0
  var attempts = 0
  /// Attempts that the failing batch had, or was about to have, when settings changed: a lower limit lets it go with them.
  var attemptsAtChange = 0
  /// So many records of the failing batch were given up by a retry rule, and leave; 0: none were.
  var givenUpCount = 0
  /// The value of `givenUpCount` for a final delivery, which has no records.
  static let finalGivenUp = Int.max
  /// The failing batch must not be delivered earlier, on the monotonic clock, unless age or an operator wants it.
  var retryNotBefore: Int64 = 0
  /// The next delivery has exactly so many records, if it begins at `position`; 0: as many as there are.
  var frozenCount = 0
  /// The sizes of the batches behind that one, the nearest last.
  var pieces: [Int] = []
  /// The tumbling window that has begun and is not over, with what its next delivery must get.
  var window: OpenWindow?
  /// The final delivery of the window has failed.
  var finalFails = false
  /// Records given up by an operator, as an end; 0: none.
  var skipEnd = 0
  /// The damaged block that an operator gives up in this step; empty: none.
  var damage = 0..<0
  var settledBatches = 0
  var storedBatches = 0

  // Of a lane that blocks by key.
  /// The records of the last read, or of the delivery under way.
  var batch: [Int] = []
  /// The records of the failure entry under way.
  var leaving: [Int] = []
  /// Parked records given up by an operator, through this one.
  var keySkips: [PartitionKeyHash: Int] = [:]
  /// Records that must not be delivered alone before this moment.
  var notBefore: [Int: Int64] = [:]
  /// The policy is not the one that the world began with: attempts may be more than it allows.
  var settingsChanged = false
  /// Parked records of the damaged block that an operator gives up in this step.
  var damagedRecords: [Int] = []
  // What a handler that writes to tables did.
  /// The records processed in this life of the poller.
  var processed = RecordSet()
  /// What the last delivery wrote.
  var offered = RecordSet()
  var offeredBy = DeliveryID(0)
  /// What the last answer says is done behind the first record that failed.
  var named = RecordSet()
  /// What was written by deliveries that count, and goes with the next progress.
  var kept = RecordSet()

  // What came again.
  var tracker = RedeliveryTracker(LaneProgress(), suspects: 0, before: .zero)
  /// Every record that was ever delivered. Of a track: see its lane.
  var delivered = RecordSet()
  /// The records of the delivery under way that never were before.
  var fresh = RecordSet()

  // Under way.
  var request = ReadRequest(
    from: .zero, countLimit: 1, payloadByteLimit: 0, expiredBefore: nil, purpose: .measure)
  var isReading = false
  var earlyAnswer: ReadAnswer?
  /// Records in the answer to the last read.
  var readCount = 0
  /// Where the last read began; behind what was asked for if retention has removed that.
  var readBegin = 0
  /// The wall clock when the last read was asked for.
  var readAt: Int64 = 0
  /// The age limit of the mapping then.
  var readAge: Int64?
  /// How many records a batch could have when the lane read last.
  var batchSizeOfRead = 0
  /// The end of the shard when the last read was asked for.
  var seenEnd = 0

  var delivery = Delivery(
    id: DeliveryID(0), source: .shard,
    extent: BatchExtent(first: .zero, count: 1, firstArrival: .zero, lastArrival: .zero, payloadBytes: 0), attempt: 0)
  var isDelivering = false
  var hangs = false
  var cancellation = Cancellation.none
  var lastDelivery: UInt64 = 0

  var progressBatches = 0
  var lastRevision: UInt64 = 0

  var lastTicket: UInt64 = 0
  /// The failure entry that the store refused last: it comes again, whatever settings have changed meanwhile.
  var refused: FailureOrder?

  /// Redrives asked for and not settled, oldest first: entries `redriveFirst ..< redriveEnd`.
  var redriveFirst: UInt64 = 0
  var redriveEnd: UInt64 = 0

  /// Turns that other lanes of the mapping were given while this one waited for its own.
  var turnsOfOthers = 0

  enum Cancellation {
    case none, deadline, skip, stop
  }

  var isFailing: Bool { failingCount > 0 || finalFails }
  /// The read under way is one of a skip, which needs no permit.
  var skipReads = false

  mutating func settle(upTo end: Int, rest: Int) {
    position = end
    failingCount = 0
    finalFails = false
    attempts = 0
    attemptsAtChange = 0
    givenUpCount = 0
    frozenCount = rest > 0 ? rest : pieces.popLast() ?? 0
    retryNotBefore = 0
    settledBatches += 1
  }

  /// The frozen batches that must be found after a restart, without the failing one.
  var storedPieces: [Int] { (isFailing || frozenCount == 0 ? [] : [frozenCount]) + pieces.reversed() }

  /// A failed batch of several records becomes two, the first of which is next.
  mutating func bisect(_ extent: BatchExtent) {
    failingCount = 0
    attempts = 0
    attemptsAtChange = 0
    retryNotBefore = 0
    frozenCount = extent.count / 2
    pieces.append(extent.count - frozenCount)
  }

  mutating func fail(_ extent: BatchExtent, usesAttempt: Bool) {
    if !isFailing {
      failingFirst = Int(extent.first.rawValue)
      failingCount = extent.count
    }
    finalFails = extent.isEmpty
    frozenCount = extent.count
    if usesAttempt { attempts += 1 }
  }

  /// The records of the batch at the head, and of those behind it, are gone.
  mutating func forgetBatches() {
    if failingCount > 0 {
      attempts = 0
      givenUpCount = 0
      retryNotBefore = 0
    }
    failingCount = 0
    frozenCount = 0
    pieces.removeAll()
  }

  /// The final delivery of the window comes before what is left of a batch.
  mutating func putOffPieces() {
    if frozenCount > 0 { pieces.append(frozenCount) }
    frozenCount = 0
  }

  /// The mapping has no windows any more.
  mutating func endWindowEarly() {
    window = window.map { OpenWindow($0.bounds, state: $0.state, isTerminatedEarly: true) }
  }

  /// A delivery of the window succeeded, at least in part.
  mutating func handOn(_ state: WindowState, limit: Int) {
    guard let own = window else { return }
    window = OpenWindow(own.bounds, state: state, isTerminatedEarly: own.isTerminatedEarly || state.bytes.count > limit)
  }

  /// Records that are not the lane's are passed.
  mutating func pass(to index: Int, in shard: ModelShard) {
    if index > position, shard.firstSelected(in: position..<index, selection) == nil { position = index }
  }

  /// What a new process finds.
  mutating func restart(from committed: LaneProgress, hasWindows: Bool) {
    position = Int(committed.next.rawValue)
    lost = committed.lostToRetention + committed.lostToDamage
    failingCount = committed.failing?.extent.count ?? 0
    finalFails = committed.failing?.extent.isEmpty ?? false
    window = committed.window.map {
      OpenWindow($0.bounds, state: $0.state, isTerminatedEarly: $0.isTerminatedEarly || !hasWindows)
    }
    // That its window ends was decided by what the shard was then; the wall clock may have stepped back since.
    if committed.window?.isEnding == true { seenEnd = 0 }
    failingFirst = position
    attempts = committed.failing?.attempts ?? 0
    givenUpCount =
      switch committed.failing?.givenUp {
      case .batch: finalFails ? Self.finalGivenUp : failingCount
      case .firstRecord: 1
      case nil: 0
      }
    pieces = committed.pieces.reversed()
    frozenCount = isFailing ? failingCount : pieces.popLast() ?? 0
    skipEnd = 0
    damage = 0..<0
    // Those above a limit that was lowered since are found again.
    attemptsAtChange = attempts
    refused = nil
    retryNotBefore = 0
    processed = RecordSet()
    offered = RecordSet()
    named = RecordSet()
    offeredBy = DeliveryID(0)
    kept = RecordSet()
    settledBatches = 0
    storedBatches = 0
    isReading = false
    earlyAnswer = nil
    isDelivering = false
    skipReads = false
    hangs = false
    cancellation = .none
    lastDelivery = 0
    lastRevision = 0
    lastTicket = 0
    redriveFirst = 0
    redriveEnd = 0
    turnsOfOthers = 0
    batch.removeAll()
    leaving.removeAll()
    keySkips.removeAll()
    notBefore.removeAll()
    damagedRecords.removeAll()
  }
}
