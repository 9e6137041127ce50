import CoreMetrics
import ShardCore
import StreamModel
import StreamStore

/// What a lane of a mapping with an idempotency store does around a delivery.
extension LaneRunner {
  /// Why the batch cannot be delivered now: what it would make done could not be remembered.
  func obstacle(to invocation: Invocation, at now: WallTime) -> HandlerFailure? {
    guard let keys = mapping.settledKeys else { return nil }
    do throws(StoreError) {
      guard try !keys.hasRoom(for: invocation.count, at: now) else { return nil }
      return HandlerFailure(
        kind: .throttled, type: "IdempotencyKeysFull",
        message: "The mapping keeps \(keys.count) keys of what is done, and its keyLimit is \(keys.settings.keyLimit): "
          + "some must expire first, or the limit be raised.")
    } catch {
      return .keysUnavailable(error)
    }
  }

  /// The records of a failure entry that are not done; `nil` if all are.
  func unsettled(_ run: RecordRun, from origin: BatchOrigin) throws -> RecordRun? {
    guard let keys = mapping.settledKeys else { return run }
    let now = keys.now
    let layers = writeLayers
    let batch = RecordBatch(origin: origin, run: run, range: 0..<run.count)
    var left: [Int] = []
    var taken: Set<SettledKey> = []
    for position in 0..<batch.count {
      if let key = keys.key(of: batch[position]) {
        if try keys.isSettled(key, layers, at: now) { continue }
        // A second record with the key of one before it: it is done if that one is.
        guard taken.insert(key).inserted else { continue }
      }
      left.append(position)
    }
    if left.count == run.count { return run }
    mapping.metrics.alreadyDone.increment(by: run.count - left.count)
    guard let first = left.first else { return nil }
    var builder = RecordRunBuilder(firstIndex: run.index(at: first))
    for position in left where !builder.append(recordsAt: position..<position + 1, of: run) {
      preconditionFailure("a run that is read is well formed")
    }
    return builder.finish()
  }

  /// Whether all records of a failure entry are done: then it leaves with the next progress, and nobody is called.
  func isDone(_ entry: UInt64, _ delivery: Delivery, at now: WallTime) -> Bool {
    guard mapping.settledKeys != nil else { return false }
    let origin = mapping.origin(of: shard.shard, createdAtSeconds: shardCreatedAtSeconds, attempt: 1)
    do {
      guard let run = try mapping.source.records(ofFailureEntry: entry), run.count > 0,
        try unsettled(run, from: origin) == nil
      else { return false }
    } catch {
      // The delivery finds the same, and says so.
      return false
    }
    offer(LaneEffects(settledFailures: [entry]), of: delivery.id)
    return true
  }

  /// What the delivery has made done waits for the core's word.
  func offerKeys(
    of invocation: Invocation, _ outcome: Result<InvocationOutcome, any Error>, _ answer: DeliveryAnswer,
    of delivery: Delivery, at now: WallTime
  ) -> Result<DeliveryAnswer, HandlerFailure> {
    guard let keys = mapping.settledKeys, case .batch(let batch) = invocation else { return .success(answer) }
    var answer = answer
    let isRedrive = if case .failureEntry = delivery.source { true } else { false }
    if isRedrive, case .failed(at: let index, position: let position) = answer {
      // The checkpoint says nothing about the records of an entry: what is done of them must be remembered.
      answer = .failedAmong(at: index, position: position, remaining: batch.count - position)
    }
    let failed = failedPositions(outcome, answer, in: batch)
    var done: [SettledKey] = []
    for position in 0..<batch.count where !failed.contains(position) {
      // What stands before the checkpoint does not come again by itself.
      if keys.settings.key == .record, !isRedrive, position < (failed.first ?? batch.count) { continue }
      if let key = keys.key(of: batch[position]) { done.append(key) }
    }
    var effects = LaneEffects()
    if case .failureEntry(let entry) = delivery.source, answer == .succeeded { effects.settledFailures = [entry] }
    do throws(StoreError) {
      if !done.isEmpty { effects.tableWrites = try keys.writes(settling: done, at: now) }
    } catch {
      return .failure(.keysUnavailable(error))
    }
    offer(effects, of: delivery.id)
    return .success(answer)
  }

  /// The positions of the records that are not done, in order.
  private func failedPositions(
    _ outcome: Result<InvocationOutcome, any Error>, _ answer: DeliveryAnswer, in batch: RecordBatch
  ) -> [Int] {
    if case .success(.plain(.failedRecords(let numbers))) = outcome {
      return Set(numbers.compactMap { batch.position(of: $0.index) }).sorted()
    }
    return switch answer {
    case .succeeded, .returned: []
    case .failed(at: _, let position), .failedAmong(at: _, let position, remaining: _),
      .returnedPart(_, failedAt: _, let position):
      Array(position..<batch.count)
    case .recordFailed, .faulted: Array(0..<batch.count)
    }
  }
}

extension HandlerFailure {
  fileprivate static func keysUnavailable(_ error: StoreError) -> HandlerFailure {
    HandlerFailure(
      kind: .unavailable, type: "IdempotencyKeysUnavailable",
      message: "Keys of what is done could not be read: \(error)")
  }
}
