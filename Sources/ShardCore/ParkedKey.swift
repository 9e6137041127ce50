public import StreamModel

/// One partition key that waits: its first record failed, and all later ones of the key stand behind it.
///
/// Every record of the key before the lane's checkpoint is settled or stands in `ranges`. A key whose records are all
/// settled stays for a moment: it goes back to the others when the lane forms its next batch.
struct ParkedKey: Hashable {
  let key: PartitionKeyHash
  let since: WallTime
  var ranges: ParkedRanges
  /// What is decided about the batch that begins at the first of the records.
  var head: LaneHead
  /// The counts of the frozen batches behind the head, the nearest last.
  var pieces: [Int] = []
  /// When the key is worth another look.
  var due: MonotonicTime
  /// When its failing batch is delivered again.
  var retryDue: MonotonicTime
  /// A track works on it.
  var isWorkedOn = false
  /// A block with records of the key is damaged: nothing happens until an operator says so.
  var stoppedAt: RecordIndex?
  /// An operator gave up the records up to and including this one.
  var skipThrough: RecordIndex?

  /// Every record of the key before this is settled.
  var settledBefore: RecordIndex
  /// Its state is another than what was last sent to the store.
  var isDirty = false
  var isUnderWay = false

  /// A key whose record at `index` failed just now.
  init(_ key: PartitionKeyHash, failing: FailingBatch, retryDue: MonotonicTime, now: Now) {
    let first = failing.extent.first
    self.key = key
    since = now.wall
    ranges = ParkedRanges([RecordRange(first: first, count: 1)])
    head = .failing(failing)
    due = retryDue
    self.retryDue = retryDue
    settledBefore = first
  }

  /// A key as it was stored.
  init(stored change: ParkedKeyChange, _ state: ParkedKeyState, policy: LanePolicy, now: Now) {
    key = change.key
    since = state.since
    ranges = ParkedRanges(change.ranges)
    head = .open
    due = now.monotonic
    retryDue = now.monotonic
    settledBefore = state.settledBefore
    if let failing = state.failing, failing.extent.first == ranges.first, failing.extent.count >= 1,
      UInt64(failing.extent.count) <= ranges.count
    {
      head = .failing(failing)
      retryDue = failing.dueAfterRestart(policy, now)
      due = retryDue
    }
  }

  /// One more record waits behind those that do; `false` if none does.
  mutating func parkBehindOthers(_ index: RecordIndex) -> Bool {
    guard !ranges.isEmpty else { return false }
    ranges.append(RecordRange(first: index, count: 1))
    return true
  }

  /// Whether it is delivered when it is due.
  var waitsForTrack: Bool { !isWorkedOn && !ranges.isEmpty && stoppedAt == nil }

  var state: ParkedKeyState {
    ParkedKeyState(since: since, settledBefore: settledBefore, failing: head.failing)
  }
}

/// What the store keeps of a parked key besides its records.
public struct ParkedKeyState: Hashable, Sendable {
  /// When the key was parked.
  public var since: WallTime
  /// Every record of the key before this is settled.
  public var settledBefore: RecordIndex
  /// The batch at its head that has failed at least once.
  public var failing: FailingBatch?

  public init(since: WallTime, settledBefore: RecordIndex, failing: FailingBatch?) {
    self.since = since
    self.settledBefore = settledBefore
    self.failing = failing
  }
}

/// What became of a parked key since progress was last stored; to a lane that opens, all of it.
public struct ParkedKeyChange: Hashable, Sendable {
  public var key: PartitionKeyHash
  /// `nil`: the key is parked no more, and everything stored of it goes.
  public var state: ParkedKeyState?
  /// To a lane that opens: its records that are not settled, in order. Where progress is stored they are among
  /// ``LaneProgress/parkedRecords``.
  public var ranges: [RecordRange]

  public init(key: PartitionKeyHash, state: ParkedKeyState?, ranges: [RecordRange] = []) {
    self.key = key
    self.state = state
    self.ranges = ranges
  }
}

extension FailingBatch {
  /// When it is delivered again after a restart: what was left of its backoff by the wall clock, but never longer than
  /// the longest backoff there is, because the wall clock may have stepped back while nobody looked.
  func dueAfterRestart(_ policy: LanePolicy, _ now: Now) -> MonotonicTime {
    let longest = policy.longestBackoffMilliseconds
    let (left, overflow) = retryAt.milliseconds.subtractingReportingOverflow(now.wall.milliseconds)
    let wait = overflow ? longest : max(0, min(left, longest))
    return now.monotonic.adding(milliseconds: wait)
  }
}
