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
  let worker: @Sendable () -> WorkerReport?
  let transitions: MappingTransitions?
  let clock: @Sendable () -> Now

  /// `worker` is the process that has the store open to work: this one, or another when the store is only looked at.
  public init(
    store: StreamStore, poller: @escaping @Sendable () -> StreamPoller? = { nil },
    worker: @autoclosure @escaping @Sendable () -> WorkerReport? = nil,
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
    case .record(let mapping, let number): .record(try record(number, of: mapping))
    case .act(let action, let mapping, let shard, let lane, let consent):
      .action(try await act(action, mapping: mapping, shard: shard, lane: lane, consent))
    case .duplicates(let mapping, let shard, let limit): .duplicates(try duplicates(mapping, shard, limit))
    case .listFailures(let query): try listFailures(query)
    case .showFailure(let entry): try showFailure(entry)
    case .redrive(let query, let name, let payload, let consent):
      .action(try await redrive(query, to: name, payload, consent))
    case .redeliver(let query, let consent): .action(try await redeliver(query, consent))
    case .purge(let query, let consent): .action(try await purge(query, consent))
    case .listStreams: .streams(try liveStreams().map(streamReport))
    case .describeStream(let name): .streams([try streamReport(try stream(named: name))])
    case .createStream(let name, let shards, let retention, let limit, let kind):
      .streams([
        try await createStream(
          NewStream(
            name: name, shardCount: shards, retentionMilliseconds: retention, recordByteLimit: limit, kind: kind))
      ])
    case .deleteStream(let name, let consent): .action(try await deleteStream(name, consent))
    case .splitShard(let stream, let shard, let key): .streams([try await split(stream, shard, at: key)])
    case .mergeShards(let stream, let shard, let other): .streams([try await merge(stream, shard, other)])
    case .audit(let limit): .audit(try store.audit(limit: limit).map { AuditReport($0.1) })
    case .apply:
      throw OperatorRefusal(
        .needsWorker, "No worker runs. It takes the configuration when it starts: sluice run --config FILE.")
    case .listFunctions:
      throw OperatorRefusal(.needsWorker, "No worker runs, so no function does.")
    case .positions(let mapping, let shard): .positions(try positions(mapping, shard))
    case .seek(let order, let consent): .seek(try await seek(order, consent))
    case .copyPositions(let name, let copy, let consent):
      .action(try await copyPositions(from: name, to: copy, consent))
    case .deleteMapping(let name, let consent): .action(try await deleteMapping(name, consent))
    }
  }

  // MARK: - Finding

  func liveStreams() throws -> [StreamInfo] {
    try store.catalog().streams.values.filter { !$0.isBeingDeleted }.sorted { $0.name < $1.name }
  }

  func stream(named name: String) throws -> StreamInfo {
    guard let stream = try store.catalog().stream(named: name) else {
      let known = try liveStreams().map(\.name).joined(separator: ", ")
      throw OperatorRefusal(
        .badInput, "There is no stream \(name)." + (known.isEmpty ? "" : " There are: \(known)."))
    }
    return stream
  }

  func mapping(named name: String) throws -> MappingInfo {
    guard let mapping = try store.catalog().mapping(named: name) else {
      let known = try store.catalog().mappings.values.map(\.name).sorted().joined(separator: ", ")
      throw OperatorRefusal(
        .badInput,
        "There is no mapping \(name)." + (known.isEmpty ? " None has run on this store." : " There are: \(known)."))
    }
    return mapping
  }

  func stream(of mapping: MappingInfo) throws -> StreamInfo? {
    try MappingSettings(decoding: mapping.settings).flatMap { try store.catalog().streams[$0.stream] }
  }

  func shardNumber(_ text: String) throws -> ShardNumber {
    guard let number = ShardNumber(text) else {
      throw OperatorRefusal(.badInput, "\(text) is not a shard: write 3 or shardId-000000000003.")
    }
    return number
  }

  func noShard(_ number: ShardNumber, _ stream: StreamInfo) -> OperatorRefusal {
    OperatorRefusal(.badInput, "Stream \(stream.name) has no \(number). See sluice streams describe \(stream.name).")
  }

  func needsWorker(mapping: String) -> OperatorRefusal {
    OperatorRefusal(
      .needsWorker, "No worker runs mapping \(mapping). Start one with sluice run, then say this again.")
  }

  func failures(_ query: FailureQuery) throws -> [FailureSummary] {
    let shard = try query.shard.map { try shardNumber($0) }
    // Those that were named are read alone: a damaged one is not in the way of others.
    let all =
      query.entries.isEmpty
      ? try store.failures(limit: .max) : try Set(query.entries).sorted().compactMap(store.failureSummary)
    let entries = try all.filter { entry in
      try (query.mapping == nil || entry.mappingName == query.mapping)
        && (shard == nil || entry.address.shard == shard)
        && (query.entries.isEmpty || query.entries.contains(entry.number))
        && (query.key.map { try holds($0, entry) } ?? true)
    }
    for number in query.entries where !entries.contains(where: { $0.number == number }) {
      throw StoreError.noSuchFailure(number)
    }
    return entries
  }

  /// Whether a record of the entry has this partition key.
  private func holds(_ key: String, _ entry: FailureSummary) throws -> Bool {
    guard let records = try store.failure(entry.number)?.records, records.count > 0 else { return false }
    let origin = BatchOrigin(
      stream: entry.streamName, shard: entry.address.shard, shardCreatedAtSeconds: entry.shardCreatedAtSeconds,
      attempt: 1)
    let batch = RecordBatch(origin: origin, run: records, range: 0..<records.count)
    return (0..<batch.count).contains { batch[$0].partitionKey == key }
  }

  func audit(_ consent: Consent, _ action: String, _ subject: String, _ detail: String) async throws {
    _ = try await store.perform(
      .appendAudit(
        AuditEntry(time: clock().wall, actor: consent.actor, action: action, subject: subject, detail: detail)))
  }
}
