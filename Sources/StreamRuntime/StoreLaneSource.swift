import Logging
import ShardCore
import StreamModel
import StreamStore

/// The store as the source of one mapping's lanes.
struct StoreLaneSource: LaneSource {
  let store: StreamStore
  let mapping: MappingInfo
  let stream: StreamInfo
  let reader: LaneReader
  /// Which records are taken; `nil`: all are.
  let makeSelection: (@Sendable () -> any RecordSelecting)?
  /// Whether stored progress may wait a moment for others.
  let progressIsPatient: Bool
  /// Whether failure entries have a destination besides the store.
  var entriesAreDelivered = false
  /// Says when an entry was made and when its redrive ended.
  let clock: @Sendable () -> Now
  let logger: Logger

  // MARK: - Reading

  func read(_ shard: ShardAddress, _ request: ReadRequest, into buffer: inout LaneBuffer) -> ReadAnswer {
    reader.read(shard, request, into: &buffer)
  }

  func records(ofFailureEntry entry: UInt64) throws -> RecordRun? {
    try store.failure(entry)?.records
  }

  // MARK: - Storing

  var tables: any TableReading { StoreTables(store: store, mapping: mapping.number) }

  func store(
    _ progress: LaneProgress, history: AttemptHistory, parked: [PartitionKeyHash: AttemptHistory],
    effects: LaneEffects, of lane: LanePlace,
    stored: @escaping @Sendable (Bool) -> Void
  ) {
    var update = StoredLane(progress: progress, history: history, sharing: lane.sharing)
      .update(of: mapping.number, lane.shard, slot: lane.slot)
    update.parked = progress.parked.map { ParkedUpdate($0, history: parked[$0.key] ?? AttemptHistory()) }
    update.parkedRecords = progress.parkedRecords
    let command = effects.isEmpty ? StoreCommand.storeLanes([update]) : .storeLane(update, effects)
    store.submit(command, isPatient: progressIsPatient) { result in
      switch result {
      case .success: stored(true)
      case .failure(let error):
        logger.error("progress was refused", metadata: ["shard": "\(lane.description)", "error": "\(error)"])
        stored(false)
      }
    }
  }

  func store(
    _ failure: FailureOrder, history: AttemptHistory, events: [RecordEvent], done: [RecordIndex], of lane: LanePlace,
    stored: @escaping @Sendable (UInt64?) -> Void
  ) {
    let entry: NewFailure
    do {
      entry = try makeEntry(failure, history, events, done, lane)
    } catch {
      logger.error(
        "the records of a failure entry could not be read",
        metadata: ["shard": "\(lane.description)", "error": "\(error)"])
      stored(nil)
      return
    }
    store.submit(.storeFailure(entry)) { result in
      switch result {
      case .success(.number(let number)): stored(number)
      case .success: preconditionFailure("storing a failure answers with its number")
      case .failure(let error):
        logger.error("a failure entry was refused", metadata: ["shard": "\(lane.description)", "error": "\(error)"])
        stored(nil)
      }
    }
  }

  /// The entry with its records, read once more: the lane keeps none while it waits.
  private func makeEntry(
    _ failure: FailureOrder, _ history: AttemptHistory, _ events: [RecordEvent], _ done: [RecordIndex],
    _ lane: LanePlace
  ) throws(StoreError) -> NewFailure {
    let info = try store.shard(lane.shard)
    let extent = failure.extent
    var summary = FailureSummary(
      mapping: mapping.number, mappingName: mapping.name, streamName: stream.name, address: lane.shard,
      shardCreatedAtSeconds: info.createdAtSeconds, firstIndex: extent.first, lastIndex: extent.last,
      count: extent.count, firstArrival: extent.firstArrival, lastArrival: extent.lastArrival,
      condition: failure.condition, attempts: failure.attempts, history: history.attempts, createdAt: clock().wall)
    summary.attemptsOmitted = history.omitted
    summary.events = events
    if entriesAreDelivered { summary.delivery = .pending(since: summary.createdAt) }
    summary.window = failure.window.map {
      FailedWindow(
        bounds: $0.bounds, isFinal: extent.isEmpty, isTerminatedEarly: $0.isTerminatedEarly, state: $0.state.bytes)
    }
    if extent.isEmpty { return NewFailure(finalDelivery: summary) }
    let found = try records(of: failure, done, lane, info)
    guard let found, found.range.count == extent.count, found.run.index(at: found.range.lowerBound) == extent.first
    else { throw .failed("retention removed records of the batch while it was given up") }
    return NewFailure(summary: summary, run: found.run, range: found.range)
  }

