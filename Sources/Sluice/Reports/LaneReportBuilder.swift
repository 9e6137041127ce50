import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// Puts together what is known of one lane: from the store, and from the poller if one runs here.
struct LaneReportBuilder {
  let store: StreamStore
  let now: Now
  /// Where the mapping's failure entries go from the store, if that is known and they do.
  var destination: String?
  /// Whether to plan ahead for failing batches.
  var looksAhead = false
  /// Those that have not come there.
  var deliveries = DeliveryCounts()
  /// Of the mapping whose lanes are reported.
  var mappingState = MappingState.enabled

  /// The lanes of a shard: those that run, or, without `looks`, those that the store knows.
  func reports(
    mapping: MappingInfo, stream: StreamInfo, shard: ShardInfo, looks: [LaneLook]?
  ) throws -> [LaneReport] {
    let lanes = try lanes(mapping, shard, looks)
    return try lanes.enumerated().map { slot, lane in
      var report = try report(mapping: mapping, stream: stream, shard: shard, stored: lane.stored, look: lane.look)
      report.laneCount = lanes.count
      report.lane = lanes.count > 1 ? slot : nil
      let key = LaneKey(mapping: mapping.number, address: shard.address, slot: UInt8(slot))
      let parked = try parkedKeys(lane.look, lane.stored, key, in: shard)
      report.parkedKeys = parked.keys
      report.parkedKeyCount = parked.keyCount
      report.parkedRecords = parked.recordCount
      report.commands = LaneSummary.commands(for: report)
      if deliveries.undeliverable > 0 {
        report.commands.append(
          SuggestedCommand(
            command: "sluice failures redeliver --mapping \(mapping.name) --yes",
            effect: "try again to deliver what could not be delivered"))
      }
      return report
    }
  }

  /// The lanes of a shard, by slot.
  func lanes(
    _ mapping: MappingInfo, _ shard: ShardInfo, _ looks: [LaneLook]?
  ) throws -> [(stored: StoredLane, look: LaneLook?)] {
    try looks?.map { (StoredLane(progress: $0.progress, history: $0.history, sharing: $0.place.sharing), $0) }
      ?? storedLanes(mapping, shard).map { ($0, nil) }
  }

  private func report(
    mapping: MappingInfo, stream: StreamInfo, shard: ShardInfo, stored: StoredLane, look: LaneLook?
  ) throws -> LaneReport {
    let settings = look == nil ? MappingSettings(decoding: mapping.settings) : nil
    let policy = look?.policy ?? settings?.policy ?? LanePolicy()
    let progress = stored.progress
    let failing = progress.failing
    let bounds = try store.shardBounds(shard.address)
    let extent = (look?.snapshot.batch ?? failing?.extent).flatMap { $0.isEmpty ? nil : $0 }
    let next = max(progress.next, bounds.firstAvailable)
    let backlog = next < bounds.end ? next.distance(to: bounds.end) : 0
    let behindBatch = extent.map { max($0.end, next) } ?? next
    let waiting = behindBatch < bounds.end ? behindBatch.distance(to: bounds.end) : 0
    let oldest = backlog > 0 ? try store.arrival(of: next, in: shard.address) : nil
    let state = state(look, progress)
    var report = LaneReport(
      mapping: mapping.name, stream: stream.name, shard: "\(shard.address.shard)", lane: nil, laneCount: 1,
      state: state,
      since: failing?.firstFailedAt.milliseconds ?? look.map { wall($0.snapshot.since) }, summary: "",
      checkpoint: backlog > 0 ? shard.sequenceNumber(of: next).description : nil,
      batch: try extent.map { try batch($0, of: shard) },
      attempts: stored.history.attempts.map { AttemptReport($0, in: ShardNumbers(shard)) },
      attemptsOmitted: stored.history.omitted, attemptsMade: failing?.attempts ?? 0,
      attemptsLeft: policy.maximumRetryAttempts.map { max(0, $0 + 1 - (failing?.attempts ?? 0)) },
      nextAttemptAt: nextAttempt(look, failing), expiresAt: nil,
      expiresTo: destination ?? "the failures (sluice failures list)",
      waitingRecords: waiting, backlogRecords: backlog,
      iteratorAgeMilliseconds: oldest?.age(at: now.wall) ?? 0,
      oldestWaitingArrival: waiting > 0
        ? try store.arrival(of: behindBatch, in: shard.address)?.milliseconds : nil,
      firstLossAt: oldest?.adding(milliseconds: stream.retentionMilliseconds).milliseconds,
      lostToRetention: progress.lostToRetention, lostToDamage: progress.lostToDamage,
      damage: try damage(look, next: next, in: shard), pendingDeliveries: deliveries.pending,
      undeliverableEntries: deliveries.undeliverable,
      window: try progress.window.map { window in
        let begin = try store.index(for: .atTimestamp(window.bounds.start), in: shard.address)
        return WindowReport(window, records: begin < next ? begin.distance(to: next) : 0, failing: failing)
      }, waitingFor: [], outlook: nil, commands: [])
    report.pieces = failing == nil ? Array(progress.pieces.dropFirst()) : progress.pieces
    if let failing, let age = policy.maximumRecordAgeMilliseconds {
      report.expiresAt = failing.extent.lastArrival.adding(milliseconds: age).milliseconds
    }
    if looksAhead, let failing, state == .retrying || state == .notRunning {
      report.outlook = LaneOutlook(
        failing, policy: policy, history: stored.history,
        ruleNames: look?.ruleNames ?? settings?.retryRules.map(\.name) ?? [], now: now.wall)
    }
    report.mappingState = mappingState
    report.waitingFor = state == .waitingForParents ? shard.parents.map(\.description) : []
    report.summary = LaneSummary.sentence(for: report, look: look)
    return report
  }

