import ShardCore
public import StreamModel
public import StreamRuntime
public import StreamStore

/// Carries out operator requests on an open store, with the poller that runs on it if there is one.
///
/// Actions on lanes need the poller: only it knows what is in flight. Everything that changes something leaves an audit
/// entry.
public struct StoreOperator: Writing {
  let store: StreamStore
  let poller: @Sendable () -> StreamPoller?
  let worker: WorkerReport?
  let transitions: MappingTransitions?
  let clock: @Sendable () -> Now

  /// `worker` is the process that has the store open to work: this one, or another when the store is only looked at.
  public init(
    store: StreamStore, poller: @escaping @Sendable () -> StreamPoller? = { nil }, worker: WorkerReport? = nil,
    transitions: MappingTransitions? = nil, clock: @escaping @Sendable () -> Now = { SystemClock.now() }
  ) {
    self.store = store
    self.poller = poller
    self.worker = worker
    self.transitions = transitions
    self.clock = clock
  }

  public func perform(_ request: OperatorRequest) async -> OperatorAnswer {
    do {
      return try await answer(request)
    } catch let refusal as OperatorRefusal {
      return .refused(refusal)
    } catch let error as StoreError {
      return .refused(OperatorRefusal(error))
    } catch {
      return .refused(OperatorRefusal(.failed, "\(error)"))
    }
  }

  private func answer(_ request: OperatorRequest) async throws -> OperatorAnswer {
    switch request {
    case .status: .status(try status())
    case .explain(let mapping, let shard, let lane): .lanes(try explain(mapping, shard, lane))
    case .act(let action, let mapping, let shard, let lane, let consent):
      .action(try await act(action, mapping: mapping, shard: shard, lane: lane, consent))
    case .listFailures(let query): .failures(try failures(query).map(FailureReport.init))
    case .showFailure(let entry): try showFailure(entry)
    case .redrive(let query, let consent): .action(try await redrive(query, consent))
    case .redeliver(let query, let consent): .action(try await redeliver(query, consent))
    case .purge(let query, let consent): .action(try await purge(query, consent))
    case .listStreams: .streams(try liveStreams().map(streamReport))
    case .describeStream(let name): .streams([try streamReport(try stream(named: name))])
    case .createStream(let name, let shards, let retention, let limit):
      .streams([try await createStream(name, shards, retention, limit)])
    case .deleteStream(let name, let consent): .action(try await deleteStream(name, consent))
    case .splitShard(let stream, let shard, let key): .streams([try await split(stream, shard, at: key)])
    case .mergeShards(let stream, let shard, let other): .streams([try await merge(stream, shard, other)])
    case .audit(let limit): .audit(try store.audit(limit: limit).map { AuditReport($0.1) })
    case .apply:
      throw OperatorRefusal(
        .needsWorker, "No worker runs. It takes the configuration when it starts: sluice run --config FILE.")
    case .deleteMapping(let name, let consent): .action(try await deleteMapping(name, consent))
    }
  }

  // MARK: - Looking

  /// Everything at a glance.
  public func status() throws -> StatusReport {
    let mappings = try store.catalog().mappings.values.sorted { $0.name < $1.name }
    let failures = try store.failureCounts()
    let deliveries = try store.deliveryCounts()
    return StatusReport(
      worker: worker, streams: try liveStreams().map(streamReport),
      mappings: try mappings.compactMap { mapping in
        guard let stream = try stream(of: mapping) else { return nil }
        return try report(
          mapping, stream, failureEntries: failures[mapping.number] ?? 0,
          deliveries: deliveries[mapping.number] ?? DeliveryCounts())
      },
      generatedAt: clock().wall.milliseconds)
  }

