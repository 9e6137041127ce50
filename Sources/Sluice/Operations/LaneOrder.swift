import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// What an action means for one lane in its present state: the event for its poller and a sentence for the operator.
struct LaneOrder {
  var event: (LaneID) -> PollerEvent
  var sentence: String
  /// Records that leave the lane.
  var records: UInt64 = 0

  /// `nil` if the action does not apply to the state the lane is in. `bound` is the first record behind the lane's run.
  init?(_ action: LaneAction, on lane: LaneReport, in shard: ShardInfo?, bound: RecordIndex? = nil) throws {
    let name = lane.subject
    switch action {
    case .pause:
      guard lane.state != .paused, lane.state != .finished else { return nil }
      event = { .pauseRequested($0) }
      sentence = "\(name) is paused; what is in flight ends first, \(lane.backlogRecords) records wait"
    case .resume:
      guard lane.state == .paused || lane.state == .stopped else { return nil }
      event = { .resumeRequested($0) }
      sentence = "\(name) goes on with \(lane.backlogRecords) records"
    case .retry:
      guard lane.state == .retrying || lane.parkedKeyCount > 0 else { return nil }
      event = { .retryRequested($0) }
      let keys = "\(lane.parkedKeyCount) parked key\(lane.parkedKeyCount == 1 ? "" : "s")"
      sentence =
        lane.parkedKeyCount == 0
        ? "\(name) delivers its failing batch now"
        : "\(name) delivers \(lane.state == .retrying ? "its failing batch and " : "")its \(keys) now"
    case .skipKey: return nil
    case .skip(let through):
      if let damage = lane.damage {
        self = try Self.skipping(damage, through, lane)
        return
      }
      if through == nil, let place = lane.window?.failingFinalAt, place > 0 {
        event = { .skipRequested($0, through: RecordIndex(place - 1)) }
        sentence = "\(name) gives up the final invocation of its window; its state stays in the failures"
        return
      }
      guard let shard, let last = try Self.lastSkipped(through, lane, shard, bound) else { return nil }
      guard let first = lane.checkpoint.flatMap({ SequenceNumber($0) })?.index, first <= last else { return nil }
      event = { .skipRequested($0, through: last) }
      let isBatch = lane.batch?.lastSequenceNumber == shard.sequenceNumber(of: last).description
      let batch = isBatch ? lane.batch.map { UInt64($0.records) } : nil
      records = batch ?? first.distance(to: last) + 1
      // Between the two stand records of the shard's other lanes.
      let isBound = batch == nil && lane.lane != nil
      sentence =
        "\(name) gives up \(isBound ? "its own of " : "")\(records) record\(records == 1 ? "" : "s") through "
        + "\(shard.sequenceNumber(of: last)); they stay in the failures"
    }
  }

  private init(event: @escaping (LaneID) -> PollerEvent, sentence: String, records: UInt64) {
    self.event = event
    self.sentence = sentence
    self.records = records
  }

  /// Giving up records of a parked key; `nil` if the lane has none of it parked.
  init?(skipping key: String, isAll: Bool, on lane: LaneReport, _ look: LaneLook, in shard: ShardInfo) {
    let hash = PartitionKeyHash(of: key)
    guard let parked = look.parkedKeys.first(where: { $0.snapshot.key == hash })?.snapshot else { return nil }
    let head = parked.failing.map { ($0.extent.last, UInt64($0.extent.count)) } ?? (parked.first, 1)
    let (through, count) = isAll ? (parked.last, parked.recordCount) : head
    let rest = parked.recordCount - min(count, parked.recordCount)
    self.init(
      event: { .keySkipRequested($0, hash, through: through) },
      sentence:
        "\(lane.subject) gives up \(count) record\(count == 1 ? "" : "s") of partition key \(key) through "
        + "\(shard.sequenceNumber(of: through)); \(count == 1 ? "it stays" : "they stay") in the failures, and "
        + (rest == 0 ? "nothing of the key is left" : "\(rest) more of the key follow\(rest == 1 ? "s" : "")"),
      records: count)
  }

  /// Going on behind a damaged block. What it holds cannot become a failure entry: nobody can read it.
  private static func skipping(_ damage: DamageReport, _ through: String?, _ lane: LaneReport) throws -> LaneOrder {
    guard through == nil else {
      throw OperatorRefusal(
        .badInput,
        "\(lane.shard) stands before the damaged block at record \(damage.block). Leave out --through to skip the block."
      )
    }
    let (records, last) = (damage.records, damage.lastSequenceNumber)
    guard let end = SequenceNumber(last)?.index else {
      throw OperatorRefusal(.badInput, "\(last) is not a sequence number.")
    }
    return LaneOrder(
      event: {
        .damageSkipRequested($0, block: RecordIndex(damage.block), end: end.advanced(by: 1))
      },
      sentence:
        "\(lane.subject) goes on behind the damaged block at record \(damage.block), sequence numbers "
        + "\(damage.firstSequenceNumber) through \(last); "
        + (lane.lane == nil ? "" : "its own of ")
        + "\(damage.loss) to this mapping for good",
      records: LaneSharing.share(of: [records] + Array(repeating: 0, count: lane.laneCount - 1)))
  }

  private static func lastSkipped(
    _ text: String?, _ lane: LaneReport, _ shard: ShardInfo, _ bound: RecordIndex?
  ) throws -> RecordIndex? {
    guard let text else {
      guard lane.state.isBlocked || lane.state == .paused else { return nil }
      return lane.batch.flatMap { SequenceNumber($0.lastSequenceNumber) }?.index
    }
    guard let number = SequenceNumber(text), number == shard.sequenceNumber(of: number.index) else {
      throw OperatorRefusal(
        .badInput, "--through is \(text): that is not the sequence number of a record of \(lane.shard).")
    }
    if let closing = shard.closing, number.index >= closing.end {
      throw OperatorRefusal(.badInput, "--through lies behind the end of \(lane.shard), which is closed.")
    }
    if let bound, number.index >= bound {
      let end = bound.previous.map { "through \(shard.sequenceNumber(of: $0))" } ?? "before the first record"
      throw OperatorRefusal(
        .badInput,
        "--through lies behind the end of this run (--until), which goes \(end): skip at most so far, or in a run without it."
      )
    }
    return number.index
  }
}

extension LaneAction {
  /// What is to be told of records that the action takes out of their lane; `nil` if it takes none.
  func event(by consent: Consent, _ now: WallTime) -> RecordEvent? {
    switch self {
    case .pause, .resume, .retry: nil
    case .skip, .skipKey: RecordEvent(.skipped, at: now, actor: consent.actor)
    }
  }

  var name: String {
    switch self {
    case .pause: "pause"
    case .resume: "resume"
    case .retry: "retry"
    case .skip: "skip"
    case .skipKey: "skip key"
    }
  }
}
