public import StreamModel

/// Drives the lanes of some mappings: who may deliver, who is woken, who waits for whom.
///
/// A pure value. Events come in one at a time, orders go out through `effects`; there is no clock, no chance and no I/O
/// inside. The same events at the same times with the same random numbers give the same orders.
public struct Poller: Hashable, Sendable {
  public let limits: PollerLimits
  private var terms: [LaneTerms] = []
  private var rings: [ReadyRing] = []
  /// By mapping.
  private var doors: [Door] = []
  private var busyLanesOfMapping: [Int] = []
  /// Mappings whose door is closing.
  private var closingCount = 0
  var lanes: [Lane] = []
  /// By LaneID: which lane, or which track of it.
  private(set) var seats: [Seat] = []
  private var mappings: [Int] = []
  private var links: [ReadyLink] = []
  private var family = Family()
  private var timers = LaneTimers()
  /// What the shell's timer is set to; `nil` when it is not.
  private var armed: MonotonicTime?
  private var busyLaneCount = 0
  /// Lanes of a bounded run that have something to do before their bounds, and do it without an operator. At zero the run
  /// has come to its end.
  public private(set) var lanesUnderWayToBound = 0
  private var isDraining = false
  private var isDrained = false

  /// Whether lanes of a mapping may start something.
  private enum Door: Hashable {
    case open
    /// Nothing new starts; something is in flight still.
    case closing
    case closed
  }

  struct Seat: Hashable {
    var lane: Int
    /// `nil`: the lane itself.
    var track: Int?
    /// Whether it counts against the deliveries in flight. Kept for tracks.
    var holdsPermit = false
  }

  public init(limits: PollerLimits = PollerLimits()) {
    self.limits = limits
  }

  /// Adds a mapping without lanes.
  public mutating func addMapping(_ policy: LanePolicy) -> MappingID {
    precondition(policy.batchSize >= 1, "a batch has at least one record")
    precondition(policy.deliveriesInFlightLimit >= 1, "a mapping may deliver one batch at a time at least")
    precondition(
      policy.parking == nil || !policy.keepsWrites,
      "writes go with a checkpoint, and parked records are settled without one")
    precondition(
      !policy.isShadow
        || !policy.keepsWrites && policy.parking == nil && policy.tumblingWindowMilliseconds == 0,
      "what a shadow answers moves nothing: it keeps no writes, parks no keys and has no windows")
    terms.append(LaneTerms(policy, limits))
    rings.append(ReadyRing(permitLimit: policy.deliveriesInFlightLimit))
    doors.append(.open)
    busyLanesOfMapping.append(0)
    return MappingID(terms.count - 1)
  }

  /// Lanes with their tracks.
  public var laneCount: Int { seats.count }

  /// The lane with this id. Tracks are parts of theirs.
  func laneState(_ id: LaneID) -> Lane {
    precondition(seats.indices.contains(id.rawValue), "a lane is opened before it is looked at")
    return lanes[seats[id.rawValue].lane]
  }

  func track(_ id: LaneID) -> KeyTrack? {
    let seat = seats[id.rawValue]
    // A lane that was finished when it was opened has none.
    guard let track = seat.track, lanes[seat.lane].tracks.indices.contains(track) else { return nil }
    return lanes[seat.lane].tracks[track]
  }

  /// Deliveries of the mapping in flight, with the reads that lead to them.
  public func permitsInUse(_ mapping: MappingID) -> Int { rings[mapping.rawValue].permitsInUse }

  /// Lanes that wait to be woken; never more than there are lanes.
  public var waitingTimerCount: Int { timers.count }

  func mapping(of lane: LaneID) -> MappingID { MappingID(mappings[lane.rawValue]) }

  /// Takes one event and appends what is to be done, in this order. `random` is drawn from only when a delivery failed.
  ///
  /// Costs the work of one lane, and of those that this event frees; a drain or stop looks at every lane once.
  public mutating func step(
    _ event: PollerEvent, at now: Now, random: inout some RandomNumberGenerator, effects: inout [PollerEffect]
  ) {
    step(event, at: now, jitter: event.canLeadToBackoff ? random.next() : 0, effects: &effects)
  }