  private func report(_ mapping: MappingInfo, _ stream: StreamInfo, failureEntries: Int, deliveries: DeliveryCounts)
    throws -> MappingReport
  {
    let settings = MappingSettings(decoding: mapping.settings)
    let lanes = try lanes(of: mapping, stream)
    let isRunning = poller()?.look(at: mapping.name) != nil
    let isConfigured = settings?.isConfigured ?? true
    var result = poller()?.lastResult(of: mapping.name) ?? settings?.lastResult ?? .none
    // What is stored may be a moment old; that a batch fails is known exactly.
    if !isRunning, result != .functionUnavailable, lanes.contains(where: { $0.attemptsMade > 0 }) {
      result = .functionFailed
    }
    return MappingReport(
      name: mapping.name, stream: stream.name, isRunning: isRunning,
      state: state(of: mapping, settings),
      lastProcessingResult: result.sentence, isConfigured: isConfigured, settings: settings?.parameters ?? [:],
      lanes: lanes, failureEntries: failureEntries, destination: poller()?.destination(of: mapping.name),
      pendingDeliveries: deliveries.pending, undeliverableEntries: deliveries.undeliverable)
  }

  private func state(of mapping: MappingInfo, _ settings: MappingSettings?) -> MappingState {
    if let state = transitions?.state(of: mapping.name) { return state }
    let isEnabled = settings?.parameters[MappingParameter.enabled.rawValue] != "false"
    return isEnabled && settings?.isConfigured ?? true ? .enabled : .disabled
  }

  /// Why the worker is not ready: lanes that have been held up by a failing batch for longer than `limit`.
  public func blockedLanes(longerThan limit: Duration) -> [String] {
    do {
      let (seconds, attoseconds) = limit.components
      let oldest = clock().wall.milliseconds - seconds * 1_000 - attoseconds / 1_000_000_000_000_000
      return try status().mappings.flatMap(\.lanes).compactMap { lane in
        guard lane.state.isBlocked, let first = lane.attempts.first?.startedAt ?? lane.since, first < oldest else {
          return nil
        }
        return "\(lane.subject) is blocked: \(lane.summary)"
      }
    } catch {
      return ["the store cannot be read: \(error)"]
    }
  }

  private func explain(_ name: String, _ shard: String?, _ lane: Int?) throws -> [LaneReport] {
    let mapping = try mapping(named: name)
    guard let stream = try stream(of: mapping) else {
      throw OperatorRefusal(.badInput, "The stream of mapping \(name) was deleted.")
    }
    let all = try choose(try lanes(of: mapping, stream, looksAhead: true), shard, lane, stream)
    let notable = all.filter {
      $0.state.isBlocked || $0.state == .paused || $0.lostToRetention > 0 || $0.parkedKeyCount > 0
        || $0.lostToDamage > 0
    }
    return notable.isEmpty ? all : notable
  }

  /// The lanes of one shard, or one of them; all if neither is named.
  private func choose(
    _ all: [LaneReport], _ shard: String?, _ lane: Int?, _ stream: StreamInfo
  ) throws -> [LaneReport] {
    guard let shard else {
      guard lane == nil else {
        throw OperatorRefusal(.badInput, "--lane needs --shard: each shard has lanes of its own.")
      }
      return all
    }
    let number = try shardNumber(shard)
    let lanes = all.filter { $0.shard == number.description }
    guard !lanes.isEmpty else { throw noShard(number, stream) }
    guard let lane else { return lanes }
    guard lanes.indices.contains(lane) else {
      throw OperatorRefusal(
        .badInput, "--lane is \(lane): the lanes of \(number) are 0 to \(lanes.count - 1).")
    }
    return [lanes[lane]]
  }

  private func lanes(of mapping: MappingInfo, _ stream: StreamInfo, looksAhead: Bool = false) throws -> [LaneReport] {
    let looks = poller()?.look(at: mapping.name)
    var builder = LaneReportBuilder(
      store: store, now: clock(),
      mappingState: state(of: mapping, MappingSettings(decoding: mapping.settings)))
    builder.looksAhead = looksAhead
    builder.destination = poller()?.destination(of: mapping.name)
    builder.deliveries = try store.deliveryCounts()[mapping.number] ?? DeliveryCounts()
    return try store.catalog().shards(of: stream.number).flatMap { shard in
      try builder.reports(mapping: mapping, stream: stream, shard: shard, looks: looks?[shard.address.shard])
    }
  }

  private func showFailure(_ number: UInt64) throws -> OperatorAnswer {
    guard let entry = try store.failure(number) else { throw StoreError.noSuchFailure(number) }
    let origin = BatchOrigin(
      stream: entry.summary.streamName, shard: entry.summary.address.shard,
      shardCreatedAtSeconds: entry.summary.shardCreatedAtSeconds, attempt: 1)
    var records: [FailedRecord] = []
    if entry.records.count > 0 {
      let batch = RecordBatch(origin: origin, run: entry.records, range: 0..<entry.records.count)
      for position in 0..<batch.count { records.append(FailedRecord(batch[position])) }
    }
    return .failure(FailureReport(entry.summary), records: records)
  }

