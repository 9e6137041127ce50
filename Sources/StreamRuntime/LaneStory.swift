import CoreMetrics
import Locks
import Logging
import ShardCore
import StreamModel
import StreamStore

/// What is remembered and told of failed attempts at a lane's records, and of what operators did to them.
extension LaneRunner {
  /// The failed deliveries that records of a batch which begins at `first` were in. Empty if there were none.
  func history(ofBatchAt first: RecordIndex) -> AttemptHistory { currentHistory.story(from: first) }

  /// The failed deliveries of the records from the checkpoint on.
  var currentHistory: AttemptHistory { state.withLock { $0.history } }

  /// So many records at the head left as a failure entry.
  func left(_ count: Int) {
    state.withLock { $0.history.settle(count) }
  }

  /// Records were lost on the way, of whichever lane.
  func lost() {
    state.withLock { state in
      state.history.forgetPositions()
      state.tracker.lost()
    }
  }

  /// An operator did this to records of the lane, or is about to.
  func note(_ intervention: RecordEvent) {
    state.withLock { $0.intervention = intervention }
    for track in tracks.withLock(\.self) { track.note(intervention) }
  }

  /// What is to be told of records that leave, besides their attempts.
  func events(of order: FailureOrder, at now: WallTime) -> [RecordEvent] {
    var events: [RecordEvent] = []
    if let key = order.key, let since = parkedHistories?.parkedSince(key, first: order.extent.first) {
      events.append(RecordEvent(.parked, at: since))
    }
    if order.condition == .skipped {
      let known = state.withLock { $0.intervention }
      events.append(known?.kind == .skipped ? known ?? RecordEvent(.skipped, at: now) : RecordEvent(.skipped, at: now))
    }
    return events
  }

  /// The first `count` records of the batch are done; the handler named the next one, or none.
  func settle(_ count: Int, named attempt: AttemptRecord?) {
    state.withLock { state in
      guard attempt != nil || !state.history.isEmpty else { return }
      state.history.settle(count)
      if parkedHistories != nil || mapping.settledKeys != nil { state.history.forgetPositions() }
      guard var attempt else { return }
      attempt.requestID = state.takeRequestID()
      state.history.append(attempt)
    }
  }

  /// The handler named a record that is not the first: the attempt is that record's.
  func note(_ failed: FailedRecord, of delivery: Delivery, begun: Now, ended: Now) {
    let attempt = AttemptRecord(
      startedAt: begun.wall,
      durationMilliseconds: (ended.monotonic.nanoseconds - begun.monotonic.nanoseconds) / 1_000_000,
      kind: .reportedNoProgress, type: "BatchItemFailure", message: "The handler reported the record as failed.",
      trace: [], requestID: RequestID.make(), batch: AttemptedBatch(delivery.extent, position: failed.position))
    let earlier = currentHistory
    parkedHistories?.append(attempt, of: failed.key, first: failed.index) {
      earlier.story(from: failed.index, settled: failed.position)
    }
    mapping.logger.warning(
      "a record failed",
      metadata: [
        "shard": "\(place.description)", "record": "\(failed.index.rawValue)", "batch": "\(delivery.extent.count)",
      ])
  }

  func note(
    _ failure: HandlerFailure, _ rule: RetryRuleID?, of delivery: Delivery, begun: Now, ended: Now,
    onlyKey: PartitionKeyHash? = nil
  ) {
    let ruleName = rule.flatMap { mapping.retryRules?.rules[Int($0.rawValue)].name }
    var attempt = AttemptRecord(
      startedAt: begun.wall,
      durationMilliseconds: (ended.monotonic.nanoseconds - begun.monotonic.nanoseconds) / 1_000_000,
      kind: failure.kind, type: failure.type, message: failure.message, trace: failure.trace, requestID: "",
      rule: ruleName, batch: AttemptedBatch(delivery.extent, position: 0))
    state.withLock { state in
      switch delivery.source {
      case .shard where mapping.shadow != nil:
        // The records are passed: no batch fails whose story this would be.
        mapping.shadow?.note(failure, of: delivery.extent, at: begun.wall)
      case .shard, .windowEnd:
        attempt.requestID = state.takeRequestID()
        let earlier = state.history
        state.history.append(attempt)
        if let onlyKey { parkedHistories?.append(attempt, of: onlyKey, first: delivery.extent.first) { earlier } }
      case .failureEntry(let entry):
        attempt.requestID = state.redriveRequestID.isEmpty ? RequestID.make() : state.redriveRequestID
        state.redriveFailure = (entry, attempt)
      }
    }
    mapping.logger.warning(
      "delivery failed",
      metadata: [
        "shard": "\(place.description)", "first": "\(delivery.extent.first.rawValue)",
        "count": "\(delivery.extent.count)",
        "attempt": "\(delivery.attempt)", "kind": "\(failure.kind.name)", "type": "\(failure.type)",
        "message": "\(failure.message)",
      ].merging(ruleName.map { ["rule": "\($0)"] } ?? [:]) { $1 })
  }