  private func damage(_ look: LaneLook?, next: RecordIndex, in shard: ShardInfo) throws -> DamageReport? {
    guard case .stopped(let stoppedAt) = look?.snapshot.state,
      let block = try store.damagedBlock(holding: max(next, stoppedAt), in: shard.address)
    else { return nil }
    return DamageReport(
      block: block.firstIndex.rawValue, firstSequenceNumber: shard.sequenceNumber(of: block.firstIndex).description,
      lastSequenceNumber: shard.sequenceNumber(of: RecordIndex(block.endIndex.rawValue - 1)).description,
      records: max(next, block.firstIndex).distance(to: block.endIndex), isAtMost: !block.isEndExact)
  }

  private func storedLanes(_ mapping: MappingInfo, _ shard: ShardInfo) throws -> [StoredLane] {
    let rows = try store.lanes(of: mapping.number, on: shard.address)
    return try StoredShare(rows, of: shard)?.lanes
      ?? [StoredLane(progress: LaneProgress(next: shard.firstAvailable), history: AttemptHistory())]
  }

  private func state(_ look: LaneLook?, _ progress: LaneProgress) -> LaneState {
    guard let look else {
      if progress.isFinished { return .finished }
      return progress.isPaused ? .paused : .notRunning
    }
    return switch look.snapshot.state {
    case .waitingForParents: .waitingForParents
    case .idle: .idle
    case .windowing: .filling
    case .waitingForTurn, .reading: progress.failing == nil ? .delivering : .retrying
    case .delivering, .cancelling: progress.failing == nil ? .delivering : .retrying
    case .backingOff: .retrying
    case .storingFailure, .failureRefused: .storingFailure
    case .holdingForKeys: .retrying
    case .holdingForStore, .storeUnavailable: .stopped
    case .paused: .paused
    case .stopped: .stopped
    case .finished: .finished
    case .resting: .notRunning
    }
  }

  private func nextAttempt(_ look: LaneLook?, _ failing: FailingBatch?) -> Int64? {
    guard let failing else { return nil }
    guard let look else { return failing.retryAt.milliseconds }
    guard look.snapshot.delivery == nil else { return nil }
    return look.snapshot.retryDue.map { wall($0) }
  }

  /// A moment of the monotonic clock as wall time, by the distance of both from now.
  func wall(_ moment: MonotonicTime) -> Int64 {
    now.wall.milliseconds + (moment.nanoseconds - now.monotonic.nanoseconds) / 1_000_000
  }

  func batch(_ extent: BatchExtent, of shard: ShardInfo) throws -> BatchReport {
    var report = BatchReport(
      firstSequenceNumber: shard.sequenceNumber(of: extent.first).description,
      lastSequenceNumber: shard.sequenceNumber(of: extent.last).description, records: extent.count,
      partitionKey: nil, firstArrival: extent.firstArrival.milliseconds, lastArrival: extent.lastArrival.milliseconds,
      preview: nil)
    if let found = try firstRecord(of: extent, in: shard.address) {
      let origin = BatchOrigin(
        stream: "", shard: shard.address.shard, shardCreatedAtSeconds: shard.createdAtSeconds, attempt: 1)
      let batch = RecordBatch(origin: origin, run: found.run, range: 0..<1)
      report.partitionKey = batch[0].partitionKey
      report.preview = LaneSummary.preview(of: batch[0].dataBytes)
    }
    return report
  }

  /// `nil` if retention has removed it or its block is damaged.
  private func firstRecord(of extent: BatchExtent, in address: ShardAddress) throws -> RecordsRead? {
    do throws(StoreError) {
      let read = try store.read(
        address, from: extent.first, countLimit: 1, payloadByteLimit: .max, recordOverheadBytes: 0, readAheadBytes: 0)
      guard case .records(let found) = read, found.run.firstIndex == extent.first else { return nil }
      return found
    } catch {
      guard case .corruptedBlock = error else { throw error }
      return nil
    }
  }
}