  // MARK: - Acting on lanes

  private func act(
    _ action: LaneAction, mapping name: String, shard: String?, lane: Int?, _ consent: Consent
  ) async throws -> ActionReport {
    let mapping = try mapping(named: name)
    guard let poller = poller(), poller.look(at: name) != nil else { throw needsWorker(mapping: name) }
    guard let stream = try stream(of: mapping) else {
      throw OperatorRefusal(.badInput, "The stream of mapping \(name) was deleted.")
    }
    var lanes = try choose(try lanes(of: mapping, stream), shard, lane, stream)
    if case .skip(let through?) = action {
      lanes = try owners(of: through, among: lanes, isNamed: lane != nil, stream, poller)
    }
    var report = ActionReport(isApplied: consent.isApplied, effects: [], records: 0)
    for lane in lanes {
      guard let number = ShardNumber(lane.shard),
        let order = try LaneOrder(
          action, on: lane, in: store.catalog().shard(.init(stream: stream.number, shard: number)))
      else { continue }
      report.effects.append(order.sentence)
      report.records += order.records
      guard consent.isApplied else { continue }
      try await audit(consent, action.name, lane.subject, order.sentence)
      guard poller.order(order.event, mapping: name, shard: number, slot: lane.lane ?? 0) else {
        throw noShard(number, stream)
      }
    }
    if report.effects.isEmpty { report.effects = ["Nothing to do: no lane is in a state that this applies to."] }
    return report
  }

  /// Of the lanes that share a shard, the one that has the record: a position means nothing to the others.
  private func owners(
    of through: String, among lanes: [LaneReport], isNamed: Bool, _ stream: StreamInfo, _ poller: StreamPoller
  ) throws -> [LaneReport] {
    guard lanes.contains(where: { $0.lane != nil && $0.damage == nil }), let number = SequenceNumber(through) else {
      return lanes
    }
    let address = ShardAddress(stream: stream.number, shard: number.shard)
    guard let run = try record(number.index, in: address) else { return [] }
    let owner = lanes.first.flatMap { lane in
      poller.slot(ofPartitionKey: partitionKeyHash(of: run, address), mapping: lane.mapping, shard: number.shard)
    }
    let owners = lanes.filter { $0.shard == number.shard.description && $0.lane == owner }
    if let owner, owners.isEmpty, isNamed {
      throw OperatorRefusal(
        .badInput, "--through is \(through): that record is of lane \(owner) of \(number.shard).")
    }
    return owners
  }

  /// A run that begins with the record; `nil` if it is not there.
  private func record(_ index: RecordIndex, in address: ShardAddress) throws -> RecordRun? {
    let read = try store.read(
      address, from: index, countLimit: 1, payloadByteLimit: .max, recordOverheadBytes: 0, readAheadBytes: 0)
    guard case .records(let found) = read, found.run.firstIndex == index else { return nil }
    return found.run
  }

  private func partitionKeyHash(of run: RecordRun, _ address: ShardAddress) -> UInt64 {
    let origin = BatchOrigin(stream: "", shard: address.shard, shardCreatedAtSeconds: 0, attempt: 1)
    return RecordBatch(origin: origin, run: run, range: 0..<1)[0].partitionKeyHash
  }

  /// The lane that delivers an entry again: that of its first record. Since the factor may have changed, the keys of its
  /// other records may be of other lanes now.
  private func slot(of entry: FailureSummary, _ poller: StreamPoller?) throws -> Int {
    guard let poller, let records = try store.failure(entry.number)?.records, records.count > 0 else { return 0 }
    return poller.slot(
      ofPartitionKey: partitionKeyHash(of: records, entry.address), mapping: entry.mappingName,
      shard: entry.address.shard) ?? 0
  }

