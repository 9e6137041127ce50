import StreamModel

/// Blocking by key: a record that fails parks its key with everything behind it of that key, and the lane goes on.
///
/// A batch that fails as a whole is split until the record that fails stands alone, or the handler names it; then the
/// record's key is parked. From there on records of the key are kept out of the lane's batches and join the key's own
/// list when the checkpoint passes them, so checkpoint and lists together say exactly what is not settled. Each key has
/// its own attempts, waits and record age, and is delivered from one of the lane's tracks beside the lane's batches.
/// When a key has nothing left, and the lane is about to form a new batch, the key is one of the others again: before
/// that batch everything of it is settled, and behind it nothing was looked at.
///
/// At the limits the lane does what it does without parking: it waits with the failing batch, or before the record that
/// may not be parked.
extension Lane {
  /// Whether a batch that fails is taken apart until the record that fails is known.
  func isolatesFailures(_ step: LaneStep) -> Bool { step.policy.bisectsBatchOnError || step.policy.parking != nil }

  /// What a read needs to know of parked keys; `nil` in a lane that parks none.
  func parkingOfRead(_ step: LaneStep) -> ReadRequest.Parking? {
    parked.map { parked in
      let limit = UInt64(step.policy.parking?.recordLimit ?? 1)
      return ReadRequest.Parking(
        keys: parked.set,
        // Keys that were parked under other settings go on until they are empty, whatever that takes.
        limit: step.policy.parking == nil ? Int.max : Int(clamping: limit - min(limit, parked.recordCount)))
    }
  }

  /// Keys without records are the lane's again: nothing of them was kept out of a batch that is still unsettled.
  mutating func rejoinEmptyKeys() {
    guard parked != nil, head == .open else { return }
    if parked?.removeEmpty() == true { progressChanged(settlingBatch: false) }
  }

  /// Whether this record may be parked now, with those of other keys before it.
  func canPark(_ index: RecordIndex, key: PartitionKeyHash, _ step: LaneStep) -> Bool {
    guard let parked, let policy = step.policy.parking, skipThrough == nil, parked.place(of: key) == nil else {
      return false
    }
    return parked.keyCount(before: index) < policy.keyLimit
      && parked.recordCount + parked.metCount(before: index) < UInt64(policy.recordLimit)
  }

  /// Parks the key of the batch, which is one failing record at the checkpoint. Its batch is over: the records behind
  /// it make new ones, without those of its key.
  mutating func park(_ batch: FailingBatch, key: PartitionKeyHash, retryDue: MonotonicTime, _ step: LaneStep) {
    let index = batch.extent.first
    precondition(batch.extent.count == 1, "one record is parked at a time")
    settleMet(before: index, step)
    // What was met behind it is read again.
    parked?.meet([])
    _ = parked?.removeEmpty()
    parked?.park(ParkedKey(key, failing: batch, retryDue: retryDue, now: step.now), record: index)
    next = index.advanced(by: 1)
    head = .open
    pieces.removeAll()
    windowOpenedAt = step.now.monotonic
    progressChanged(settlingBatch: true)
  }

  /// A failing head that waits because nothing more could be parked is parked as soon as something can.
  mutating func parkHead(_ step: LaneStep) -> Bool {
    guard case .failing(let batch) = head, batch.extent.count == 1, batch.attempts > 0, batch.givenUp == nil,
      let key = parked?.headKey,
      canPark(batch.extent.first, key: key, step)
    else { return false }
    park(batch, key: key, retryDue: retryDue, step)
    return true
  }

  /// The checkpoint passes everything before `index`.
  mutating func settleMet(before index: RecordIndex, _ step: LaneStep) {
    parked?.park(before: index, now: step.now)
  }

  /// The handler named the record that failed: those before it are done, and its key is parked.
  mutating func take(_ failed: FailedRecord, of extent: BatchExtent, _ step: LaneStep, _ effects: inout [PollerEffect])
  {
    guard failed.index >= extent.first, failed.index <= extent.last, failed.position >= 0,
      failed.position < extent.count, (failed.index == extent.first) == (failed.position == 0)
    else { return failByItself(extent, .invalidResponse, step, &effects) }
    let kind = FailureKind.reportedNoProgress
    let decision = RetryDecision(kind, step.policy.retryRules?.rule(ofKind: kind), step.policy)
    let isExhausted = step.policy.maximumRetryAttempts.map { $0 < 1 } ?? false
    // What its rule gives up leaves, and what it does not count is no reason to park.
    let isOrdinary = decision.usesAttempt && !decision.givesUp && !isExhausted
    // The failing batch at the head goes on counting.
    let goesOn = head.isFailing && extent.count == 1
    guard !goesOn, isOrdinary, canPark(failed.index, key: failed.key, step) else {
      return failed.position == 0
        ? failByItself(extent, .reportedNoProgress, step, &effects)
        : settle(upTo: failed.index, rest: extent.count - failed.position, step, &effects)
    }
    let record = BatchExtent(
      first: failed.index, count: 1, firstArrival: failed.arrival, lastArrival: failed.arrival, payloadBytes: 0)
    var batch = FailingBatch(extent: record, failedAt: step.now.wall, lastFailure: kind)
    let delay = batch.countFailure(kind, decision, step)
    park(batch, key: failed.key, retryDue: step.now.monotonic.adding(milliseconds: delay), step)
    goOn(step, &effects)
  }

  /// The next record belongs to a parked key and no more may be parked: the lane waits for one that is.
  mutating func waitForParking(_ begin: RecordIndex, _ step: LaneStep, _ effects: inout [PollerEffect]) {
    countLost(until: begin, &effects)
    parked?.isFull = true
    enter(.holding, step)
  }

  /// Whether the lane stands still because no more may be parked.
  var isHeldByParking: Bool { phase.isHolding && parked?.isFull == true }

  /// Whether more can be parked than when the lane came to stand still.
  func hasRoomToPark(_ step: LaneStep) -> Bool {
    guard let parked else { return true }
    guard let policy = step.policy.parking else { return true }
    return parked.recordCount < UInt64(policy.recordLimit)
  }
}