  private mutating func step(
    _ event: PollerEvent, at now: Now, jitter: UInt64, effects: inout [PollerEffect]
  ) {
    switch event {
    case .laneOpened(let opening):
      open(opening, now, &effects)
    case .shardChanged(let lane):
      tell(lane, .shardChanged, now, jitter, &effects)
    case .readAnswered(let lane, let answer):
      tell(lane, .readAnswered(answer), now, jitter, &effects)
    case .handlerAnswered(let lane, let delivery, let answer):
      tell(lane, .handlerAnswered(delivery, answer), now, jitter, &effects)
    case .progressStored(let lane, let revision):
      tell(lane, .progressStored(revision: revision), now, jitter, &effects)
    case .progressRefused(let lane, let revision):
      tell(lane, .progressRefused(revision: revision), now, jitter, &effects)
    case .failureStored(let lane, let ticket):
      tell(lane, .failureStored(ticket: ticket), now, jitter, &effects)
    case .failureRefused(let lane, let ticket):
      tell(lane, .failureRefused(ticket: ticket), now, jitter, &effects)
    case .timerFired:
      fire(now, &effects)
    case .pauseRequested(let lane):
      tell(lane, .pauseRequested, now, jitter, &effects)
    case .resumeRequested(let lane):
      tell(lane, .resumeRequested, now, jitter, &effects)
    case .retryRequested(let lane):
      tell(lane, .retryRequested, now, jitter, &effects)
    case .skipRequested(let lane, let index):
      tell(lane, .skipRequested(through: index), now, jitter, &effects)
    case .keySkipRequested(let lane, let key, let index):
      tell(lane, .keySkipRequested(key, through: index), now, jitter, &effects)
    case .damageSkipRequested(let lane, let block, let end):
      tell(lane, .damageSkipRequested(block: block, end: end), now, jitter, &effects)
    case .redriveRequested(let lane, let redrive):
      tell(lane, .redriveRequested(redrive), now, jitter, &effects)
    case .policyChanged(let mapping, let policy):
      change(mapping.rawValue, to: policy, now, &effects)
    case .mappingCloseRequested(let mapping, let isStopping):
      close(mapping.rawValue, isStopping: isStopping, now, &effects)
    case .mappingOpenRequested(let mapping):
      open(mapping.rawValue, now, &effects)
    case .drainRequested:
      drain(.drainRequested, now, &effects)
    case .stopRequested:
      drain(.stopRequested, now, &effects)
    }
    if closingCount > 0 { finishClosing(&effects) }
    arm(&effects)
    if isDraining, !isDrained, busyLaneCount == 0 {
      isDrained = true
      effects.append(.drained)
    }
  }

  private mutating func open(_ opening: LaneOpening, _ now: Now, _ effects: inout [PollerEffect]) {
    let mapping = opening.mapping.rawValue
    precondition(terms.indices.contains(mapping), "a mapping is added before its lanes")
    precondition(opening.parents.count <= 20, "a shard has two parents of ten lanes each at most")
    let unfinished = opening.parents.filter { parent in
      precondition(seats.indices.contains(parent.rawValue), "the lanes of parent shards are opened first")
      return !laneState(parent).isFinishDurable
    }
    let id = LaneID(seats.count)
    let trackCount = opening.trackCount(terms[mapping].policy)
    for track in 0...trackCount {
      family.add(unfinishedParents: track == 0 ? unfinished : [])
      mappings.append(mapping)
      links.append(ReadyLink())
      timers.addLane()
      seats.append(Seat(lane: lanes.count, track: track == 0 ? nil : track - 1))
    }
    lanes.append(
      Lane(
        id: id, opening: opening, hasUnfinishedParents: !unfinished.isEmpty, policy: terms[mapping].policy,
        trackCount: trackCount, now: now))
    let index = seats[id.rawValue].lane
    lanes[index].goOn(laneStep(id, now, 0), &effects)
    lanes[index].followTracks(laneStep(id, now, 0), &effects)
    follow(id, index, since: LaneStanding())
    giveTurns(mapping, now, &effects)
  }

