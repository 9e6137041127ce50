import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// Pausing, resuming, retrying and skipping.
extension StoreOperator {
  func act(
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
    let looks = poller.look(at: name) ?? [:]
    for lane in lanes {
      guard let number = ShardNumber(lane.shard),
        let order = try order(
          action, on: lane, looks[number]?.first { $0.place.slot == lane.lane ?? 0 },
          ShardAddress(stream: stream.number, shard: number))
      else { continue }
      report.effects.append(order.sentence)
      report.records += order.records
      guard consent.isApplied else { continue }
      try await audit(consent, action.name, lane.subject, order.sentence)
      guard
        poller.order(
          order.event, mapping: name, shard: number, slot: lane.lane ?? 0,
          noting: action.event(by: consent, clock().wall))
      else {
        throw noShard(number, stream)
      }
    }
    if report.effects.isEmpty {
      var reason = "no lane is in a state that this applies to."
      if case .skipKey(let key, isAll: _) = action { reason = "no lane has parked the partition key \(key)." }
      report.effects = ["Nothing to do: \(reason)"]
    }
    return report
  }

  private func order(
    _ action: LaneAction, on lane: LaneReport, _ look: LaneLook?, _ address: ShardAddress
  ) throws -> LaneOrder? {
    let shard = try store.catalog().shard(address)
    guard case .skipKey(let key, let isAll) = action else {
      return try LaneOrder(action, on: lane, in: shard, bound: look?.snapshot.bound)
    }
    guard let look, let shard else { return nil }
    return LaneOrder(skipping: key, isAll: isAll, on: lane, look, in: shard)
  }

  /// Of the lanes that share a shard, the one that has the record: a position means nothing to the others.
  func owners(
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
  func record(_ index: RecordIndex, in address: ShardAddress) throws -> RecordRun? {
    let read = try store.read(
      address, from: index, countLimit: 1, payloadByteLimit: .max, recordOverheadBytes: 0, readAheadBytes: 0)
    guard case .records(let found) = read, found.run.firstIndex == index else { return nil }
    return found.run
  }

  func partitionKeyHash(of run: RecordRun, _ address: ShardAddress) -> UInt64 {
    let origin = BatchOrigin(stream: "", shard: address.shard, shardCreatedAtSeconds: 0, attempt: 1)
    return RecordBatch(origin: origin, run: run, range: 0..<1)[0].partitionKeyHash
  }
}
