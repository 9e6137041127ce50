public import Logging
public import Recordings
import ShardCore
public import StreamModel
public import StreamRuntime
import StreamStore

/// Which part of a recording is replayed, and how.
public struct ReplayOptions: Sendable {
  /// Records that arrived at this moment or later, and before the other.
  public var from: WallTime?
  public var to: WallTime?
  /// `nil`: all.
  public var shards: Set<ShardNumber>?
  public var seed: UInt64 = 1
  /// Everything is there from the beginning, instead of coming when it came.
  public var isAtOnce = false
  /// Records come when they came, while virtual time follows real time. Not with ``isAtOnce``. Where more than ``byteLimit``
  /// waits for the lanes, records behind it come later than they came, and with the age that they have.
  public var pace: ReplayPace?
  /// With a pace: called once, before the first record and before time goes by, with the number of lanes that begin then.
  /// For what would otherwise be done while time goes by, such as starting the processes of the handler.
  public var prepare: (@Sendable (_ laneCount: Int) async -> Void)?
  /// How long a delivery takes in virtual time, in milliseconds. With a pace it takes what it really takes.
  public var deliveryMilliseconds: Int64 = 0
  /// How long the handler may really take.
  public var timeoutMilliseconds: Int64
  public var concurrency = 1
  /// How long lanes may go on behind the last record, in virtual milliseconds: what still fails then is not settled.
  public var settlingMilliseconds: Int64 = 86_400_000
  /// With ``isAtOnce``: so many bytes of records may wait for some lanes before others, which want more, are held, however
  /// many shards there are. What fits into the processor's cache is fast.
  public var holdingByteLimit = 4 << 20
  /// Bytes of records that wait in memory at most.
  public var byteLimit = 1 << 30

  public init(timeoutMilliseconds: Int64) { self.timeoutMilliseconds = timeoutMilliseconds }
}

/// Why a replay ended early.
public enum ReplayError: Error, Hashable, Sendable, CustomStringConvertible {
  case recording(RecordingError)
  /// So many bytes of records wait for lanes that are held up.
  case tooMuchWaits(bytes: Int)

  public var description: String {
    switch self {
    case .recording(let error): "\(error)"
    case .tooMuchWaits(let bytes):
      "records of \(bytes >> 20) MiB wait for lanes that are held up by what fails: limit the retries, or replay fewer shards"
    }
  }
}

/// Runs a recording through a handler, in virtual time and without a store.
public final class Replay {
  private let source: Source
  /// Of the recording.
  public let header: RecordingHeader
  private let options: ReplayOptions
  private let plan: MappingPlan
  private let handler: WatchedHandler
  private let log: RecordingLog
  private let importedNumbers = ImportedNumbers()
  private let logger: Logger
  private let tell: (ReplayEvent, InvocationNote?) throws -> Void
  private var poller: ReplayPoller?
  /// What `tell` threw first.
  private var telling: (any Error)?
  /// Shards of the part that is replayed, until the first record of it: where their lanes will begin.
  private var waiting: [RecordedShard] = []
  private var nextOfShard: [ShardNumber: RecordIndex] = [:]
  private var closings: [RecordedClosing] = []
  private var problem: RecordingError?
  /// By shard: where each of its lanes stands.
  private var positions: [ShardNumber: [RecordIndex]] = [:]
  /// How old the newest record of a batch was when it was delivered for the first time, in virtual milliseconds: of the
  /// batch that was delivered last, and the most of all.
  public private(set) var lagMilliseconds: Int64 = 0
  public private(set) var greatestLagMilliseconds: Int64 = 0
  /// Records of the part that is replayed, as far as they were read.
  public private(set) var recordCount: UInt64 = 0

  /// When the shards that are replayed were created, in seconds since 1970; of those alone whose sequence numbers are made of
  /// it: not of imported records and not of the changes of a table, which have numbers of their own.
  public private(set) var shardTimes: [ShardNumber: UInt64] = [:]

  private enum Source {
    /// Records come when they came.
    case paced(PacedReading)
    /// All are there from the beginning.
    case atOnce(RecordingFeed)
  }

  public init(
    _ reader: consuming RecordingReader, through plan: MappingPlan, _ options: ReplayOptions,
    logger: Logger,
    tell: @escaping (ReplayEvent, InvocationNote?) throws -> Void
  ) {
    header = reader.header
    let part = RecordingPart(from: options.from, to: options.to, shards: options.shards)
    source =
      options.isAtOnce ? .atOnce(RecordingFeed(reader, part)) : .paced(PacedReading(reader, part))
    self.options = options
    self.logger = logger
    self.tell = tell
    handler = WatchedHandler(plan.handler, importedNumbers, seed: options.seed)
    var plan = plan
    plan.handler = handler
    if plan.windowHandler != nil { plan.windowHandler = handler }
    self.plan = plan
    // Where it shows to a lane that it is held, none is: one that shares its shard, or filters, makes a batch of what it
    // has found so far, and one may end its window. Where records are parked nothing is given up.
    let mayHold =
      options.isAtOnce && plan.parallelizationFactor == 1 && plan.makeSelection == nil
      && plan.policy.tumblingWindowMilliseconds == 0 && plan.policy.parking == nil
    log = RecordingLog(
      holdingByteLimit: mayHold ? options.holdingByteLimit : nil, deliveriesAtOnce: options.concurrency)
  }

