import ShardCore
import StreamModel

/// What was delivered, and what is told of it when it comes again.
extension World {
  /// A process starts, and `index` is a lane of its poller.
  mutating func openTracker(of index: Int) {
    let mapping = lanes[index].mapping
    lanes[index].tracker = RedeliveryTracker(
      store.lanes[index].committed, suspects: sabotage == .forgetsCrashes ? 0 : suspects[mapping],
      before: RecordIndex(UInt64(store.shards[lanes[index].shard].end)),
      blocksByKey: lanes[index].blocksByKey)
    lanes[index].fresh = RecordSet()
  }

  /// The process notes, before it delivers anything, how many records of a lane it may leave behind.
  mutating func noteSuspects(of mapping: Int) {
    suspects[mapping] = max(suspects[mapping], RedeliveryTracker.suspects(scenario.policies[mapping]))
  }

  /// The process says that it has ended, of mappings that leave nothing unsaid.
  mutating func noteEnd() {
    for mapping in suspects.indices where !stopped.contains(mapping) {
      let isOwing = lanes.contains { $0.mapping == mapping && $0.track == 0 && $0.tracker.isOwing }
      if !isOwing { suspects[mapping] = 0 }
    }
  }

  mutating func tellRedelivery(_ delivery: Delivery, _ lane: Int) {
    guard delivery.source == .shard else { return }
    let main = main(of: lane)
    let extent = delivery.extent
    let records = lanes[lane]
    let tags = store.shards[records.shard].tags
    func isOfBatch(_ index: Int) -> Bool {
      records.blocksByKey ? records.batch.contains(index) : records.selection.selects(tags[index], at: index)
    }
    var told = lanes[main].tracker.begin(delivery, count: extent.count) { end in
      (Int(extent.first.rawValue)..<Int(min(end, extent.end).rawValue)).count { isOfBatch($0) }
    }
    if sabotage == .inventsRedeliveries { told = Redelivery(count: extent.count, cause: .retry) }
    switch told?.cause {
    // Redrives are counted where they end, and nobody moves a lane back.
    case nil, .redrive, .seek: break
    case .retry: coverage.count(.toldRetry)
    case .partialFailure: coverage.count(.toldPartialFailure)
    case .bisect: coverage.count(.toldBisect)
    case .restart: coverage.count(.toldRestart)
    }
    var position = 0
    var fresh = RecordSet()
    for index in Int(extent.first.rawValue)..<Int(max(extent.first, extent.end).rawValue)
    where index < tags.count && isOfBatch(index) {
      let wasDelivered = lanes[main].delivered.contains(index)
      violate(
        .redeliveries,
        RedeliveryChecker.check(told, at: position, wasDelivered: wasDelivered, blocksByKey: records.blocksByKey), lane)
      if !wasDelivered { fresh.insert(index) }
      position += 1
    }
    lanes[main].delivered.formUnion(fresh)
    lanes[lane].fresh = fresh
  }

  /// The handler has answered; one that was never called has seen nothing.
  mutating func endRedelivery(
    _ delivery: Delivery, _ answer: DeliveryAnswer, _ cancellation: WorldLane.Cancellation, _ lane: Int
  ) {
    guard delivery.source == .shard else { return }
    let main = main(of: lane)
    let answer = cancellation == .deadline ? .failed(.timedOut) : answer
    if !lanes[main].tracker.end(delivery, with: answer) { lanes[main].delivered.subtract(lanes[lane].fresh) }
    lanes[lane].fresh = RecordSet()
  }
}
