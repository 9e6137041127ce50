import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// Where the lanes of a mapping stand, and a mapping that begins where another one does.
extension StoreOperator {
  func positions(_ name: String, _ shard: String?) throws -> [PositionReport] {
    let mapping = try mapping(named: name)
    let stream = try existingStream(of: mapping)
    let looks = poller()?.look(at: name)
    return try choose(try lanes(of: mapping, stream), shard, nil, stream).map { lane in
      let info = try shardInfo(try shardNumber(lane.shard), stream)
      let bounds = try store.shardBounds(info.address)
      let lanes = try seek(of: mapping, on: info, looks).lanes
      let stored = lanes[min(lane.lane ?? 0, lanes.count - 1)].progress
      let next = max(stored.next, bounds.firstAvailable)
      func number(_ index: RecordIndex) -> String { info.sequenceNumber(of: index).description }
      return PositionReport(
        mapping: name, shard: lane.shard, lane: lane.lane, state: lane.state, next: number(next),
        nextArrival: try arrival(of: next, in: info.address), last: bounds.count > 0 ? number(bounds.end.before) : nil,
        lastArrival: bounds.lastArrival?.milliseconds,
        firstAvailable: bounds.count > 0 ? number(bounds.firstAvailable) : nil, recordsBehind: lane.backlogRecords,
        ageMilliseconds: lane.iteratorAgeMilliseconds,
        failingRecords: stored.failing?.extent.count ?? 0, parkedRecords: lane.parkedRecords,
        hasOpenWindow: stored.window != nil)
    }
  }

  /// Lets a mapping that has not run begin where another one stands.
  func copyPositions(from name: String, to copy: String, _ consent: Consent) async throws -> ActionReport {
    let mapping = try mapping(named: name)
    let stream = try existingStream(of: mapping)
    guard !copy.isEmpty, copy != name else {
      throw OperatorRefusal(
        .badInput, "A copy needs a name of its own, and \(copy.isEmpty ? "it has none" : "\(copy) is the one to copy")."
      )
    }
    let known = try store.catalog().mapping(named: copy)
    if let known {
      if let other = try self.stream(of: known), other.number != stream.number {
        throw OperatorRefusal(
          .badInput,
          "Mapping \(copy) reads stream \(other.name), and \(name) reads \(stream.name): positions mean nothing there.")
      }
      guard try store.lanes(of: known.number).isEmpty, poller()?.look(at: copy) == nil else {
        throw OperatorRefusal(
          .badInput,
          "Mapping \(copy) has positions of its own. Move them with sluice positions seek \(copy), or delete "
            + "it first: sluice mappings delete \(copy).")
      }
    }
    try refuseWhileChanging(copy)
    let looks = poller()?.look(at: name)
    var report = ActionReport(isApplied: consent.isApplied, effects: [], records: 0)
    var rows: [(ShardAddress, ShardSeek)] = []
    for shard in try store.catalog().shards(of: stream.number) {
      let seek = try seek(of: mapping, on: shard, looks)
      var begin = seek
      begin.lanes = seek.copies()
      for (slot, (lane, source)) in zip(begin.lanes, seek.lanes).enumerated() {
        let subject = "\(copy) \(shard.address.shard)" + (seek.lanes.count > 1 ? " lane \(slot)" : "")
        let next = max(lane.progress.next, seek.firstAvailable)
        if lane.progress.isFinished {
          report.effects.append("\(subject) is finished, as in \(name)")
          continue
        }
        let again = next < source.progress.next ? next.distance(to: source.progress.next) : 0
        let rest = next < seek.end ? next.distance(to: seek.end) : 0
        report.effects.append(
          "\(subject) begins at \(shard.sequenceNumber(of: next)), \(rest) record\(rest == 1 ? "" : "s") behind"
            + (again == 0
              ? ""
              : ": \(again) before the checkpoint of \(name), because records of its parked keys or of its open window are "
                + "among them"))
        report.records += rest
      }
      rows.append((shard.address, begin))
    }
    guard consent.isApplied else { return report }
    try await audit(consent, "copy positions", copy, "from \(name)")
    let number: MappingNumber
    if let known {
      number = known.number
    } else {
      var settings = MappingSettings(stream: stream.number, policy: LanePolicy())
      settings.isConfigured = false
      guard
        case .mapping(let info) = try await store.perform(.storeMapping(name: copy, settings: settings.encoded()))
      else { preconditionFailure("storing a mapping answers with the mapping") }
      number = info.number
    }
    _ = try await store.perform(.storeLanes(rows.flatMap { $1.updates(of: number, $0) }))
    return report
  }

  // MARK: - Finding

  func existingStream(of mapping: MappingInfo) throws -> StreamInfo {
    guard let stream = try stream(of: mapping) else {
      throw OperatorRefusal(.badInput, "The stream of mapping \(mapping.name) was deleted.")
    }
    return stream
  }

  func refuseWhileChanging(_ name: String) throws {
    guard let state = transitions?.state(of: name) else { return }
    throw OperatorRefusal(.tryAgain, "Mapping \(name) is \(state.rawValue). Say this again when that is done.")
  }

  func shardInfo(_ number: ShardNumber, _ stream: StreamInfo) throws -> ShardInfo {
    guard let shard = try store.catalog().shard(ShardAddress(stream: stream.number, shard: number)) else {
      throw noShard(number, stream)
    }
    return shard
  }

  func seek(of mapping: MappingInfo, on shard: ShardInfo, _ looks: [ShardNumber: [LaneLook]]?) throws
    -> ShardSeek
  {
    if let looks = looks?[shard.address.shard], !looks.isEmpty { return try ShardSeek(looks, on: shard, in: store) }
    return try ShardSeek(of: mapping, on: shard, in: store)
  }

  /// `nil` where the record is not there, or nobody can read its block.
  func arrival(of index: RecordIndex, in address: ShardAddress) throws -> Int64? {
    do throws(StoreError) {
      return try store.arrival(of: index, in: address)?.milliseconds
    } catch {
      guard case .corruptedBlock = error else { throw error }
      return nil
    }
  }
}

extension RecordIndex {
  /// The one before; of the first, the first.
  fileprivate var before: RecordIndex { RecordIndex(rawValue > 0 ? rawValue - 1 : 0) }
}