  /// One event for one lane, and all that follows from it.
  private mutating func tell(
    _ lane: LaneID, _ event: LaneEvent, _ now: Now, _ jitter: UInt64, _ effects: inout [PollerEffect]
  ) {
    guard !isDrained else { return }
    precondition(seats.indices.contains(lane.rawValue), "a lane is opened before anything happens to it")
    stepLane(lane, event, now, jitter, &effects)
    giveTurns(mappings[lane.rawValue], now, &effects)
  }

  private mutating func stepLane(
    _ lane: LaneID, _ event: LaneEvent, _ now: Now, _ jitter: UInt64, _ effects: inout [PollerEffect]
  ) {
    let seat = seats[lane.rawValue]
    let index = seat.lane
    let former = lanes[index].standing()
    if let track = seat.track {
      lanes[index].step(track: track, event, laneStep(lane, now, jitter), &effects)
    } else {
      lanes[index].step(event, laneStep(lane, now, jitter), &effects)
    }
    let id = lanes[index].id
    let isFinished = follow(id, index, since: former)
    if isFinished, !former.isFinishDurable { freeChildren(of: id, now, &effects) }
  }

  /// Brings permits, ring and timers in line with what the lane now is. Whether its end is durable.
  @discardableResult
  private mutating func follow(_ id: LaneID, _ index: Int, since former: LaneStanding) -> Bool {
    let mapping = mappings[id.rawValue]
    let standing = lanes[index].standing()
    if standing.isBusy != former.isBusy {
      busyLaneCount += standing.isBusy ? 1 : -1
      busyLanesOfMapping[mapping] += standing.isBusy ? 1 : -1
    }
    if standing.isUnderWayToBound != former.isUnderWayToBound {
      lanesUnderWayToBound += standing.isUnderWayToBound ? 1 : -1
    }
    if standing.holdsPermit != former.holdsPermit { rings[mapping].permitsInUse += standing.holdsPermit ? 1 : -1 }
    link(id.rawValue, isReady: standing.isReady, mapping)
    if let due = standing.due { timers.want(due, lane: id.rawValue) }
    for track in 0..<standing.trackCount { followTrack(track, of: index, seat: id.rawValue + 1 + track, mapping) }
    return standing.isFinishDurable
  }

  private mutating func followTrack(_ track: Int, of lane: Int, seat: Int, _ mapping: Int) {
    let holdsPermit = lanes[lane].tracks[track].holdsPermit
    if holdsPermit != seats[seat].holdsPermit {
      seats[seat].holdsPermit = holdsPermit
      rings[mapping].permitsInUse += holdsPermit ? 1 : -1
    }
    link(seat, isReady: lanes[lane].tracks[track].isReady, mapping)
    if let due = lanes[lane].tracks[track].due { timers.want(due, lane: seat) }
  }

  private mutating func link(_ seat: Int, isReady: Bool, _ mapping: Int) {
    if isReady, !links[seat].isLinked {
      rings[mapping].append(seat, &links)
    } else if !isReady, links[seat].isLinked {
      rings[mapping].remove(seat, &links)
    }
  }

  /// Hands out the permits that are free, to the lanes that have waited longest.
  private mutating func giveTurns(_ mapping: Int, _ now: Now, _ effects: inout [PollerEffect]) {
    while rings[mapping].hasTurn {
      let index = rings[mapping].first
      stepLane(LaneID(index), .turnGiven, now, 0, &effects)
      precondition(!links[index].isLinked, "a lane uses its turn")
      precondition(
        rings[mapping].permitsInUse <= rings[mapping].permitLimit, "no more deliveries in flight than permitted")
    }
  }

  private mutating func freeChildren(of lane: LaneID, _ now: Now, _ effects: inout [PollerEffect]) {
    for child in family.finish(lane) where !family.hasUnfinishedParents(child) {
      stepLane(child, .parentsFinished, now, 0, &effects)
      giveTurns(mappings[child.rawValue], now, &effects)
    }
  }

  /// Wakes the lanes whose moment has come. A lane looked at too early keeps its moment.
  private mutating func fire(_ now: Now, _ effects: inout [PollerEffect]) {
    armed = nil
    guard !isDrained else { return }
    while let index = timers.takeDue(at: now.monotonic) {
      stepLane(LaneID(index), .timerFired, now, 0, &effects)
      giveTurns(mappings[index], now, &effects)
    }
  }

