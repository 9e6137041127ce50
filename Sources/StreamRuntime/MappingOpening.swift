import Logging
import ShardCore
import StreamModel
import StreamStore

/// How a mapping and its lanes are found in the store, or put there, and opened.
extension StreamPoller {
  func register(_ plan: MappingPlan, _ stream: StreamInfo) async throws -> (MappingInfo, MappingSettings) {
    var settings = MappingSettings(stream: stream.number, policy: plan.policy)
    settings.retryRules = plan.retryRules?.rules ?? []
    settings.failureRetention = plan.failureRetention
    settings.parameters = plan.parameters
    let known = try store.catalog().mapping(named: plan.name)
    if let known, let old = MappingSettings(decoding: known.settings) {
      if old.stream != stream.number { throw PollerError.mappingMoved(mapping: plan.name, from: old.stream) }
      settings.inherit(from: old)
    }
    guard
      case .mapping(let info) = try await store.perform(
        .storeMapping(name: plan.name, settings: settings.encoded()))
    else { preconditionFailure("storing a mapping answers with the mapping") }
    // A mapping that is known but has no lanes ended before it had fixed its beginning.
    if try known == nil || store.lanes(of: info.number).isEmpty { try await storeStart(plan, of: info, stream) }
    return (info, settings)
  }

  /// Fixes where a new mapping begins, before anything can be delivered: shards that appear from now on are new
  /// and begin at their first record.
  private func storeStart(_ plan: MappingPlan, of info: MappingInfo, _ stream: StreamInfo) async throws {
    guard plan.start != .trimHorizon else { return }
    let updates = try store.catalog().shards(of: stream.number).flatMap { shard in
      let next = try store.index(for: plan.start, in: shard.address)
      // A closed shard that ends before the start has nothing to deliver; its children may begin.
      let isFinished = shard.closing.map { next >= $0.end } ?? false
      return StoredShare(factor: plan.parallelizationFactor, from: next, isFinished: isFinished)
        .updates(of: info.number, shard.address)
    }
    _ = try await store.perform(.storeLanes(updates))
  }

  /// Where other lanes work on a shard than those that did, hands over what those had settled: see
  /// ``ShardCore/LaneSharing``. Each shard is changed at once or not at all, and a shard that was changed stays so. Whether
  /// any was.
  func changeFactor(of plan: MappingPlan, _ info: MappingInfo, _ stream: StreamInfo) async throws -> Bool {
    var isChanged = false
    for shard in try store.catalog().shards(of: stream.number) {
      guard let share = try storedShare(of: info, shard) else { continue }
      if share.lanes.count != plan.parallelizationFactor, share.lanes.contains(where: \.progress.parksKeys) {
        throw PollerError.keysAreParked(mapping: info.name, shard: shard.address.shard, factor: share.lanes.count)
      }
      let updates = share.changing(to: plan.parallelizationFactor, of: info.number, shard.address)
      guard !updates.isEmpty else { continue }
      _ = try await store.perform(.storeLanes(updates))
      isChanged = true
      logger.info(
        "ParallelizationFactor changed",
        metadata: [
          "mapping": "\(info.name)", "shard": "\(shard.address.shard)", "from": "\(share.lanes.count)",
          "to": "\(plan.parallelizationFactor)",
        ])
    }
    return isChanged
  }

  /// `nil` if the mapping has never worked on the shard.
  private func storedShare(of info: MappingInfo, _ shard: ShardInfo) throws -> StoredShare? {
    let rows = try store.lanes(of: info.number, on: shard.address)
    do {
      return try StoredShare(rows, of: shard)
    } catch {
      throw PollerError.unreadableLane(mapping: info.name, shard: shard.address.shard, error)
    }
  }

  private func storedParkedKeys(
    of info: MappingInfo, _ shard: ShardInfo, _ slot: Int, _ lane: StoredLane
  ) throws -> StoredParkedKeys {
    guard lane.progress.parksKeys else { return try StoredParkedKeys([]) }
    let key = LaneKey(mapping: info.number, address: shard.address, slot: UInt8(slot))
    let records = try store.parkedKeys(of: key)
    do {
      return try StoredParkedKeys(records)
    } catch {
      throw PollerError.unreadableLane(mapping: info.name, shard: shard.address.shard, error)
    }
  }

  /// Opens the lanes of each shard that has none, parents before children.
  func openLanes(of mapping: inout OpenMapping) throws {
    for shard in try store.catalog().shards(of: mapping.stream) where mapping.lanes[shard.address.shard] == nil {
      let share =
        try storedShare(of: mapping.info, shard) ?? StoredShare(factor: mapping.factor, from: shard.firstAvailable)
      let runner = mapping.runner
      let parents = shard.parents.flatMap { mapping.lanes[$0] ?? [] }
      let soughtEnds = try RedeliveryLog.soughtEnds(
        of: mapping.info.number, on: shard.address.shard, factor: share.lanes.count, in: store)
      mapping.lanes[shard.address.shard] = try share.lanes.enumerated().map { slot, lane in
        readAhead.addLane()
        var opening = LaneOpening(mapping: mapping.id, parents: parents, progress: lane.progress)
        let parked = try storedParkedKeys(of: mapping.info, shard, slot, lane)
        opening.progress.parked = parked.changes
        opening.bound = bound?.end(of: shard.address)
        let blocksByKey = opening.trackCount(mapping.settings.policy) > 0
        let histories = blocksByKey ? ParkedHistories(parked.histories) : nil
        let tracker = RedeliveryTracker(
          lane.progress, suspects: runner.redeliveries?.formerSuspects ?? 0,
          before: try store.shardBounds(shard.address).end, blocksByKey: blocksByKey, soughtEnd: soughtEnds[slot])
        return driver.open(opening) { id in
          LaneRunner(
            id: id, place: LanePlace(shard: shard.address, slot: slot, sharing: lane.sharing),
            shardCreatedAtSeconds: shard.createdAtSeconds, mapping: runner, history: lane.history,
            failing: lane.progress.failing?.extent, hashKeys: shard.hashKeys, tracker: tracker,
            parkedHistories: histories)
        }
      }
    }
  }
}