  private func records(
    of failure: FailureOrder, _ done: [RecordIndex], _ lane: LanePlace, _ info: ShardInfo
  ) throws(StoreError) -> (run: RecordRun, range: Range<Int>)? {
    let shard = lane.shard
    let extent = failure.extent
    if !failure.ranges.isEmpty {
      var buffer = LaneBuffer()
      let request = ReadRequest(
        from: extent.first, countLimit: extent.count, payloadByteLimit: .max, expiredBefore: nil, purpose: .deliver,
        ranges: failure.ranges, isFrozen: true)
      _ = reader.readParked(shard, request, into: &buffer)
      return buffer.run.map { ($0, buffer.range) }
    }
    var chosen = lane.selection(makeSelection)
    if !done.isEmpty { chosen = PassingSelection(own: chosen, passed: Set(done)) }
    if let keys = failure.parkedKeys { chosen = ParkedSelection(own: chosen, keys: keys) }
    if var selection = chosen {
      var buffer = LaneBuffer()
      buffer.origin = BatchOrigin(
        stream: stream.name, kind: stream.kind, streamCreatedAt: stream.createdAt, shard: shard.shard,
        shardCreatedAtSeconds: info.createdAtSeconds, attempt: 0)
      let request = ReadRequest(
        from: extent.first, through: extent.last, countLimit: extent.count, payloadByteLimit: .max, expiredBefore: nil,
        purpose: .deliver)
      _ = reader.readSelected(shard, request, selecting: &selection, into: &buffer, scanByteLimit: .max)
      return buffer.run.map { ($0, buffer.range) }
    }
    let read = try store.read(
      shard, from: extent.first, countLimit: extent.count, payloadByteLimit: .max, recordOverheadBytes: 0,
      readAheadBytes: 0)
    guard case .records(let found) = read else { return nil }
    return (found.run, 0..<found.batch.count)
  }

  func settleRedrive(of entry: UInt64, _ outcome: RedriveSettling) {
    switch outcome {
    case .succeeded: store.submit(.deleteFailure(entry)) { result in log(result, entry) }
    case .failed(let failure): note(failure, of: entry)
    case .notDelivered:
      logger.info("a redrive was put off: the entry stays", metadata: ["entry": "\(entry)"])
      change(entry) { summary in
        summary.lastRedrive = RedriveOutcome(
          endedAt: clock().wall, succeeded: false, message: "put off: the entry was not delivered")
      }
    }
  }

  private func note(_ failure: AttemptRecord, of entry: UInt64) {
    change(entry) { summary in
      summary.redrives += 1
      summary.lastRedrive = RedriveOutcome(
        endedAt: clock().wall, succeeded: false, message: "\(failure.type): \(failure.message)")
      var failure = failure
      failure.redriver = summary.events.last { $0.kind == .redriven }?.actor ?? ""
      var history = AttemptHistory(attempts: summary.history, omitted: summary.attemptsOmitted)
      history.append(failure)
      summary.history = history.attempts
      summary.attemptsOmitted = history.omitted
    }
  }

  private func change(_ entry: UInt64, _ body: (inout FailureSummary) -> Void) {
    do {
      guard var summary = try store.failure(entry)?.summary else { return }
      body(&summary)
      store.submit(.updateFailure(summary)) { result in log(result, entry) }
    } catch {
      logger.error("a redriven entry could not be read", metadata: ["entry": "\(entry)", "error": "\(error)"])
    }
  }

  /// An entry that could not be settled stays on the list and may be delivered once more: at least once holds.
  private func log(_ result: Result<CommandAnswer, StoreError>, _ entry: UInt64) {
    if case .failure(let error) = result {
      logger.error("a redriven entry could not be settled", metadata: ["entry": "\(entry)", "error": "\(error)"])
    }
  }
}