  /// Sets the shell's timer if a lane wants to be woken earlier than it would fire.
  private mutating func arm(_ effects: inout [PollerEffect]) {
    guard !isDrained, let earliest = timers.earliest else { return }
    if let armed, armed <= earliest { return }
    armed = earliest
    effects.append(.armTimer(earliest))
  }

  private mutating func drain(_ event: LaneEvent, _ now: Now, _ effects: inout [PollerEffect]) {
    guard !isDrained else { return }
    isDraining = true
    for index in lanes.indices { stepLane(lanes[index].id, event, now, 0, &effects) }
  }

  // MARK: Changing a mapping

  /// Deliveries in flight above a lower limit end; until then no lane gets a turn.
  private mutating func change(
    _ mapping: Int, to policy: LanePolicy, _ now: Now, _ effects: inout [PollerEffect]
  ) {
    precondition(terms.indices.contains(mapping), "a mapping is added before it is changed")
    precondition(policy.batchSize >= 1, "a batch has at least one record")
    precondition(policy.deliveriesInFlightLimit >= 1, "a mapping may deliver one batch at a time at least")
    guard !isDrained else { return }
    var policy = policy
    // That is the handler's, not a setting.
    policy.keepsWrites = terms[mapping].policy.keepsWrites
    policy.isShadow = terms[mapping].policy.isShadow
    terms[mapping] = LaneTerms(policy, limits)
    rings[mapping].permitLimit = policy.deliveriesInFlightLimit
    tellLanes(of: mapping, .policyChanged, now, &effects)
  }

  private mutating func close(_ mapping: Int, isStopping: Bool, _ now: Now, _ effects: inout [PollerEffect]) {
    precondition(doors.indices.contains(mapping), "a mapping is added before it is closed")
    guard !isDrained else { return }
    if doors[mapping] == .open {
      doors[mapping] = .closing
      closingCount += 1
    }
    tellLanes(of: mapping, isStopping ? .stopRequested : .drainRequested, now, &effects)
  }

  private mutating func open(_ mapping: Int, _ now: Now, _ effects: inout [PollerEffect]) {
    precondition(doors.indices.contains(mapping), "a mapping is added before it is opened")
    guard !isDrained, doors[mapping] != .open else { return }
    if doors[mapping] == .closing { closingCount -= 1 }
    doors[mapping] = .open
    tellLanes(of: mapping, .reopened, now, &effects)
  }

  private mutating func finishClosing(_ effects: inout [PollerEffect]) {
    for mapping in doors.indices where doors[mapping] == .closing && busyLanesOfMapping[mapping] == 0 {
      doors[mapping] = .closed
      closingCount -= 1
      effects.append(.mappingClosed(MappingID(mapping)))
    }
  }

  private mutating func tellLanes(
    of mapping: Int, _ event: LaneEvent, _ now: Now, _ effects: inout [PollerEffect]
  ) {
    for index in lanes.indices where mappings[lanes[index].id.rawValue] == mapping {
      stepLane(lanes[index].id, event, now, 0, &effects)
    }
    giveTurns(mapping, now, &effects)
  }

  private func laneStep(_ lane: LaneID, _ now: Now, _ jitter: UInt64) -> LaneStep {
    let mapping = mappings[lane.rawValue]
    return LaneStep(
      terms: terms[mapping], now: now, jitter: jitter, isDraining: isDraining || doors[mapping] != .open)
  }
}

extension PollerEvent {
  /// Whether a random number may be needed for the wait that follows.
  fileprivate var canLeadToBackoff: Bool {
    switch self {
    case .handlerAnswered(_, _, .succeeded): false
    case .handlerAnswered: true
    case .readAnswered(_, .records): true
    case .laneOpened, .shardChanged, .readAnswered, .progressStored, .progressRefused, .failureStored,
      .failureRefused, .timerFired, .pauseRequested, .resumeRequested, .retryRequested, .skipRequested,
      .keySkipRequested, .damageSkipRequested, .redriveRequested, .policyChanged, .mappingCloseRequested,
      .mappingOpenRequested, .drainRequested, .stopRequested:
      false
    }
  }
}
