import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// Failure entries: showing them, delivering them again, deleting them.
extension StoreOperator {
  func listFailures(_ query: FailureQuery) throws -> OperatorAnswer {
    let retentions = FailureRetentions(try store.catalog())
    return .failures(try failures(query).map { FailureReport($0, retentions) })
  }

  func showFailure(_ number: UInt64) throws -> OperatorAnswer {
    guard let entry = try store.failure(number) else { throw StoreError.noSuchFailure(number) }
    let origin = BatchOrigin(
      stream: entry.summary.streamName, shard: entry.summary.address.shard,
      shardCreatedAtSeconds: entry.summary.shardCreatedAtSeconds, attempt: 1)
    var records: [FailedRecord] = []
    if entry.records.count > 0 {
      let batch = RecordBatch(origin: origin, run: entry.records, range: 0..<entry.records.count)
      for position in 0..<batch.count { records.append(FailedRecord(batch[position])) }
    }
    return .failure(FailureReport(entry.summary, FailureRetentions(try store.catalog())), records: records)
  }

  /// The lane that delivers an entry again: that of its first record. Since the factor may have changed, the keys of its
  /// other records may be of other lanes now.
  func slot(of entry: FailureSummary, in mapping: String, _ poller: StreamPoller?) throws -> Int {
    guard let poller, let records = try store.failure(entry.number)?.records, records.count > 0 else { return 0 }
    return poller.slot(
      ofPartitionKey: partitionKeyHash(of: records, entry.address), mapping: mapping,
      shard: entry.address.shard) ?? 0
  }

  /// `name` is the mapping that delivers them; without one, that of each entry. With a payload it is one entry, which
  /// keeps the payload also if it fails again.
  func redrive(
    _ query: FailureQuery, to name: String?, _ payload: EditedPayload? = nil, _ consent: Consent
  ) async throws -> ActionReport {
    let entries = try failures(query).sorted {
      ($0.address, $0.firstIndex, $0.number) < ($1.address, $1.firstIndex, $1.number)
    }
    let poller = poller()
    if let name { try refuseOtherStream(entries, than: try mapping(named: name)) }
    let names = name.map { [$0] } ?? Set(entries.map(\.mappingName)).sorted()
    for name in names where poller?.look(at: name) == nil { throw needsWorker(mapping: name) }
    var report = ActionReport(isApplied: consent.isApplied, effects: [], records: 0)
    if let entry = entries.first(where: { $0.window != nil }) {
      throw OperatorRefusal(
        .badInput,
        "Entry \(entry.number) is of a tumbling window that is over: nobody can hand on its state. "
          + "If its records must count in a window of now, put them again: sluice failures show \(entry.number) "
          + "--format json | jq -r '.records[].text' | sluice put \(entry.streamName) --partition-key KEY")
    }
    // The core would put each of them off, and only the log would say so.
    for name in names {
      let policy = poller?.look(at: name)?.values.lazy.flatMap(\.self).first?.policy
      if let policy, policy.isShadow {
        throw OperatorRefusal(
          .badInput,
          "Mapping \(name) is a shadow: what its function answers moves nothing, and the entries would be gone. Take "
            + "shadow: true out and apply that, or name another mapping with --to.")
      }
      guard let policy, policy.tumblingWindowMilliseconds > 0 else { continue }
      throw OperatorRefusal(
        .badInput,
        "Mapping \(name) has tumbling windows now: an entry from before has none, and no state to be given. Put its "
          + "records again, or take TumblingWindowInSeconds out, apply that, redrive, and put it back.")
    }
    if let payload {
      let edit = try edit(payload, of: entries)
      report.effects += edit.effects
      if consent.isApplied { try await make(edit, consent) }
    }
    for entry in entries {
      let records = "\(entry.count) record\(entry.count == 1 ? "" : "s")"
      report.effects.append(
        "entry \(entry.number): \(records) to \(name ?? entry.mappingName) \(entry.address.shard), in order")
      report.records += UInt64(entry.count)
      guard consent.isApplied else { continue }
      try await audit(
        consent, "redrive", "entry \(entry.number)", "\(name ?? entry.mappingName) \(entry.address.shard)")
      var noted = entry
      noted.add(RecordEvent(.redriven, at: clock().wall, actor: consent.actor))
      _ = try await store.perform(.updateFailure(noted))
      let extent = BatchExtent(
        first: entry.firstIndex, last: entry.lastIndex, count: entry.count, firstArrival: entry.firstArrival,
        lastArrival: entry.lastArrival, payloadBytes: 0)
      let isThere = poller?.order(
        { .redriveRequested($0, Redrive(entry: entry.number, extent: extent)) }, mapping: name ?? entry.mappingName,
        shard: entry.address.shard, slot: try slot(of: entry, in: name ?? entry.mappingName, poller))
      guard isThere == true else {
        throw OperatorRefusal(.badInput, "Entry \(entry.number) belongs to \(entry.address.shard), which is gone.")
      }
    }
    if entries.isEmpty { report.effects = ["No failure entry matches."] }
    return report
  }

  private func refuseOtherStream(_ entries: [FailureSummary], than mapping: MappingInfo) throws {
    guard let stream = try stream(of: mapping),
      let entry = entries.first(where: { $0.address.stream != stream.number })
    else { return }
    throw OperatorRefusal(
      .badInput,
      "Entry \(entry.number) is of stream \(entry.streamName), and mapping \(mapping.name) reads \(stream.name): it has no "
        + "lane that could deliver it.")
  }

  /// Entries begin again with all their attempts. Without a worker they go when the next one starts.
  func redeliver(_ query: FailureQuery, _ consent: Consent) async throws -> ActionReport {
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

  func purge(_ query: FailureQuery, _ consent: Consent) async throws -> ActionReport {
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
        "entry \(entry.number): \(entry.count) record\(entry.count == 1 ? "" : "s") of \(entry.mappingName) deleted for good"
      )
      report.records += UInt64(entry.count)
      guard consent.isApplied else { continue }
      try await audit(consent, "purge", "entry \(entry.number)", "\(entry.mappingName) \(entry.address.shard)")
      _ = try await store.perform(.deleteFailure(entry.number))
    }
    if report.effects.isEmpty { report.effects = ["No failure entry matches."] }
    return report
  }

  func isDamaged(_ number: UInt64) throws -> Bool {
    do throws(StoreError) {
      _ = try store.failureSummary(number)
      return false
    } catch {
      guard case .corrupted = error else { throw error }
      return true
    }
  }
}