  private func redrive(_ query: FailureQuery, _ consent: Consent) async throws -> ActionReport {
    let entries = try failures(query).sorted {
      ($0.address, $0.firstIndex, $0.number) < ($1.address, $1.firstIndex, $1.number)
    }
    let poller = poller()
    for name in Set(entries.map(\.mappingName)) where poller?.look(at: name) == nil { throw needsWorker(mapping: name) }
    var report = ActionReport(isApplied: consent.isApplied, effects: [], records: 0)
    if let entry = entries.first(where: { $0.window != nil }) {
      throw OperatorRefusal(
        .badInput,
        "Entry \(entry.number) is of a tumbling window that is over: nobody can hand on its state. "
          + "sluice failures show \(entry.number) prints what it holds; put the records again if they must count.")
    }
    for entry in entries {
      let records = "\(entry.count) record\(entry.count == 1 ? "" : "s")"
      report.effects.append(
        "entry \(entry.number): \(records) to \(entry.mappingName) \(entry.address.shard), in order")
      report.records += UInt64(entry.count)
      guard consent.isApplied else { continue }
      try await audit(consent, "redrive", "entry \(entry.number)", "\(entry.mappingName) \(entry.address.shard)")
      let extent = BatchExtent(
        first: entry.firstIndex, last: entry.lastIndex, count: entry.count, firstArrival: entry.firstArrival,
        lastArrival: entry.lastArrival, payloadBytes: 0)
      let isThere = poller?.order(
        { .redriveRequested($0, Redrive(entry: entry.number, extent: extent)) }, mapping: entry.mappingName,
        shard: entry.address.shard, slot: try slot(of: entry, poller))
      guard isThere == true else {
        throw OperatorRefusal(.badInput, "Entry \(entry.number) belongs to \(entry.address.shard), which is gone.")
      }
    }
    if entries.isEmpty { report.effects = ["No failure entry matches."] }
    return report
  }

  /// Entries begin again with all their attempts. Without a worker they go when the next one starts.
  private func redeliver(_ query: FailureQuery, _ consent: Consent) async throws -> ActionReport {
    let entries = try failures(query).filter { entry in
      guard query.entries.isEmpty else { return true }
      return entry.delivery.map { $0.state != .delivered } ?? false
    }
    let poller = poller()
    for name in Set(entries.map(\.mappingName)).sorted() where poller?.look(at: name) != nil {
      guard poller?.destination(of: name) == nil else { continue }
      throw OperatorRefusal(
        .badInput,
        "Mapping \(name) has no destination but the store: set its DestinationConfig, or redrive the entries.")
    }
    var report = ActionReport(isApplied: consent.isApplied, effects: [], records: 0)
    for entry in entries {
      let place = poller?.destination(of: entry.mappingName) ?? "the destination of \(entry.mappingName)"
      report.effects.append("entry \(entry.number): its document is delivered to \(place)")
      report.records += UInt64(entry.count)
      guard consent.isApplied else { continue }
      try await audit(consent, "redeliver", "entry \(entry.number)", "\(entry.mappingName) \(entry.address.shard)")
      let note = DeliveryNote(
        number: entry.number, createdAt: entry.createdAt, delivery: .pending(since: clock().wall))
      _ = try await store.perform(.noteDelivery(note))
      _ = poller?.deliver(entry.number, of: entry.mappingName)
    }
    if entries.isEmpty { report.effects = ["No failure entry that matches waits for its delivery."] }
    return report
  }

  private func purge(_ query: FailureQuery, _ consent: Consent) async throws -> ActionReport {
    let damaged = try query.entries.filter(isDamaged)
    var readable = query
    readable.entries.removeAll(where: damaged.contains)
    let entries = damaged.isEmpty || !readable.entries.isEmpty ? try failures(readable) : []
    var report = ActionReport(isApplied: consent.isApplied, effects: [], records: 0)
    for number in damaged {
      report.effects.append("entry \(number): it is damaged, nobody can read it, and it is deleted for good")
      guard consent.isApplied else { continue }
      try await audit(consent, "purge", "entry \(number)", "damaged")
      _ = try await store.perform(.deleteFailure(number))
    }
    for entry in entries {
      report.effects.append(
        "entry \(entry.number): \(entry.count) records of \(entry.mappingName) are deleted for good")
      report.records += UInt64(entry.count)
      guard consent.isApplied else { continue }
      try await audit(consent, "purge", "entry \(entry.number)", "\(entry.mappingName) \(entry.address.shard)")
      _ = try await store.perform(.deleteFailure(entry.number))
    }
    if report.effects.isEmpty { report.effects = ["No failure entry matches."] }
    return report
  }

