import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// What one can ask without changing anything.
extension StoreOperator {
  /// Everything at a glance.
  public func status() throws -> StatusReport {
    let catalog = try store.catalog()
    let retentions = FailureRetentions(catalog)
    let mappings = catalog.mappings.values.sorted { $0.name < $1.name }
    let failures = try store.failureCounts()
    let deliveries = try store.deliveryCounts()
    let oldest = try store.oldestFailures()
    return StatusReport(
      worker: worker(), streams: try liveStreams().map(streamReport),
      mappings: try mappings.compactMap { mapping in
        guard let stream = try stream(of: mapping) else { return nil }
        var report = try report(
          mapping, stream, failureEntries: failures[mapping.number] ?? 0,
          deliveries: deliveries[mapping.number] ?? DeliveryCounts())
        report.oldestFailureAt = oldest[mapping.number]?.milliseconds
        report.oldestFailureExpiresAt = oldest[mapping.number].flatMap {
          retentions.expiry(of: mapping.number, madeAt: $0)?.milliseconds
        }
        return report
      },
      failureRetentionMilliseconds: retentions.standard, generatedAt: clock().wall.milliseconds)
  }

  func report(_ mapping: MappingInfo, _ stream: StreamInfo, failureEntries: Int, deliveries: DeliveryCounts)
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
      pendingDeliveries: deliveries.pending, undeliverableEntries: deliveries.undeliverable,
      shadow: poller()?.shadowOutcomes(of: mapping.name).map { ShadowReport($0) })
  }

  func state(of mapping: MappingInfo, _ settings: MappingSettings?) -> MappingState {
    if let state = transitions?.state(of: mapping.name) { return state }
    let isEnabled = settings?.parameters[MappingParameter.enabled.rawValue] != "false"
    return isEnabled && settings?.isConfigured ?? true ? .enabled : .disabled
  }

  func explain(_ name: String, _ shard: String?, _ lane: Int?) throws -> [LaneReport] {
    let mapping = try mapping(named: name)
    guard let stream = try stream(of: mapping) else {
      throw OperatorRefusal(.badInput, "The stream of mapping \(name) was deleted.")
    }
    var all = try choose(try lanes(of: mapping, stream, looksAhead: true), shard, lane, stream)
    let examples =
      poller()?.filterExamples(of: name) ?? MappingSettings(decoding: mapping.settings)?.filterExamples
      ?? FilterExamples()
    let reports = examples.reports(of: try shard.map { try shardNumber($0) })
    let notable = all.filter {
      $0.state.isBlocked || $0.state == .paused || $0.lostToRetention > 0 || $0.parkedKeyCount > 0
        || $0.lostToDamage > 0
    }
    if !notable.isEmpty { all = notable }
    if !all.isEmpty {
      all[0].filterExamples = reports
      all[0].shadow = poller()?.shadowOutcomes(of: name).map { ShadowReport($0) }
    }
    return all
  }

  /// The lanes of one shard, or one of them; all if neither is named.
  func choose(
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

  func lanes(of mapping: MappingInfo, _ stream: StreamInfo, looksAhead: Bool = false) throws -> [LaneReport] {
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
}
