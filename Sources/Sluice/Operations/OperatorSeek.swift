import ShardCore
import StreamModel
import StreamRuntime
import StreamStore

/// Moving the lanes of a mapping.
///
/// A move is a change of what is stored while nothing works on the lanes. Where the mapping runs it is closed, moved and
/// opened again: what is in flight ends first, and other mappings go on.
extension StoreOperator {
  /// How long handlers in flight have to end before they are cancelled and their batches are as if never delivered.
  /// Less than a command waits for its answer.
  private static let closingLimit = Duration.seconds(30)

  func seek(_ order: SeekOrder, _ consent: Consent) async throws -> SeekReport {
    let mapping = try mapping(named: order.mapping)
    let stream = try existingStream(of: mapping)
    try refuseWhileChanging(mapping.name)
    let shards = try shards(of: order, stream)
    let looks = poller()?.look(at: mapping.name)
    let plan = SeekPlan(
      order, try shards.map { try ShardPlace($0, seek(of: mapping, on: $0, looks), self, order, mapping) })
    var report = try self.report(plan, order, mapping, stream)
    try plan.refuseObstacles(order)
    report.isApplied = consent.isApplied
    guard consent.isApplied, !plan.isEmpty else { return report }
    // What is in flight settles more records than the preview knew of: what is stored when nothing is has the last word.
    let move = {
      let places = try shards.map { shard in
        let shard = try store.shard(shard.address)
        return try ShardPlace(shard, ShardSeek(of: mapping, on: shard, in: store), self, order, mapping)
      }
      let plan = SeekPlan(order, places)
      try plan.refuseObstacles(order)
      report = try self.report(plan, order, mapping, stream)
      guard !plan.isEmpty else { return }
      let updates = plan.places.flatMap { place in
        place.moves.map { $0.update(of: mapping.number, place.shard.address) }
      }
      // First, so that a process that ends between the two leaves nothing that is not told.
      for place in plan.places {
        var ends = [RecordIndex](repeating: .zero, count: place.seek.lanes.count)
        for move in place.moves { ends[move.slot] = move.again?.end ?? .zero }
        try await RedeliveryLog.noteSeek(ends, of: mapping.number, on: place.shard.address.shard, in: store)
      }
      _ = try await store.perform(.storeLanes(updates))
      for sentence in report.effects { try await audit(consent, "seek", mapping.name, sentence) }
    }
    let carryOut = {
      guard let poller = poller() else { return try await move() }
      if try await !poller.reposition(mapping: mapping.name, within: Self.closingLimit, move) { try await move() }
    }
    if let transitions {
      try await transitions.during(.updating, of: mapping.name) { try await carryOut() }
    } else {
      try await carryOut()
    }
    report.isApplied = true
    return report
  }

  /// Those that an order is about.
  private func shards(of order: SeekOrder, _ stream: StreamInfo) throws -> [ShardInfo] {
    let named = try order.shard.map { try shardInfo(try shardNumber($0), stream) }
    guard case .sequenceNumber(let text) = order.target else {
      return try named.map { [$0] } ?? store.catalog().shards(of: stream.number)
    }
    guard let number = SequenceNumber(text) else {
      throw OperatorRefusal(.badInput, "--sequence is \(text): that is not a sequence number.")
    }
    let shard = try shardInfo(number.shard, stream)
    if let named, named.address != shard.address {
      throw OperatorRefusal(
        .badInput, "--sequence is \(text): that is a record of \(number.shard), and --shard is \(named.address.shard).")
    }
    return [shard]
  }

  // MARK: - Telling

  private func report(
    _ plan: SeekPlan, _ order: SeekOrder, _ mapping: MappingInfo, _ stream: StreamInfo
  ) throws -> SeekReport {
    var report = SeekReport(isApplied: false)
    for place in plan.places {
      for move in place.moves {
        let lane = LaneMove(
          shard: "\(place.shard.address.shard)", lane: place.seek.lanes.count > 1 ? move.slot : nil,
          from: place.shard.sequenceNumber(of: move.from).description,
          to: place.shard.sequenceNumber(of: move.to).description,
          deliveredAgain: try move.again.map { try span($0, in: place.shard) },
          skipped: try move.skipped.map { try span($0, in: place.shard) },
          discarded: move.obstacles.map { $0.loss(in: place.shard) })
        report.lanes.append(lane)
        report.deliveredAgain += move.again?.count ?? 0
        report.skipped += move.skipped?.count ?? 0
        report.effects += lane.sentences(of: mapping.name, move)
      }
      if place.isClamped {
        report.effects.append(
          "\(place.shard.address.shard): retention has removed what came before; it begins with the oldest record left")
      }
      if place.reopensFinished {
        let children = try store.catalog().shards(of: stream.number)
          .filter { $0.parents.contains(place.shard.address.shard) }.map { "\($0.address.shard)" }
        if !children.isEmpty {
          report.effects.append(
            "\(children.joined(separator: " and ")) wait\(children.count == 1 ? "s" : "") until "
              + "\(place.shard.address.shard) is done again")
        }
      }
    }
    if plan.isEmpty {
      report.effects = ["Nothing to do: \(plan.places.isEmpty ? order.target.nothing : "every lane is there already.")"]
    }
    if case .beforeFirstFailure = order.target, !plan.isEmpty {
      report.effects.append("failure entries stay as they are, also of records that succeed now")
    }
    return report
  }

  private func span(_ range: RecordRange, in shard: ShardInfo) throws -> RecordSpan {
    RecordSpan(
      records: range.count, firstSequenceNumber: shard.sequenceNumber(of: range.first).description,
      lastSequenceNumber: shard.sequenceNumber(of: range.last).description,
      firstArrival: try arrival(of: range.first, in: shard.address),
      lastArrival: try arrival(of: range.last, in: shard.address))
  }
}
