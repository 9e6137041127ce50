import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// The story of one record.
extension StoreOperator {
  func record(_ text: String, of name: String) throws -> RecordReport {
    let mapping = try mapping(named: name)
    guard let stream = try stream(of: mapping) else {
      throw OperatorRefusal(.badInput, "The stream of mapping \(name) was deleted.")
    }
    guard let number = SequenceNumber(text) else {
      throw OperatorRefusal(.badInput, "--record is \(text): that is not a sequence number.")
    }
    guard let shard = try store.catalog().shard(ShardAddress(stream: stream.number, shard: number.shard)),
      shard.sequenceNumber(of: number.index) == number
    else {
      throw OperatorRefusal(.badInput, "--record is \(text): stream \(stream.name) has no such shard.")
    }
    let bounds = try store.shardBounds(shard.address)
    guard number.index < bounds.end else {
      throw OperatorRefusal(.badInput, "--record is \(text): \(shard.address.shard) has not come to it yet.")
    }
    var report = RecordReport(
      mapping: name, stream: stream.name, shard: number.shard, sequenceNumber: number)
    var hash: UInt64?
    if let run = try readable(number.index, in: shard.address) {
      hash = report.describe(run, at: 0, shard)
    }
    try addEntries(to: &report, number.index, mapping, shard, &hash)
    try addStory(to: &report, number.index, mapping, shard, hash: hash, bounds)
    return report
  }

  /// A run that begins with the record; `nil` if it is gone or damaged.
  private func readable(_ index: RecordIndex, in address: ShardAddress) throws -> RecordRun? {
    do throws(StoreError) {
      let read = try store.read(
        address, from: index, countLimit: 1, payloadByteLimit: .max, recordOverheadBytes: 0, readAheadBytes: 0)
      guard case .records(let found) = read, found.run.firstIndex == index else { return nil }
      return found.run
    } catch {
      guard case .corruptedBlock = error else { throw error }
      return nil
    }
  }

  /// What the failure entries tell that hold the record.
  private func addEntries(
    to report: inout RecordReport, _ index: RecordIndex, _ mapping: MappingInfo, _ shard: ShardInfo,
    _ hash: inout UInt64?
  ) throws {
    let retentions = FailureRetentions(try store.catalog())
    for summary in try store.failures(limit: .max)
    where summary.mapping == mapping.number && summary.address == shard.address && summary.count > 0
      && summary.firstIndex <= index && index <= summary.lastIndex
    {
      guard let entry = try store.failure(summary.number) else { continue }
      let place = entry.records.position(atOrAfter: index)
      guard place < entry.records.count, entry.records.index(at: place) == index else { continue }
      if report.partitionKey == nil { hash = report.describe(entry.records, at: place, shard) }
      report.entries.append(summary.number)
      if let expiry = retentions.expiry(of: summary.mapping, madeAt: summary.createdAt)?.milliseconds {
        report.entriesExpireAt = min(report.entriesExpireAt ?? expiry, expiry)
      }
      report.situation = .failed
      report.summary =
        "It left the shard as failure entry \(summary.number) (\(summary.condition.name)); it is kept there."
      report.add(summary.history, omitted: summary.attemptsOmitted, at: index, offset: place, shard)
      report.events += summary.events.map(RecordEventReport.init)
    }
  }

  /// Where the record is with its lane, and what the lane tells of it.
  private func addStory(
    to report: inout RecordReport, _ index: RecordIndex, _ mapping: MappingInfo, _ shard: ShardInfo, hash: UInt64?,
    _ bounds: ShardBounds
  ) throws {
    let looks = poller()?.look(at: mapping.name)?[shard.address.shard]
    let builder = LaneReportBuilder(store: store, now: clock())
    let lanes = try builder.lanes(mapping, shard, looks)
    let slot = hash.flatMap { hash in lanes.first?.stored.sharing.slot(of: hash) } ?? 0
    guard lanes.indices.contains(slot) else { return }
    let lane = lanes[slot]
    let progress = lane.stored.progress
    let key = LaneKey(mapping: mapping.number, address: shard.address, slot: UInt8(slot))
    if let hash, index < progress.next,
      let parked = try builder.looks(lane.look, lane.stored, key).first(where: {
        $0.snapshot.key == PartitionKeyHash(hash) && $0.snapshot.first <= index
      })
    {
      report.situation = .parked
      report.summary =
        parked.snapshot.first == index
        ? "Its partition key is parked because it fails; the other keys go on."
        : "Its partition key is parked; it waits behind the first record of the key, which fails."
      report.events.append(RecordEventReport(RecordEvent(.parked, at: parked.snapshot.since)))
      report.add(parked.history.attempts(of: index), omitted: parked.history.omitted, at: index, offset: nil, shard)
      return
    }
    guard index >= progress.next else {
      guard report.entries.isEmpty else { return }
      report.situation = .settled
      report.summary =
        "The checkpoint has passed it, and no failure entry holds it: it was processed, filtered out, or its entry is gone."
      return
    }
    guard index >= bounds.firstAvailable else {
      report.situation = .lost
      report.summary = "Retention removed it before the mapping came to it."
      return
    }
    let history = lane.stored.history
    let isFirst = index == progress.next
    report.add(
      history.attempts(of: index), omitted: history.omitted, at: index, offset: isFirst ? 0 : nil, shard)
    let batch = (lane.look?.snapshot.batch ?? progress.failing?.extent).flatMap { $0.isEmpty ? nil : $0 }
    guard let batch, batch.first <= index, index <= batch.last else {
      report.situation = .waiting
      report.summary =
        report.attempts.isEmpty
        ? "It waits: the mapping has not delivered it yet."
        : "It was in a batch that failed, and waits until what stands before it is settled."
      return
    }
    report.situation = progress.failing == nil ? .delivering : .retrying
    report.summary =
      progress.failing == nil
      ? "It is in the batch that is being delivered."
      : "It is in the batch at the head, which fails; sluice explain \(mapping.name) says what comes next."
  }
}

extension RecordReport {
  /// Fills in what is known of the record itself. Gives the hash of its partition key.
  fileprivate mutating func describe(_ run: RecordRun, at position: Int, _ shard: ShardInfo) -> UInt64 {
    let origin = BatchOrigin(
      stream: stream, shard: shard.address.shard, shardCreatedAtSeconds: shard.createdAtSeconds, attempt: 1)
    let batch = RecordBatch(origin: origin, run: run, range: position..<(position + 1))
    partitionKey = batch[0].partitionKey
    arrival = batch[0].arrival.milliseconds
    preview = LaneSummary.preview(of: batch[0].dataBytes)
    return batch[0].partitionKeyHash
  }

  /// Adds attempts, with the place that this record had in their batches: so many behind the first one of the story.
  fileprivate mutating func add(
    _ attempts: [AttemptRecord], omitted: Int, at index: RecordIndex, offset: Int?, _ shard: ShardInfo
  ) {
    attemptsOmitted += omitted
    for attempt in attempts {
      var attempt = attempt
      if let batch = attempt.batch {
        let counted = offset.flatMap { offset in batch.position.map { $0 + offset } }
        attempt.batch?.position = batch.position(of: index) ?? counted
      }
      self.attempts.append(AttemptReport(attempt, in: ShardNumbers(shard)))
    }
  }
}
