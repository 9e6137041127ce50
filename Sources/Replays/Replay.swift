public import Logging
public import Recordings
import ShardCore
public import StreamModel
public import StreamRuntime
import StreamStore

/// Which part of a recording is replayed, and how.
public struct ReplayOptions: Hashable, Sendable {
  /// Records that arrived at this moment or later, and before the other.
  public var from: WallTime?
  public var to: WallTime?
  /// `nil`: all.
  public var shards: Set<ShardNumber>?
  public var seed: UInt64 = 1
  /// Everything is there from the beginning, instead of coming when it came.
  public var isAtOnce = false
  /// How long a delivery takes in virtual time, in milliseconds.
  public var deliveryMilliseconds: Int64 = 0
  /// How long the handler may really take.
  public var timeoutMilliseconds: Int64
  public var concurrency = 1
  /// How long lanes may go on behind the last record, in virtual milliseconds: what still fails then is not settled.
  public var settlingMilliseconds: Int64 = 86_400_000
  /// With ``isAtOnce``: so many bytes of records may wait for some lanes before others, which want more, are held; and
  /// a piece for each shard. What fits into the processor's cache is fast.
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
  private var reader: RecordingReader
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
  /// The line that was read and whose time has not come.
  private var pending: RecordingLine?
  /// Shards of the part that is replayed, until the first record of it: where their lanes will begin.
  private var waiting: [RecordedShard] = []
  private var nextOfShard: [ShardNumber: RecordIndex] = [:]
  private var closings: [RecordedClosing] = []
  private var problem: RecordingError?
  /// By shard: where each of its lanes stands.
  private var positions: [ShardNumber: [RecordIndex]] = [:]
  /// Records of the part that is replayed, as far as they were read.
  public private(set) var recordCount: UInt64 = 0

  public init(
    _ reader: consuming RecordingReader, through plan: MappingPlan, _ options: ReplayOptions,
    logger: Logger,
    tell: @escaping (ReplayEvent, InvocationNote?) throws -> Void
  ) {
    self.reader = reader
    self.options = options
    self.logger = logger
    self.tell = tell
    handler = WatchedHandler(plan.handler, importedNumbers)
    var plan = plan
    plan.handler = handler
    if plan.windowHandler != nil { plan.windowHandler = handler }
    self.plan = plan
    // Where it shows to a lane that it is held, none is: one that shares its shard, or filters, makes a batch of what it
    // has found so far, and one may end its window. Where records are parked nothing is given up.
    let mayHold =
      options.isAtOnce && plan.parallelizationFactor == 1 && plan.makeSelection == nil
      && plan.policy.tumblingWindowMilliseconds == 0 && plan.policy.parking == nil
    log = RecordingLog(holdingByteLimit: mayHold ? options.holdingByteLimit : nil)
  }

  public var header: RecordingHeader { reader.header }
  public var ending: RecordingEnding? { reader.ending }
  public var skipped: [RecordingProblem] { reader.skipped }
  /// The most bytes of records that waited in memory.
  public var greatestWaitingByteCount: Int { log.greatestByteCount }
  /// What the virtual wall clock shows; `nil` before the first record.
  public var wall: WallTime? { poller?.wall }
  /// The bytes of the recording that were read.
  public var byteCount: UInt64 { reader.byteCount }
  /// Virtual time since the first record.
  public var elapsedMilliseconds: Int64 {
    poller.map { $0.wall.milliseconds - $0.beginning.milliseconds } ?? 0
  }
  /// Lanes that have not come to their end.
  public var unsettled: [LanePlace] { poller?.unsettled ?? [] }

  /// Runs to the end. `progress` is called from time to time.
  public func run(progress: @escaping () -> Void) async throws {
    if options.isAtOnce { log.bringMore = { [unowned self] in bring() } }
    while try next() {
      let arrival = reader.arrival
      let poller = start(at: arrival)
      if options.isAtOnce {
        takeRecord()
        try await settle(poller, from: poller.wall, progress)
      } else {
        await poller.run(until: arrival.adding(milliseconds: -1))
        poller.setClock(to: arrival)
        // In one go what came in one moment: commits are what makes a lane look.
        var changed: Set<ShardNumber> = []
        repeat {
          changed.insert(reader.shard)
          takeRecord()
        } while try next() && reader.arrival <= arrival
        for shard in changed.sorted() { poller.changed(shard) }
        await poller.run(until: arrival)
        progress()
      }
      try look()
    }
    guard let poller else { return }
    for shard in positions.keys.sorted() { poller.changed(shard) }
    try await settle(poller, from: poller.wall, progress)
  }

  private func look() throws {
    if let telling { throw telling }
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
    while log.isHolding || !poller.unsettled.isEmpty, await poller.goOn(until: end) {
      await poller.work()
      try look()
      progress()
    }
    try look()
  }

  // MARK: The recording

  /// Comes to the next record of the part that is replayed. `false` at the end.
  private func next() throws -> Bool {
    do throws(RecordingError) {
      return try nextRecord()
    } catch {
      throw ReplayError.recording(error)
    }
  }

  private func nextRecord() throws(RecordingError) -> Bool {
    while let line = try nextLine() {
      switch line {
      case .shardOpened(let shard):
        guard options.shards?.contains(shard.shard) ?? true else { continue }
        nextOfShard[shard.shard] = shard.first
        if let poller { open(shard, poller) } else { waiting.append(shard) }
      case .shardClosed(let closing):
        guard nextOfShard[closing.shard] != nil else { continue }
        if let poller { close(closing, poller) } else { closings.append(closing) }
      // What became of them once is for who compares.
      case .missing, .outcome, .checkpoint: continue
      case .record:
        guard nextOfShard[reader.shard] != nil else { continue }
        if let to = options.to, reader.arrival >= to { continue }
        if let from = options.from, reader.arrival < from {
          nextOfShard[reader.shard] = reader.index.advanced(by: 1)
          continue
        }
        pending = .record
        return true
      }
    }
    return false
  }

  private func nextLine() throws(RecordingError) -> RecordingLine? {
    defer { pending = nil }
    if let pending { return pending }
    return try reader.next()
  }

  private func takeRecord() {
    log.append(from: reader)
    // The changes of a table have theirs in their data.
    if let number = reader.importedSequenceNumber, reader.header.kind == .kinesis {
      importedNumbers.add(number, of: reader.index, in: reader.shard)
    }
    recordCount += 1
    pending = nil
  }

  /// Brings some more records, where everything is there from the beginning.
  private func bring() -> Bool {
    do throws(RecordingError) {
      guard try nextRecord() else { return false }
      guard reader.header.imported == nil else {
        takeRecord()
        return true
      }
      pending = try log.appendMany(from: &reader, before: options.to ?? .distantFuture, counting: &recordCount)
      return true
    } catch {
      problem = error
      return false
    }
  }

  // MARK: Lanes

  private func start(at moment: WallTime) -> ReplayPoller {
    if let poller { return poller }
    var settings = ReplaySettings(
      beginning: moment, timeoutMilliseconds: options.timeoutMilliseconds)
    settings.seed = options.seed
    settings.deliveryMilliseconds = options.deliveryMilliseconds
    settings.concurrency = options.concurrency
    let header = reader.header
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