  /// How far the recording was read.
  public var status: RecordingStatus {
    switch source {
    case .paced(let reading): reading.status
    case .atOnce(let feed): feed.status
    }
  }
  /// The most bytes of records that waited in memory.
  public var greatestWaitingByteCount: Int { log.greatestByteCount }
  /// What the virtual wall clock shows; `nil` before the first record.
  public var wall: WallTime? { poller?.wall }
  /// Virtual time since the first record.
  public var elapsedMilliseconds: Int64 {
    poller.map { $0.wall.milliseconds - $0.beginning.milliseconds } ?? 0
  }
  /// Lanes that have not come to their end.
  public var unsettled: [LanePlace] { poller?.unsettled ?? [] }

  /// Runs to the end. `progress` is called from time to time.
  public func run(progress: @escaping () -> Void) async throws {
    do {
      try await runToEnd(progress)
    } catch {
      await poller?.stop()
      throw error
    }
    await poller?.stop()
  }

  private func runToEnd(_ progress: @escaping () -> Void) async throws {
    switch source {
    case .paced(let reading) where options.pace != nil: try await follow(reading, progress)
    case .paced(let reading): try await run(reading, progress)
    case .atOnce(let feed): try await run(feed, progress)
    }
    guard let poller else { return }
    for shard in positions.keys.sorted() { poller.changed(shard) }
    try await settle(poller, from: poller.wall, progress)
  }

  private func run(_ reading: PacedReading, _ progress: () -> Void) async throws {
    while try next(of: reading) {
      let arrival = reading.arrival
      let poller = start(at: arrival)
      await poller.run(until: arrival.adding(milliseconds: -1))
      poller.setClock(to: arrival)
      // In one go what came in one moment: commits are what makes a lane look.
      var changed: Set<ShardNumber> = []
      repeat {
        changed.insert(reading.shard)
        take(reading)
      } while try next(of: reading) && reading.arrival <= arrival
      for shard in changed.sorted() { poller.changed(shard) }
      await poller.run(until: arrival)
      progress()
      try look()
    }
  }

  /// Waits for the moment of each record.
  private func follow(_ reading: PacedReading, _ progress: () -> Void) async throws {
    while try next(of: reading) {
      if poller == nil { await options.prepare?(waiting.count * plan.parallelizationFactor) }
      let poller = start(at: reading.arrival)
      while await poller.goOn(until: reading.arrival) {
        progress()
        try lookAtTelling()
      }
      try await makeRoom(poller, progress)
      var changed: Set<ShardNumber> = []
      repeat {
        changed.insert(reading.shard)
        take(reading)
      } while try log.byteCount <= options.byteLimit && next(of: reading) && reading.arrival <= poller.wall
      for shard in changed.sorted() { poller.changed(shard) }
      progress()
    }
  }

  /// Waits until the lanes have passed some of what waits in memory. They may take as long as at the end.
  private func makeRoom(_ poller: ReplayPoller, _ progress: () -> Void) async throws {
    let end = poller.wall.adding(milliseconds: options.settlingMilliseconds)
    while log.byteCount > options.byteLimit {
      guard plan.policy.parking == nil, poller.isExpecting, await poller.goOn(until: end) else { return try look() }
      progress()
      try lookAtTelling()
    }
  }

  private func run(_ feed: RecordingFeed, _ progress: () -> Void) async throws {
    log.bringMore = { [unowned self] in bring(from: feed) }
    log.reuse = { feed.reuse($0) }
    while bring(from: feed) {
      if let poller { try await settle(poller, from: poller.wall, progress) }
      try look()
    }
    try look()
  }

  private func lookAtTelling() throws { if let telling { throw telling } }

  private func look() throws {
    try lookAtTelling()
    if let problem { throw ReplayError.recording(problem) }
    guard log.byteCount <= options.byteLimit else {
      throw ReplayError.tooMuchWaits(bytes: log.byteCount)
    }
  }

  /// Lets time pass until every lane has come to its end, or for so long.
  private func settle(_ poller: ReplayPoller, from moment: WallTime, _ progress: () -> Void)
    async throws
  {
    let end = moment.adding(milliseconds: options.settlingMilliseconds)
    await poller.work()
    // Timers of what is over need not be waited for.
    while log.isHolding || poller.isUnsettled, options.pace == nil || poller.isExpecting,
      await poller.goOn(until: end)
    {
      await poller.work()
      try lookOn()
      progress()
    }
    try lookOn()
  }