  private func isDamaged(_ number: UInt64) throws -> Bool {
    do throws(StoreError) {
      _ = try store.failureSummary(number)
      return false
    } catch {
      guard case .corrupted = error else { throw error }
      return true
    }
  }

  // MARK: - Streams

  private func createStream(_ name: String, _ shards: Int, _ retention: Int64, _ limit: Int) async throws
    -> StreamReport
  {
    let new = NewStream(
      name: name, shardCount: shards, retentionMilliseconds: retention, recordByteLimit: limit)
    guard case .stream(let info) = try await store.perform(.createStream(new)) else {
      preconditionFailure("creating a stream answers with the stream")
    }
    return try streamReport(info)
  }

  private func deleteStream(_ name: String, _ consent: Consent) async throws -> ActionReport {
    let stream = try stream(named: name)
    let records = try streamReport(stream).shards.reduce(0) { $0 + $1.records }
    if consent.isApplied {
      try await audit(consent, "delete stream", name, "\(records) records")
      _ = try await store.perform(.deleteStream(stream.number))
    }
    return ActionReport(
      isApplied: consent.isApplied, effects: ["stream \(name) with \(records) records is deleted for good"],
      records: records)
  }

  // MARK: - Mappings

  private func deleteMapping(_ name: String, _ consent: Consent) async throws -> ActionReport {
    let mapping = try mapping(named: name)
    guard poller()?.look(at: name) == nil, transitions?.state(of: name) == nil else {
      throw OperatorRefusal(
        .badInput, "Mapping \(name) runs. Take it out of the configuration and apply that, then say this again.")
    }
    let lanes = try store.lanes(of: mapping.number).count
    var report = ActionReport(
      isApplied: consent.isApplied,
      effects: [
        "mapping \(name) is deleted with the checkpoints of its \(lanes) lane\(lanes == 1 ? "" : "s"); its failures stay"
      ], records: 0)
    if MappingSettings(decoding: mapping.settings)?.isConfigured ?? false {
      report.effects.append(
        "the configuration that ran last has it: the next worker makes it anew, from StartingPosition")
    }
    guard consent.isApplied else { return report }
    try await audit(consent, "delete mapping", name, "\(lanes) lanes")
    if let transitions {
      try await transitions.during(.deleting, of: name) { _ = try await store.perform(.deleteMapping(mapping.number)) }
    } else {
      _ = try await store.perform(.deleteMapping(mapping.number))
    }
    return report
  }

  private func split(_ name: String, _ shard: String, at key: String?) async throws -> StreamReport {
    let stream = try stream(named: name)
    let address = ShardAddress(stream: stream.number, shard: try shardNumber(shard))
    guard let info = try store.catalog().shard(address) else { throw StoreError.noSuchShard(address) }
    let range = info.hashKeys
    let middle = HashKey(range.first.rawValue + (range.last.rawValue - range.first.rawValue) / 2 + 1)
    let at = try key.map { text in
      guard let parsed = HashKey(decimal: text) else {
        throw OperatorRefusal(.badInput, "--at is \(text): a hash key is a decimal number from 0 to 2^128−1.")
      }
      return parsed
    }
    _ = try await store.perform(.split(address, at: at ?? middle))
    return try streamReport(stream)
  }

  private func merge(_ name: String, _ shard: String, _ other: String) async throws -> StreamReport {
    let stream = try stream(named: name)
    let address = ShardAddress(stream: stream.number, shard: try shardNumber(shard))
    _ = try await store.perform(.merge(address, with: try shardNumber(other)))
    return try streamReport(stream)
  }

  // MARK: - Putting

  public func put(_ packed: [UInt8], into name: String) async -> PutAnswer {
    do {
      let stream = try stream(named: name)
      var request = AppendRequest(to: try store.routing(of: stream.number))
      try PackedRecords.add(packed, to: &request)
      guard request.count > 0 else { return .stored(PutReport(records: 0, shards: [])) }
      return .stored(PutReport(try await store.append(request)))
    } catch let refusal as OperatorRefusal {
      return .refused(refusal)
    } catch let error as StoreError {
      return .refused(OperatorRefusal(error))
    } catch {
      return .refused(OperatorRefusal(.failed, "\(error)"))
    }
  }