  /// The record is too large for any event: an attempt without a delivery. `key`: the attempt is one of this key, whose
  /// records are parked already if `isParked`.
  func noteTooLarge(_ extent: BatchExtent, key: PartitionKeyHash?, isParked: Bool, at now: WallTime) {
    let failure = HandlerFailure(
      kind: .payloadTooLarge, type: "PayloadTooLarge",
      message:
        "The record alone takes \(extent.payloadBytes) bytes of an event, more than a handler can take: it is not delivered."
    )
    let rule = mapping.retryRules?.rule(for: failure).flatMap { id in
      mapping.retryRules?.rules[Int(id.rawValue)].name
    }
    noteUndelivered(failure, extent, rule: rule, ofKey: key, onTrack: isParked ? key : nil, at: now)
    mapping.metrics.didNotInvoke(records: extent.count)
  }

  /// The records come from as many invocations as may be, at most so many: they leave without a delivery.
  func noteLoop(_ extent: BatchExtent, _ lineage: Lineage, key: PartitionKeyHash?, at now: WallTime) {
    let failure = HandlerFailure(
      kind: .unavailable, type: "RecursiveInvocationException",
      message:
        "The records come from \(lineage.hops) invocations, one after the other: a function's output feeds its own input. "
        + "They are not delivered; the mapping's recursiveLoopLimit says how many may be.")
    noteUndelivered(failure, extent, rule: nil, ofKey: key, onTrack: key, at: now)
    mapping.metrics.recursionsStopped.increment()
  }

  /// Tells of an attempt at the records that was none.
  private func noteUndelivered(
    _ failure: HandlerFailure, _ extent: BatchExtent, rule: String?, ofKey key: PartitionKeyHash?,
    onTrack parkedKey: PartitionKeyHash?, at now: WallTime
  ) {
    state.withLock { state in
      state.follow(extent, parkedKey)
      let attempt = AttemptRecord(
        startedAt: now, durationMilliseconds: 0, kind: failure.kind, type: failure.type, message: failure.message,
        trace: [], requestID: state.takeRequestID(), rule: rule, batch: AttemptedBatch(extent, position: 0))
      mapping.shadow?.note(failure, of: extent, at: now)
      // Of a shadow's records only those of a loop leave, with their story; the others are passed.
      if mapping.shadow != nil, failure.kind == .payloadTooLarge { return }
      let earlier = state.history
      state.history.append(attempt)
      if let key { parkedHistories?.append(attempt, of: key, first: extent.first) { earlier } }
    }
    mapping.logger.warning(
      extent.count == 1 ? "record not delivered" : "records not delivered",
      metadata: [
        "shard": "\(place.description)", "first": "\(extent.first.rawValue)", "count": "\(extent.count)",
        "type": "\(failure.type)", "message": "\(failure.message)",
      ])
  }

  /// Why the last delivery of this entry failed, once; `nil` if it was not delivered.
  func takeRedriveFailure(of entry: UInt64) -> AttemptRecord? {
    state.withLock { state in
      guard let failure = state.redriveFailure, failure.entry == entry else { return nil }
      state.redriveFailure = nil
      return failure.attempt
    }
  }
}

extension AttemptedBatch {
  init(_ extent: BatchExtent, position: Int) {
    self.init(first: extent.first, last: extent.last, count: extent.count, position: position)
  }
}