  /// With a pace nobody reads while more waits than may.
  private func lookOn() throws {
    if options.pace == nil { try look() } else { try lookAtTelling() }
  }

  // MARK: The recording

  /// Comes to the next record of the part that is replayed. `false` at the end.
  private func next(of reading: PacedReading) throws -> Bool {
    do throws(RecordingError) {
      while let line = try reading.next() {
        switch line {
        case .shardOpened(let shard): opened(shard)
        case .shardClosed(let closing): closed(closing)
        case .record(let first):
          if let first { nextOfShard[reading.shard] = first } else { return true }
        }
      }
      return false
    } catch {
      throw ReplayError.recording(error)
    }
  }

  private func take(_ reading: PacedReading) {
    reading.take(into: log)
    if let number = reading.importedSequenceNumber { note(number, of: reading.index, in: reading.shard) }
    recordCount += 1
  }

  private func note(_ number: String, of index: RecordIndex, in shard: ShardNumber) {
    // The changes of a table have theirs in their data.
    if header.kind == .kinesis { importedNumbers.add(number, of: index, in: shard) }
  }

  /// Brings some more, where everything is there from the beginning.
  private func bring(from feed: RecordingFeed) -> Bool {
    do throws(RecordingError) {
      guard let piece = try feed.next() else { return false }
      switch piece {
      case .beginning(let moment, let firsts):
        nextOfShard.merge(firsts) { $1 }
        _ = start(at: moment)
      case .records(let records, let numbers):
        log.append(records)
        for number in numbers { note(number.text, of: number.index, in: records.shard) }
        recordCount += UInt64(records.count)
      case .shardOpened(let shard): opened(shard)
      case .shardClosed(let closing): closed(closing)
      }
      return true
    } catch {
      problem = error
      return false
    }
  }

  private func opened(_ shard: RecordedShard) {
    if header.imported == nil, header.kind == .kinesis { shardTimes[shard.shard] = shard.createdAtSeconds }
    nextOfShard[shard.shard] = shard.first
    if let poller { open(shard, poller) } else { waiting.append(shard) }
  }

  private func closed(_ closing: RecordedClosing) {
    guard nextOfShard[closing.shard] != nil else { return }
    if let poller { close(closing, poller) } else { closings.append(closing) }
  }

  // MARK: Lanes

  private func start(at moment: WallTime) -> ReplayPoller {
    if let poller { return poller }
    var settings = ReplaySettings(
      beginning: moment, timeoutMilliseconds: options.timeoutMilliseconds)
    settings.seed = options.seed
    settings.deliveryMilliseconds = options.deliveryMilliseconds
    settings.concurrency = options.concurrency
    settings.pace = options.pace
    let stream = StreamInfo(
      number: StreamNumber(1), name: header.stream, kind: header.kind,
      createdAt: header.streamCreatedAt)
    let poller = ReplayPoller(plan, of: stream, reading: log, settings, logger: logger) {
      [unowned self] in hear($0)
    }
    if options.isAtOnce { poller.haveMore = { [log] in log.letOn() } }
    self.poller = poller
    for shard in waiting { open(shard, poller) }
    for closing in closings { close(closing, poller) }
    return poller
  }

  private func open(_ shard: RecordedShard, _ poller: ReplayPoller) {
    let first = nextOfShard[shard.shard] ?? shard.first
    log.open(shard.shard)
    positions[shard.shard] = Array(repeating: first, count: plan.parallelizationFactor)
    poller.open(
      ShardInfo(
        address: ShardAddress(stream: StreamNumber(1), shard: shard.shard),
        hashKeys: shard.hashKeys,
        parents: shard.parents, createdAtSeconds: shard.createdAtSeconds,
        createdAt: shard.createdAt,
        firstAvailable: first))
  }

  private func close(_ closing: RecordedClosing, _ poller: ReplayPoller) {
    log.close(closing.shard, end: closing.end)
    poller.changed(closing.shard)
  }

  private func hear(_ event: ReplayEvent) {
    guard telling == nil else { return }
    do {
      switch event {
      case .delivered(let delivery):
        let extent = delivery.delivery.extent
        if delivery.delivery.attempt == 1, !extent.isEmpty {
          lagMilliseconds = extent.lastArrival.age(at: delivery.begunAt)
          greatestLagMilliseconds = max(greatestLagMilliseconds, lagMilliseconds)
        }
        try tell(
          event, handler.takeNote(delivery.place.shard.shard, extent.isEmpty ? nil : extent.first))
      case .left, .lost:
        try tell(event, nil)
      case .progressed(let next, of: let place):
        guard plan.policy.parking == nil else { return }
        positions[place.shard.shard]?[place.slot] = next
        if let least = positions[place.shard.shard]?.min() {
          log.pass(place.shard.shard, before: least)
          importedNumbers.pass(place.shard.shard, before: least)
        }
      }
    } catch {
      telling = error
    }
  }
}