  // MARK: - Finding

  private func liveStreams() throws -> [StreamInfo] {
    try store.catalog().streams.values.filter { !$0.isBeingDeleted }.sorted { $0.name < $1.name }
  }

  private func stream(named name: String) throws -> StreamInfo {
    guard let stream = try store.catalog().stream(named: name) else {
      let known = try liveStreams().map(\.name).joined(separator: ", ")
      throw OperatorRefusal(
        .badInput, "There is no stream \(name)." + (known.isEmpty ? "" : " There are: \(known)."))
    }
    return stream
  }

  private func mapping(named name: String) throws -> MappingInfo {
    guard let mapping = try store.catalog().mapping(named: name) else {
      let known = try store.catalog().mappings.values.map(\.name).sorted().joined(separator: ", ")
      throw OperatorRefusal(
        .badInput,
        "There is no mapping \(name)." + (known.isEmpty ? " None has run on this store." : " There are: \(known)."))
    }
    return mapping
  }

  private func stream(of mapping: MappingInfo) throws -> StreamInfo? {
    try MappingSettings(decoding: mapping.settings).flatMap { try store.catalog().streams[$0.stream] }
  }

  private func shardNumber(_ text: String) throws -> ShardNumber {
    guard let number = ShardNumber(text) else {
      throw OperatorRefusal(.badInput, "\(text) is not a shard: write 3 or shardId-000000000003.")
    }
    return number
  }

  private func noShard(_ number: ShardNumber, _ stream: StreamInfo) -> OperatorRefusal {
    OperatorRefusal(.badInput, "Stream \(stream.name) has no \(number). See sluice streams describe \(stream.name).")
  }

  private func needsWorker(mapping: String) -> OperatorRefusal {
    OperatorRefusal(
      .needsWorker, "No worker runs mapping \(mapping). Start one with sluice run, then say this again.")
  }

  private func failures(_ query: FailureQuery) throws -> [FailureSummary] {
    let shard = try query.shard.map { try shardNumber($0) }
    // Those that were named are read alone: a damaged one is not in the way of others.
    let all =
      query.entries.isEmpty
      ? try store.failures(limit: .max) : try Set(query.entries).sorted().compactMap(store.failureSummary)
    let entries = all.filter { entry in
      (query.mapping == nil || entry.mappingName == query.mapping)
        && (shard == nil || entry.address.shard == shard)
        && (query.entries.isEmpty || query.entries.contains(entry.number))
    }
    for number in query.entries where !entries.contains(where: { $0.number == number }) {
      throw StoreError.noSuchFailure(number)
    }
    return entries
  }

  private func audit(_ consent: Consent, _ action: String, _ subject: String, _ detail: String) async throws {
    _ = try await store.perform(
      .appendAudit(
        AuditEntry(time: clock().wall, actor: consent.actor, action: action, subject: subject, detail: detail)))
  }

  private func streamReport(_ stream: StreamInfo) throws -> StreamReport {
    StreamReport(
      name: stream.name, retentionMilliseconds: stream.retentionMilliseconds,
      recordByteLimit: stream.recordByteLimit, createdAt: stream.createdAt.milliseconds,
      shards: try store.catalog().shards(of: stream.number).map { shard in
        let bounds = try store.shardBounds(shard.address)
        let isEmpty = bounds.firstAvailable >= bounds.end
        return ShardReport(
          shard: shard.address.shard.description, isOpen: shard.isOpen, parents: shard.parents.map(\.description),
          firstHashKey: shard.hashKeys.first.description, lastHashKey: shard.hashKeys.last.description,
          records: isEmpty ? 0 : bounds.firstAvailable.distance(to: bounds.end),
          firstSequenceNumber: isEmpty ? nil : shard.sequenceNumber(of: bounds.firstAvailable).description,
          lastSequenceNumber: isEmpty
            ? nil : shard.sequenceNumber(of: RecordIndex(bounds.end.rawValue - 1)).description,
          firstArrival: bounds.firstArrival?.milliseconds, lastArrival: bounds.lastArrival?.milliseconds)
      })
  }
}
